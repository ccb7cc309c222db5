"""What MLflow is told about a materialization, over MLflow's REST API.

MLflow's own client is not imported: it takes three to four seconds, more than the calls of a whole backfill. The server being down stops
nothing: a record that cannot be logged is kept in the home directory (`home/mlflow-outbox`) and sent by the next materialization.

Belongs here: runs, their names, tags, parameters and metrics. Does not belong here: models and experiments, which are trained with MLflow's
own client, and Dagster, whose run ids come in as plain text.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from detektor_pipelines.files import replace_file, turn
from detektor_pipelines.stores.mlflow.rest import Rest, TrackingUnavailableError

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings

EXPERIMENT: Final = "feature_materialization"
ROOT_TAG: Final = "detektor.root"
LINEAGE_TAG: Final = "detektor.column_lineage"
"""Tag with a line for each feature: the columns of the raw log that it is made from."""

_LONGEST_TEXT: Final = 4_000
"""Characters of a parameter or tag; MLflow refuses more than 6,000."""

_EXPERIMENT_TAGS: Final = {"mlflow.note.content": "One run for each feature view and Dagster run, under one parent for each backfill."}

Status = Literal["FINISHED", "FAILED"]


def first_page(settings: Settings) -> str:
    """Return the page where the materializations are listed; MLflow's own first page while there are none, or while it does not answer."""
    rest = Rest.of(settings)
    try:
        found = rest.call("GET", "experiments/get-by-name", {"experiment_name": EXPERIMENT}, absent_is_none=True)
    except TrackingUnavailableError:
        found = None
    finally:
        rest.close()
    return f"{rest.page}/#/experiments/{found['experiment']['experiment_id']}/runs" if found else rest.page


@dataclass(frozen=True)
class MaterializationRecord:
    """One view's part of one Dagster run.

    Attributes:
        root: What ties runs together: `backfill:<id>`, or `run:<id>` of the first run of a chain of retries.
        agent, view: Their names.
        version: Of the definition (`1.0.0`).
        data_hash, metadata_hash: Of the definition.
        status: FAILED when a day did not pass the gate.
        days: First and last day (ISO) and their number.
        failed_days: Those that published nothing (ISO).
        counts: Metrics: rows, rows_written, events, days_published, ….
        null_rates: Share of nulls by feature.
        events: First and last instant of the events read (ISO), or None.
        snapshot: The `pg_snapshot` of the run's one transaction.
        rows_hash: Over the hashes of the days.
        made_from: By feature, the columns of the raw log that it is made from.
        dagster: `dagster_run_id`, `dagster_root_run_id`, `dagster_backfill_id` (absent without a backfill).
        started_ms, ended_ms: Unix milliseconds, real time.
        code_revision: The git commit that computed it.

    """

    root: str
    agent: str
    view: str
    version: str
    data_hash: str
    metadata_hash: str
    status: Status
    days: tuple[str, str, int]
    rows_hash: str
    counts: dict[str, float]
    started_ms: int
    ended_ms: int
    failed_days: tuple[str, ...] = ()
    null_rates: dict[str, float] = field(default_factory=dict)
    events: tuple[str, str] | None = None
    snapshot: str = ""
    made_from: dict[str, tuple[str, ...]] = field(default_factory=dict)
    dagster: dict[str, str] = field(default_factory=dict)
    code_revision: str = "unknown"

    def identity(self) -> dict[str, str]:
        """Return what is found by search: names, version, hashes, the runs of Dagster."""
        return {
            "agent": self.agent,
            "view": self.view,
            "feature_version": f"v{self.version}",
            "feast_feature_hash": self.data_hash,
            "rows_hash": self.rows_hash,
            "code_revision": self.code_revision,
            ROOT_TAG: self.root,
            **({LINEAGE_TAG: self._lineage()} if self.made_from else {}),
        } | self.dagster

    def _lineage(self) -> str:
        return "\n".join(f"{feature}: {', '.join(columns)}" for feature, columns in self.made_from.items())

    def params(self) -> dict[str, str]:
        """Return what the run was asked to do and what it read."""
        first, last, count = self.days
        events = {"event_first": self.events[0], "event_last": self.events[1]} if self.events else {}
        failed = {"failed_partitions": ",".join(self.failed_days)} if self.failed_days else {}
        return {
            "agent": self.agent,
            "view": self.view,
            "feature_version": f"v{self.version}",
            "feast_feature_hash": self.data_hash,
            "feature_metadata_hash": self.metadata_hash,
            "rows_hash": self.rows_hash,
            "partition_first": first,
            "partition_last": last,
            "partition_count": str(count),
            "snapshot": self.snapshot,
            **events,
            **failed,
        }

    def metrics(self) -> dict[str, float]:
        """Return the counts, and the share of nulls as `null_rate/<feature>`.

        Each is logged once, in a run of its own: of two values under one key and step MLflow 3.17.2 shows not the last one that was logged
        but the latest by timestamp, and of one timestamp the larger (findings/mlflow-metric-corrected.sh).
        """
        return self.counts | {f"null_rate/{name}": rate for name, rate in self.null_rates.items()}


class Logged(NamedTuple):
    """Where a record went: an MLflow run and its page, or the outbox and why."""

    run_id: str | None
    problem: str | None
    url: str | None = None


class Tracker:
    """Logs materializations to one MLflow server.

    Args:
        settings: Say where the server is, and the home directory with the outbox.

    """

    def __init__(self, settings: Settings) -> None:
        self._rest = Rest.of(settings)
        self._outbox = settings.home / "mlflow-outbox"
        self._parents: dict[str, str] = {}
        self._experiments: dict[str, str] = {}
        self._problem: str | None = None
        self._swept = False

    def ensure_experiment(self, name: str = EXPERIMENT) -> str:
        """Return the id of the experiment `name`, which is made when it does not exist.

        Raises:
            TrackingUnavailableError: The server is down, or the experiment was deleted.

        """
        if name not in self._experiments:
            self._experiments[name] = self._find_experiment(name) or self._create_experiment(name)
        return self._experiments[name]

    def parent(self, root: str) -> str:
        """Return the run that all materializations of `root` hang under, which is made when it does not exist.

        Raises:
            TrackingUnavailableError: The server is down.

        """
        if root not in self._parents:
            self._parents[root] = self._oldest(root) or self._create_parent(root)
        return self._parents[root]

    def log(self, record: MaterializationRecord) -> str:
        """Write `record` as a run under its root's parent and return its id.

        Raises:
            TrackingUnavailableError: The server is down or refuses it.

        """
        tags = record.identity() | {"mlflow.parentRunId": self.parent(record.root), "mlflow.source.git.commit": record.code_revision}
        run_id = self._create_run(f"{record.view} {record.days[0]}…{record.days[1]}", record.started_ms, tags)
        batch = {
            "run_id": run_id,
            "params": _pairs(record.params()),
            "metrics": [{"key": key, "value": value, "timestamp": record.ended_ms, "step": 0} for key, value in record.metrics().items()],
        }
        self._rest.call("POST", "runs/log-batch", batch)
        self._end(run_id, record.status, record.ended_ms)
        return run_id

    def log_or_keep(self, record: MaterializationRecord) -> Logged:
        """Write `record`, or keep it in the outbox when the server is down: the next call that reaches the server sends it.

        After the first failure this object asks the server no more, so that a run of many views waits once.
        """
        if self._problem is None:
            try:
                run_id = self.log(record)
                self._send_kept()
            except TrackingUnavailableError as error:
                self._problem = str(error)
            else:
                return Logged(run_id, None, self._page(run_id))
        self._keep(record)
        return Logged(None, self._problem)

    def finish(self, root: str, status: Status) -> None:
        """End the parent run of `root`; does nothing when none was made here. A server that is down meanwhile is not an error."""
        if root in self._parents and self._problem is None:
            try:
                self._end(self._parents[root], status, time.time_ns() // 1_000_000)
            except TrackingUnavailableError as error:
                self._problem = str(error)

    def close(self) -> None:
        """Close the connection to the server."""
        self._rest.close()

    def kept(self) -> int:
        """Return how many records wait in the outbox."""
        return len(list(self._outbox.glob("*.json")))

    def _page(self, run_id: str) -> str:
        """Return the run's page in MLflow's user interface."""
        return f"{self._rest.page}/#/experiments/{self.ensure_experiment()}/runs/{run_id}"

    # Runs and experiments ------------------------------------------------------------------------------------------------

    def _find_experiment(self, name: str) -> str | None:
        answer = self._rest.call("GET", "experiments/get-by-name", {"experiment_name": name}, absent_is_none=True)
        if answer is None:
            return None
        experiment = answer["experiment"]
        if experiment.get("lifecycle_stage") == "deleted":
            raise TrackingUnavailableError(
                f"The MLflow experiment {name!r} was deleted.",
                where=self._rest.address,
                fix=f"Run `mlflow experiments restore --experiment-id {experiment['experiment_id']}`.",
            )
        return str(experiment["experiment_id"])

    def _create_experiment(self, name: str) -> str:
        try:
            return str(self._rest.answer("POST", "experiments/create", {"name": name, "tags": _pairs(_EXPERIMENT_TAGS)})["experiment_id"])
        except TrackingUnavailableError:
            found = self._find_experiment(name)  # another process made it in between
            if found is None:
                raise
            return found

    def _oldest(self, root: str) -> str | None:
        """Return the parent of `root`; of two made by processes that started together the older one, for both."""
        found = self._search(f"tags.`{ROOT_TAG}` = '{root}' AND tags.`detektor.role` = 'parent'", ["attributes.start_time ASC"])
        return found[0] if found else None

    def _create_parent(self, root: str) -> str:
        kind, _, identity = root.partition(":")
        tags = {ROOT_TAG: root, "detektor.role": "parent", f"dagster_{'backfill' if kind == 'backfill' else 'root_run'}_id": identity}
        mine = self._create_run(f"{kind} {identity[:8]}", time.time_ns() // 1_000_000, tags)
        oldest = self._oldest(root) or mine
        if oldest != mine:
            self._rest.call("POST", "runs/delete", {"run_id": mine})
        return oldest

    def _search(self, where: str, order: list[str]) -> list[str]:
        question = {"experiment_ids": [self.ensure_experiment()], "filter": where, "order_by": order, "max_results": 2}
        return [str(run["info"]["run_id"]) for run in self._rest.answer("POST", "runs/search", question).get("runs", [])]

    def _create_run(self, name: str, started_ms: int, tags: dict[str, str]) -> str:
        own = {"mlflow.source.type": "JOB", "mlflow.source.name": "detektor_pipelines", "mlflow.user": "detektor"}
        body = {"experiment_id": self.ensure_experiment(), "run_name": name, "start_time": started_ms, "tags": _pairs(own | tags)}
        return str(self._rest.answer("POST", "runs/create", body)["run"]["info"]["run_id"])

    def _end(self, run_id: str, status: Status, ended_ms: int) -> None:
        self._rest.call("POST", "runs/update", {"run_id": run_id, "status": status, "end_time": ended_ms})

    # The outbox ----------------------------------------------------------------------------------------------------------

    def _keep(self, record: MaterializationRecord) -> None:
        self._outbox.mkdir(parents=True, exist_ok=True)
        name = f"{record.ended_ms}-{record.view}-{record.dagster.get('dagster_run_id', 'no-run')}.json"
        replace_file(self._outbox / name, json.dumps(asdict(record)))

    def _send_kept(self) -> None:
        """Send what earlier runs could not, once for this object; another process that sends at the moment is left to it."""
        if self._swept or not self._outbox.is_dir():
            return
        self._swept = True
        with turn(self._outbox / "lock") as alone:
            for file in sorted(self._outbox.glob("*.json")) if alone else ():
                self._send(file)

    def _send(self, file: Path) -> None:
        try:
            record = _record(json.loads(file.read_text(encoding="utf-8")))
        except (ValueError, TypeError, KeyError):
            file.rename(file.with_suffix(".unreadable"))
            return
        run_id = record.dagster.get("dagster_run_id", "")
        already = self._search(f"tags.dagster_run_id = '{run_id}' AND tags.view = '{record.view}'", []) if run_id else []
        if not already:
            self.log(record)
            self._end(self.parent(record.root), record.status, record.ended_ms)
        file.unlink()


@cache
def code_revision() -> str:
    """Return the git commit of the code that runs, with `-dirty` when files differ from it, else `unknown`.

    `DETEKTOR_CODE_REVISION` comes first, for images without a git directory.
    """
    given = os.environ.get("DETEKTOR_CODE_REVISION")
    if given:
        return given
    words = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip() or "unknown"


def _pairs(values: dict[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value[:_LONGEST_TEXT]} for key, value in values.items()]


def _record(content: dict[str, Any]) -> MaterializationRecord:
    first, last, count = content.pop("days")
    events = content.pop("events")
    return MaterializationRecord(
        days=(first, last, count),
        events=(events[0], events[1]) if events else None,
        failed_days=tuple(content.pop("failed_days")),
        **content,
    )
