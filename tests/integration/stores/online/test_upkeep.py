from __future__ import annotations

import json
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from detektor_pipelines.catalog import VIEWS, view_named
from detektor_pipelines.compile.feast import fingerprint
from detektor_pipelines.language.hashes import data_hash
from detektor_pipelines.settings import Settings
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.mlflow.model_versions import ModelVersion, model_versions
from detektor_pipelines.stores.mlflow.rest import TrackingUnavailableError
from detektor_pipelines.stores.online import upkeep as online_upkeep
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.stores.online.packing import Layout
from detektor_pipelines.stores.online.values import OnlineRow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redis import Redis

NOON = 1_772_712_000_000_000  # 2026-03-05 12:00 UTC
DAY = 86_400_000_000
VIEW = view_named("code_review_features")
OLD = online.StoredView(VIEW.name, "0123456789ab", Layout.of([("was_here", "int64")]), None)
OTHER = online.StoredView("driver_stats_v2", "feast", Layout(()), None)


@pytest.fixture
def client(servers: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Redis]:
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-05T12:00:00Z")
    with online.redis_client(servers) as client:
        yield client


def write(client: Redis, project: str, view: object, at: int, *agents: str) -> None:
    rows = [OnlineRow(agent, at, at, at, None, {}) for agent in agents]
    online.write_values(client, project, view, rows, valid_through_us=at)


def survey(settings: Settings, days: float = 7, models: tuple[ModelVersion, ...] = ()) -> dict[str, str]:
    found = online_upkeep.survey(settings, VIEWS, older_than_days=days, models=models)
    return {each.held.version: each.kept_by for each in found}


def test_the_present_version_stays_however_old_it_is(servers: Settings, client: Redis) -> None:
    write(client, servers.project, VIEW, NOON - 400 * DAY, "a")
    assert survey(servers) == {online.stored_view(VIEW).version: "the present definition"}


def test_a_retired_one_goes_when_it_is_old_enough(servers: Settings, client: Redis) -> None:
    write(client, servers.project, VIEW, NOON, "a", "b")
    write(client, servers.project, OLD, NOON - 8 * DAY, "a", "b", "c")
    write(client, "another", OLD, NOON - 8 * DAY, "a")
    assert survey(servers, days=9)[OLD.version] == "its age"
    assert survey(servers)[OLD.version] == ""
    found = online_upkeep.survey(servers, VIEWS, older_than_days=7, models=())
    assert online_upkeep.drop(servers, found) == 3
    assert survey(servers) == {online.stored_view(VIEW).version: "the present definition"}
    assert [row is None for row in online.read(client, servers.project, VIEW, ["a", "b"])] == [False, False]
    assert online.read(client, "another", OLD, ["a"])[0] is not None


def test_one_that_is_kept_fresh_beside_stays_however_old_it_is(servers: Settings, client: Redis) -> None:
    earlier = replace(VIEW, features=VIEW.features[:1])
    write(client, servers.project, earlier, NOON - 100 * DAY)
    write(client, servers.project, OLD, NOON - 100 * DAY)
    found = online_upkeep.survey(servers, VIEWS, older_than_days=7, models=(), beside=[earlier])
    assert {each.held.version: each.kept_by for each in found} == {
        online.stored_view(earlier).version: "being kept fresh until it is retired",
        OLD.version: "",
    }


def test_one_that_a_model_was_made_from_stays(servers: Settings, client: Redis) -> None:
    write(client, servers.project, OLD, NOON - 100 * DAY, "a")
    user = ModelVersion("risk", "3", "feast_feature_hash=0123456789abcdef0123")
    assert survey(servers, models=(user, ModelVersion("risk", "4", "feast_feature_hash=fedcba"))) == {OLD.version: "model risk v3"}
    assert survey(servers, models=(user, user)) == {OLD.version: "model risk v3 and 1 more"}


def test_one_that_feasts_registry_has_stays_though_this_checkout_does_not_know_it(servers: Settings, client: Redis) -> None:
    write(client, servers.project, OLD, NOON - 100 * DAY, "a")
    write(client, servers.project, OTHER, NOON - 100 * DAY, "1")
    write(client, servers.project, online.StoredView("gone", "feast", Layout(()), None), NOON - 100 * DAY, "1")
    with connect(servers) as connection:
        for table in ("feature_views", "stream_feature_views"):
            connection.execute(
                f"CREATE TABLE feast.{table} (feature_view_name text, project_id text, feature_view_proto bytea)"  # as Feast's, in short
            )
        rows = [
            ("feature_views", OLD.name, servers.project, b"...data_hash\x0123456789ab..."),
            ("feature_views", OLD.name, servers.project, b"\x0a\x400123456789abcdef"),
            ("stream_feature_views", "driver_stats", servers.project, b""),
            ("feature_views", "gone", "another", b""),
        ]
        for table, *values in rows:
            connection.execute(f"INSERT INTO feast.{table} VALUES (%s, %s, %s)", values)
        connection.commit()
    assert survey(servers) == {OLD.version: "Feast's registry", OTHER.version: "Feast's registry", "gone@feast": ""}


def test_what_an_interrupted_deletion_left_is_found_without_a_layout(servers: Settings, client: Redis) -> None:
    write(client, servers.project, OLD, NOON - 8 * DAY, "a", "b")
    client.delete(online.layout_key(servers.project, OLD), online.valid_through_key(servers.project, OLD))
    client.lpush(f"feast:{servers.project}:strange@list:x", "no value of ours")
    (found,) = online_upkeep.survey(servers, VIEWS, older_than_days=7, models=())
    assert (found.held.version, found.held.keys, found.held.last, found.kept_by) == (OLD.version, 2, NOON - 8 * DAY, "")


def test_a_view_carries_its_hash_where_the_registry_is_searched_for_it() -> None:
    from detektor_pipelines.compile.feast import feature_view

    proto = feature_view(VIEW).to_proto().SerializeToString()
    assert data_hash(VIEW)[:12].encode() in proto
    assert fingerprint(VIEW).encode() in proto


class Mlflow(BaseHTTPRequestHandler):
    """Answers as MLflow's REST API does: two pages of model versions, one of a run that is gone."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        question = parse_qs(parts.query)
        if parts.path.endswith("model-versions/search"):
            first = "page_token" not in question
            versions = [
                {"name": "risk", "version": "1", "run_id": "r1"} if first else {"name": "risk", "version": "2", "run_id": "gone"},
                {"name": "tagged", "version": "1" if first else "2", "tags": [{"key": "features", "value": "0123456789abcdef"}]},
            ]
            self.answer({"model_versions": versions} | ({"next_page_token": "2"} if first else {}))
        elif question["run_id"] == ["r1"]:
            self.answer({"run": {"data": {"params": [{"key": "feast_feature_hash", "value": "aaaaaaaaaaaabbbb"}], "tags": []}}})
        else:
            self.answer({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "gone"}, 404)

    def answer(self, content: object, status: int = 200) -> None:
        payload = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_models_say_what_they_were_made_from_in_their_tags_or_their_runs() -> None:
    with HTTPServer(("127.0.0.1", 0), Mlflow) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        found = model_versions(Settings(mlflow_tracking_uri=f"http://127.0.0.1:{server.server_port}"))
        server.shutdown()
    assert [(each.name, each.version) for each in found if each.uses("aaaaaaaaaaaa")] == [("risk", "1")]
    assert [(each.name, each.version) for each in found if each.uses("0123456789ab")] == [("tagged", "1"), ("tagged", "2")]
    assert len(found) == 4


def test_no_mlflow_is_an_error_and_not_no_model() -> None:
    with pytest.raises(TrackingUnavailableError):
        model_versions(Settings(mlflow_tracking_uri="http://127.0.0.1:1"))
