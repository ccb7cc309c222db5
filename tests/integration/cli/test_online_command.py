"""`detektor online` over real servers, as a person calls it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from detektor_pipelines.catalog import view_named
from detektor_pipelines.cli import build_app
from detektor_pipelines.errors import UserError
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.stores.online.packing import Layout
from detektor_pipelines.stores.online.values import OnlineRow

if TYPE_CHECKING:
    from click.testing import Result

    from detektor_pipelines.settings import Settings

NOON = 1_772_712_000_000_000  # 2026-03-05 12:00 UTC
DAY = 86_400_000_000
VIEW = view_named("code_review_features")
OLD = online.StoredView(VIEW.name, "0123456789ab", Layout.of([("was_here", "int64")]), None)


@pytest.fixture
def two_versions(servers: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-05T12:00:00Z")
    with online.redis_client(servers) as client:
        for view, at in ((VIEW, NOON), (OLD, NOON - 8 * DAY)):
            rows = [OnlineRow(agent, at, at, at, None, {}) for agent in ("a", "b")]
            online.write_values(client, servers.project, view, rows, valid_through_us=at)
    return servers


def call(*words: str) -> Result:
    return CliRunner().invoke(build_app(), ["online", *words], env={"COLUMNS": "200"})


def test_versions_says_what_keeps_each(two_versions: Settings) -> None:
    found = json.loads(call("versions", "--without-models", "--json").stdout)
    assert [(each["data_hash"], each["keys"], each["kept_by"]) for each in found] == [
        ("0123456789ab", 2, None),
        (online.stored_view(VIEW).hash, 2, "the present definition"),
    ]
    assert found[0]["last_complete"] == "2026-02-25T12:00:00Z"
    assert found[0]["bytes"] > 0
    shown = call("versions", "--without-models").stdout
    assert "the present definition" in shown
    assert "nothing" in shown


def test_prune_deletes_only_when_told(two_versions: Settings) -> None:
    said = call("prune", "--without-models").stdout
    assert "0123456789ab" in said
    assert "Nothing was deleted" in said
    assert json.loads(call("prune", "--without-models", "--json").stdout)["values"] == 0
    assert "not old enough" in call("prune", "--without-models", "--older-than", "9", "--yes").stdout
    assert len(json.loads(call("versions", "--without-models", "--json").stdout)) == 2
    assert "Deleted: 2 values." in call("prune", "--without-models", "--yes").stdout
    (left,) = json.loads(call("versions", "--without-models", "--json").stdout)
    assert left["data_hash"] == online.stored_view(VIEW).hash


def test_without_mlflow_nothing_is_judged(two_versions: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETEKTOR_MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    from detektor_pipelines.settings import get_settings

    get_settings.cache_clear()
    failed = call("prune", "--yes")
    assert isinstance(failed.exception, UserError)
    assert "--without-models" in str(failed.exception)
    assert len(json.loads(call("versions", "--without-models", "--json").stdout)) == 2


def test_each_command_has_an_example() -> None:
    for name in ("versions", "prune"):
        assert "Example" in call(name, "--help").stdout
