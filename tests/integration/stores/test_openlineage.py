"""OpenLineage events to a real HTTP server, to a port that nobody listens at, and to one that never answers."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from detektor_pipelines.catalog import view_named
from detektor_pipelines.compile.lineage import columns_read
from detektor_pipelines.errors import UserError
from detektor_pipelines.language.hashes import data_hash
from detektor_pipelines.settings import Settings, get_settings
from detektor_pipelines.stack import ports
from detektor_pipelines.stores.mlflow.tracking import MaterializationRecord
from detektor_pipelines.stores.openlineage import LineageEvents, TrainingRun

if TYPE_CHECKING:
    from collections.abc import Iterator

VIEW = view_named("code_review_features")


class Sink(BaseHTTPRequestHandler):
    """Keeps what it is sent."""

    def do_POST(self) -> None:
        content = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.events.append((self.path, content))  # type: ignore[attr-defined]
        self.send_response(201)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def sink() -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    server.events = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def record(status: Any = "FINISHED") -> MaterializationRecord:
    return MaterializationRecord(
        root="run:1",
        agent=VIEW.agent,
        view=VIEW.name,
        version=VIEW.version,
        data_hash=data_hash(VIEW),
        metadata_hash="m",
        status=status,
        days=("2026-03-01", "2026-03-02", 2),
        rows_hash="r",
        counts={"rows": 1},
        started_ms=1_000,
        ended_ms=3_500,
        snapshot="5:5:",
        made_from=columns_read(VIEW),
        dagster={"dagster_run_id": "d-1"},
    )


def lineage_to(port: int) -> LineageEvents:
    return LineageEvents(Settings(openlineage_url=f"http://127.0.0.1:{port}"))


def test_a_materialization_is_told_with_its_columns(sink: Any) -> None:
    events = lineage_to(sink.server_address[1])
    events.materialization(record())
    assert events.finish() is None
    assert [path for path, _ in sink.events] == ["/api/v1/lineage"] * 2
    start, end = (content for _, content in sink.events)
    assert (start["eventType"], end["eventType"]) == ("START", "COMPLETE")
    assert start["run"]["runId"] == end["run"]["runId"]
    assert (start["eventTime"], end["eventTime"]) == ("1970-01-01T00:00:01+00:00", "1970-01-01T00:00:03.500000+00:00")
    assert end["job"]["name"] == "features.code_review_features"
    assert end["inputs"][0]["name"].endswith(".ml_learning.agent_events")
    (output,) = end["outputs"]
    assert output["name"].endswith(f".feast.code_review_features__{data_hash(VIEW)[:12]}")
    assert output["facets"]["version"]["datasetVersion"] == data_hash(VIEW)
    fields = output["facets"]["columnLineage"]["fields"]
    assert {name: sorted(each["field"] for each in fields[name]["inputFields"]) for name in fields} == {
        name: sorted(columns) for name, columns in columns_read(VIEW).items()
    }
    assert end["run"]["facets"]["detektor"]["snapshot"] == "5:5:"
    assert end["run"]["facets"]["detektor"]["dagsterRun"] == "d-1"


def test_a_failed_one_and_a_training_run(sink: Any) -> None:
    events = lineage_to(sink.server_address[1])
    events.materialization(record("FAILED"))
    views = {VIEW.name: data_hash(VIEW)}
    events.training(TrainingRun("m-1", VIEW.agent, "rejected", "s" * 64, views, 1, 2, model="code-reviewer", snapshot="6:6:"))
    assert events.finish() is None
    said = {(content["job"]["name"], content["eventType"]) for _, content in sink.events}
    assert said == {
        ("features.code_review_features", "START"),
        ("features.code_review_features", "FAIL"),
        ("training.code-reviewer", "START"),
        ("training.code-reviewer", "COMPLETE"),
    }
    training = next(content for _, content in sink.events if content["eventType"] == "COMPLETE")
    assert len(training["inputs"]) == 2
    assert [each["name"].partition(".")[2] for each in training["outputs"]] == [f"training_set.{'s' * 12}", "model.code-reviewer"]


def test_without_a_url_nothing_is_imported() -> None:
    code = """
import sys
from detektor_pipelines.settings import Settings
from detektor_pipelines.stores.openlineage import LineageEvents
events = LineageEvents(Settings())
events.materialization(None)
assert events.finish() is None
assert not any(name.startswith(("openlineage", "httpx2")) for name in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_dead_port_is_never_in_the_way() -> None:
    events = lineage_to(ports.free_port())
    for _ in range(20):
        events.materialization(record())
    problem = events.finish()
    assert problem is not None
    assert "DETEKTOR_OPENLINEAGE_URL" in problem
    assert events.finish() is None  # said once


def test_a_server_that_never_answers_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        events = lineage_to(silent.getsockname()[1])
        events.materialization(record())
        assert "were not taken" in str(events.finish())


def test_what_is_no_address_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETEKTOR_OPENLINEAGE_URL", "marquez:5000")
    with pytest.raises(UserError, match="no http://host:port"):
        get_settings()
