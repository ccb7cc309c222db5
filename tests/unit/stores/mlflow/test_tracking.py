"""Against a server that answers as MLflow does, in this process: what is asked, and what happens when it is not there."""

from __future__ import annotations

import json
import threading
from contextlib import ExitStack
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.compile.lineage import columns_read
from detektor_pipelines.settings import Settings
from detektor_pipelines.stores.mlflow.tracking import MaterializationRecord, Tracker, TrackingUnavailableError, code_revision

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from detektor_pipelines.language.views import FeatureView

RECORD = MaterializationRecord(
    root="backfill:abcdefghij",
    agent="code-reviewer",
    view="code_review_features",
    version="1.2.0",
    data_hash="d" * 64,
    metadata_hash="m" * 64,
    status="FINISHED",
    days=("2026-05-01", "2026-05-09", 9),
    rows_hash="r" * 64,
    counts={"rows": 216.0, "events": 900.0},
    null_rates={"rejection_rate": 0.125},
    events=("2026-04-01 00:00:01+00:00", "2026-05-09 23:00:00+00:00"),
    snapshot="771:771:",
    dagster={"dagster_run_id": "run-1", "dagster_root_run_id": "run-1", "dagster_backfill_id": "abcdefghij"},
    started_ms=1_000,
    ended_ms=2_000,
    code_revision="c0ffee",
)


class FakeMlflow(ThreadingHTTPServer):
    """Keeps runs in memory; searches by exact tags."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.experiments: dict[str, str] = {}
        self.runs: dict[str, dict[str, Any]] = {}
        self.authorizations: set[str | None] = set()
        self.hangs_up = False

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def children(self) -> list[dict[str, Any]]:
        return [run for run in self.runs.values() if "view" in run["tags"]]

    def parents(self) -> list[dict[str, Any]]:
        return [run for run in self.runs.values() if run["tags"].get("detektor.role") == "parent"]


class _Handler(BaseHTTPRequestHandler):
    server: FakeMlflow
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # head and body in one packet: else each answer waits 40 ms for an acknowledgement

    def log_message(self, *_: object) -> None:
        """Be silent."""

    def do_GET(self) -> None:
        name = urlsplit(self.path).query.partition("=")[2]
        if name in self.server.experiments:
            self._answer({"experiment": {"experiment_id": self.server.experiments[name], "lifecycle_stage": "active"}})
        else:
            self._answer({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no"}, 404)

    def do_POST(self) -> None:
        self.server.authorizations.add(self.headers["Authorization"])
        self.close_connection = self.server.hangs_up
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer(getattr(self, self.path.rpartition("mlflow/")[2].replace("/", "_").replace("-", "_"))(body))

    def experiments_create(self, body: dict[str, Any]) -> dict[str, Any]:
        self.server.experiments[body["name"]] = "7"
        return {"experiment_id": "7"}

    def runs_create(self, body: dict[str, Any]) -> dict[str, Any]:
        run_id = f"mlflow-{len(self.server.runs)}"
        tags = {tag["key"]: tag["value"] for tag in body["tags"]}
        self.server.runs[run_id] = {"id": run_id, "name": body["run_name"], "tags": tags, "params": {}, "metrics": {}, "status": "RUNNING"}
        return {"run": {"info": {"run_id": run_id}}}

    def runs_search(self, body: dict[str, Any]) -> dict[str, Any]:
        wanted = dict(part.replace("`", "").removeprefix("tags.").split(" = ") for part in body["filter"].split(" AND "))
        found = [run for run in self.server.runs.values() if all(run["tags"].get(key) == value[1:-1] for key, value in wanted.items())]
        return {"runs": [{"info": {"run_id": run["id"]}} for run in found]}

    def runs_log_batch(self, body: dict[str, Any]) -> dict[str, Any]:
        run = self.server.runs[body["run_id"]]
        run["params"] |= {each["key"]: each["value"] for each in body["params"]}
        run["metrics"] |= {each["key"]: each["value"] for each in body["metrics"]}
        return {}

    def runs_update(self, body: dict[str, Any]) -> dict[str, Any]:
        self.server.runs[body["run_id"]]["status"] = body["status"]
        return {}

    def runs_delete(self, body: dict[str, Any]) -> dict[str, Any]:
        del self.server.runs[body["run_id"]]
        return {}

    def _answer(self, content: dict[str, Any], status: int = 200) -> None:
        text = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


@pytest.fixture
def mlflow() -> Iterator[FakeMlflow]:
    with FakeMlflow() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def tracker_of(tmp_path: Path, mlflow: FakeMlflow) -> Iterator[Callable[[], Tracker]]:
    """Return a function that makes trackers, each as a new process would have it."""
    with ExitStack() as trackers:

        def make() -> Tracker:
            tracker = Tracker(Settings(home=tmp_path, mlflow_tracking_uri=mlflow.address))
            trackers.callback(tracker.close)
            return tracker

        yield make


def down(home: Path) -> Tracker:
    return Tracker(Settings(home=home, mlflow_tracking_uri="http://127.0.0.1:1"))


def test_a_record_has_versions_hashes_partitions_and_the_runs_of_dagster(mlflow: FakeMlflow, tracker_of: Callable[[], Tracker]) -> None:
    run = mlflow.runs[tracker_of().log(RECORD)]
    (parent,) = mlflow.parents()
    assert (
        run["tags"].items()
        >= {
            "agent": "code-reviewer",
            "view": "code_review_features",
            "feature_version": "v1.2.0",
            "feast_feature_hash": "d" * 64,
            "rows_hash": "r" * 64,
            "code_revision": "c0ffee",
            "dagster_run_id": "run-1",
            "dagster_backfill_id": "abcdefghij",
            "mlflow.parentRunId": parent["id"],
        }.items()
    )
    assert (
        run["params"].items()
        >= {
            "feature_version": "v1.2.0",
            "feast_feature_hash": "d" * 64,
            "partition_first": "2026-05-01",
            "partition_last": "2026-05-09",
            "partition_count": "9",
            "snapshot": "771:771:",
            "event_first": "2026-04-01 00:00:01+00:00",
        }.items()
    )
    assert run["metrics"] == {"rows": 216.0, "events": 900.0, "null_rate/rejection_rate": 0.125}
    assert run["status"] == "FINISHED"


def test_a_record_says_what_each_feature_is_made_from_and_leads_to_its_page(mlflow: FakeMlflow, tracker_of: Callable[[], Tracker]) -> None:
    made_from = {"rejection_rate": ("occurred_at", "verdict"), "weekly": ("occurred_at",)}
    logged = tracker_of().log_or_keep(replace(RECORD, made_from=made_from))
    (run,) = mlflow.children()
    assert run["tags"]["detektor.column_lineage"] == "rejection_rate: occurred_at, verdict\nweekly: occurred_at"
    assert logged.url == f"{mlflow.address}/#/experiments/{mlflow.experiments['feature_materialization']}/runs/{logged.run_id}"


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_the_lineage_of_each_view_fits_a_tag(view: FeatureView) -> None:
    whole = replace(RECORD, made_from=columns_read(view)).identity()["detektor.column_lineage"]
    assert len(whole) < 4_000


def test_the_runs_of_a_backfill_have_one_parent(mlflow: FakeMlflow, tracker_of: Callable[[], Tracker]) -> None:
    tracker_of().log(RECORD)
    tracker_of().log(replace(RECORD, view="deployment_features", dagster={"dagster_run_id": "run-2"}))
    tracker_of().log(replace(RECORD, root="run:other"))
    assert len(mlflow.children()) == 3
    assert [parent["tags"]["detektor.root"] for parent in mlflow.parents()] == ["backfill:abcdefghij", "run:other"]


def test_of_two_parents_made_at_once_the_older_stays(
    mlflow: FakeMlflow, tracker_of: Callable[[], Tracker], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tracker_of().parent(RECORD.root)
    second = tracker_of()
    answers = iter([None])  # it looked before the first had made it
    search = second._oldest
    monkeypatch.setattr(second, "_oldest", lambda root: next(answers, None) or (search(root) if len(mlflow.runs) > 1 else None))
    assert second.parent(RECORD.root) == first
    assert len(mlflow.parents()) == 1


def test_finishing_ends_the_parent(mlflow: FakeMlflow, tracker_of: Callable[[], Tracker]) -> None:
    tracker = tracker_of()
    tracker.finish(RECORD.root, "FINISHED")
    assert not mlflow.runs
    tracker.log(RECORD)
    tracker.finish(RECORD.root, "FAILED")
    assert [parent["status"] for parent in mlflow.parents()] == ["FAILED"]


def test_a_server_that_is_down_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(TrackingUnavailableError, match=r"^MLflow does not answer: Connection refused\.\n") as error:
        down(tmp_path).ensure_experiment()
    assert "http://127.0.0.1:1" in str(error.value)
    assert "DETEKTOR_MLFLOW_TRACKING_URI" in str(error.value)


def test_another_homes_server_at_our_port_is_told_nothing(mlflow: FakeMlflow, tmp_path: Path) -> None:
    """It has the usual port while this home's MLflow does not run; the record waits for that."""
    tracker = Tracker(Settings(home=tmp_path, mlflow_port=mlflow.server_address[1]))
    kept = tracker.log_or_keep(RECORD)
    assert (kept.run_id, tracker.kept(), mlflow.runs, mlflow.experiments) == (None, 1, {}, {})
    assert kept.problem is not None
    assert "not this state directory's MLflow" in kept.problem


def test_an_address_that_is_no_server_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrackingUnavailableError, match="over HTTP"):
        Tracker(Settings(home=tmp_path, mlflow_tracking_uri="sqlite:///x.db")).ensure_experiment()


def test_a_server_that_hangs_up_after_each_answer_is_asked_again(mlflow: FakeMlflow, tracker_of: Callable[[], Tracker]) -> None:
    mlflow.hangs_up = True
    tracker = tracker_of()
    tracker.log(RECORD)
    tracker.log(replace(RECORD, view="deployment_features"))
    assert [run["status"] for run in mlflow.children()] == ["FINISHED", "FINISHED"]
    assert len(mlflow.parents()) == 1


@pytest.mark.parametrize(
    ("address", "variables", "sent"),
    [
        ("http://127.0.0.1", {}, None),
        ("http://me:it@127.0.0.1", {"MLFLOW_TRACKING_TOKEN": "t"}, "Basic bWU6aXQ="),
        ("http://127.0.0.1", {"MLFLOW_TRACKING_USERNAME": "me", "MLFLOW_TRACKING_PASSWORD": "żółw"}, "Basic bWU6xbzDs8WCdw=="),
        ("http://127.0.0.1", {"MLFLOW_TRACKING_TOKEN": "t"}, "Bearer t"),
    ],
)
def test_credentials_are_those_of_the_address_or_of_mlflows_own_variables(
    mlflow: FakeMlflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, variables: dict[str, str], sent: str | None
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login other password other\n", encoding="utf-8")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    tracker = Tracker(Settings(home=tmp_path, mlflow_tracking_uri=f"{address}:{mlflow.server_address[1]}"))
    run_id = tracker.log(RECORD)
    tracker.close()
    assert run_id in mlflow.runs
    assert mlflow.authorizations == {sent}


def test_a_text_that_mlflow_would_refuse_is_cut(mlflow: FakeMlflow, tracker_of: Callable[[], Tracker]) -> None:
    """MLflow takes 6,000 characters of a parameter and refuses the whole batch for a longer one; 800 failed days have more."""
    failed = tuple(f"{2_000 + number // 300}-01-{number % 300}" for number in range(800))
    made_from = {f"feature_{number}": ("occurred_at", "verdict") for number in range(300)}
    record = replace(RECORD, failed_days=failed, made_from=made_from)
    assert tracker_of().log_or_keep(record).problem is None

    (run,) = mlflow.children()
    assert run["params"]["failed_partitions"] == ",".join(failed)[:4_000]
    assert run["tags"]["detektor.column_lineage"] == record.identity()["detektor.column_lineage"][:4_000]
    assert max(map(len, (*run["params"].values(), *run["tags"].values()))) == 4_000


def test_what_could_not_be_logged_is_sent_by_a_later_run(mlflow: FakeMlflow, tracker_of: Callable[[], Tracker], tmp_path: Path) -> None:
    without = down(tmp_path)
    assert without.log_or_keep(RECORD).run_id is None
    assert without.log_or_keep(replace(RECORD, view="deployment_features")).problem
    assert without.kept() == 2
    later = replace(RECORD, view="coding_features", dagster={"dagster_run_id": "run-9"}, root="run:9")
    assert tracker_of().log_or_keep(later).problem is None
    assert sorted(run["tags"]["view"] for run in mlflow.children()) == ["code_review_features", "coding_features", "deployment_features"]
    assert {run["status"] for run in mlflow.children()} == {"FINISHED"}
    assert without.kept() == 0


def test_a_kept_record_that_was_sent_already_is_not_sent_again(
    mlflow: FakeMlflow, tracker_of: Callable[[], Tracker], tmp_path: Path
) -> None:
    down(tmp_path).log_or_keep(RECORD)
    tracker_of().log(RECORD)  # sent, and then the process died before it removed the file
    tracker = tracker_of()
    tracker.log_or_keep(replace(RECORD, dagster={"dagster_run_id": "run-2"}))
    assert len(mlflow.children()) == 2
    assert tracker.kept() == 0


def test_a_torn_file_in_the_outbox_is_set_aside(tracker_of: Callable[[], Tracker], tmp_path: Path) -> None:
    outbox = tmp_path / "mlflow-outbox"
    outbox.mkdir()
    (outbox / "1-torn.json").write_text('{"root": "run', encoding="utf-8")
    assert tracker_of().log_or_keep(RECORD).problem is None
    assert [file.name for file in outbox.glob("1-*")] == ["1-torn.unreadable"]


def test_the_code_revision_is_a_commit_or_what_the_image_says(monkeypatch: pytest.MonkeyPatch) -> None:
    code_revision.cache_clear()
    assert code_revision() == "unknown" or len(code_revision().removesuffix("-dirty")) == 40
    code_revision.cache_clear()
    monkeypatch.setenv("DETEKTOR_CODE_REVISION", "abc")
    assert code_revision() == "abc"
    code_revision.cache_clear()
