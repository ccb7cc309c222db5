"""OpenLineage: what a materialization and a training run read and wrote, told to whoever keeps a house's lineage (Marquez, DataHub, …).

    DETEKTOR_OPENLINEAGE_URL=http://marquez:5000    events go to /api/v1/lineage there; without it nothing is sent, and nothing imported

    job  <project>  features.<view>      agent_events → feast.<view>__<hash>, with column lineage and the version of the definition
    job  <project>  training.<agent>     agent_events → the training set and, where one is made, the registered model

A START and a COMPLETE or FAIL each, sent by the client's own thread. A server that is away costs nothing but its events: `finish` waits for
two seconds at most, and says in one line what was not sent.

Belongs here: the events. Does not belong here: finding lineage again, which is `training.lineage`.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit
from uuid import NAMESPACE_URL, uuid5

from detektor_pipelines.compile.feast import SCHEMA
from detektor_pipelines.language.hashes import SHORT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stores.mlflow.tracking import MaterializationRecord

ENDPOINT: Final = "api/v1/lineage"
_PRODUCER: Final = "https://github.com/detektor-features"
_LOG: Final = "ml_learning.agent_events"
_FINISH_S: Final = 2.0
_ANSWER_S: Final = 2.0
_TRANSPORT_LOG: Final = "openlineage.client.transport.async_http"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingRun:
    """One run that trained a model, or made a set. `run_id`: MLflow's. `views`: view → data hash. `model`: name of what was registered."""

    run_id: str
    agent: str
    label: str
    training_set_hash: str
    views: Mapping[str, str]
    started_ms: int
    ended_ms: int
    status: str = "FINISHED"
    references: Sequence[str] = ()
    snapshot: str = ""
    model: str | None = None


class LineageEvents:
    """Sends events in the background; does nothing without a URL."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._transport: Any = None
        self._lock = threading.Lock()

    def materialization(self, record: MaterializationRecord) -> None:
        """Tell of a view's materialization."""
        if not self._settings.openlineage_url:
            return
        dagster = record.dagster.get("dagster_run_id", record.root)
        name = f"{SCHEMA}.{record.view}__{record.data_hash[:SHORT]}"
        outputs = [self._table(name, version=record.data_hash, made_from=record.made_from)]
        facts = {
            "featureVersion": f"v{record.version}",
            "dataHash": record.data_hash,
            "snapshot": record.snapshot,
            "days": "/".join(record.days[:2]),
            "rowsHash": record.rows_hash,
            "codeRevision": record.code_revision,
            "dagsterRun": record.dagster.get("dagster_run_id", ""),
        }
        identity = f"{dagster}/{record.view}/{record.days[0]}/{record.days[1]}/{record.started_ms}"
        span = (record.started_ms, record.ended_ms, record.status)
        self._send(identity, f"features.{record.view}", span, [self._table(_LOG)], outputs, facts)

    def training(self, run: TrainingRun) -> None:
        """Tell of a training run."""
        if not self._settings.openlineage_url:
            return
        names = [f"training_set.{run.training_set_hash[:SHORT]}", *([f"model.{run.model}"] if run.model else [])]
        outputs = [self._table(names[0], version=run.training_set_hash), *(self._table(name) for name in names[1:])]
        inputs = [self._table(_LOG), *(self._table(f"{SCHEMA}.{view}__{each[:SHORT]}", version=each) for view, each in run.views.items())]
        facts = {
            "label": run.label,
            "trainingSetHash": run.training_set_hash,
            "snapshot": run.snapshot,
            "features": ", ".join(run.references),
            "mlflowRun": run.run_id,
        }
        self._send(run.run_id, f"training.{run.agent}", (run.started_ms, run.ended_ms, run.status), inputs, outputs, facts)

    def finish(self) -> str | None:
        """Wait for what is on its way, two seconds at most; return what is wrong in a line, None when all was sent. Never raises."""
        with self._lock:
            transport, self._transport = self._transport, None
        if transport is None:
            return None
        sent = transport.wait_for_completion(_FINISH_S)
        transport.may_exit.set()  # its thread ends when it has nothing to do, and with the process at the latest
        failed = transport.get_stats()["failed"]
        if sent and not failed:
            return None
        what = f"{failed or 'Some'} lineage events were not taken by {_without_secrets(self._settings.openlineage_url or '')}."
        problem = f"{what} What was computed stands; correct or unset DETEKTOR_OPENLINEAGE_URL."
        _log.warning(problem)
        return problem

    def _send(
        self, identity: str, job: str, span: tuple[int, int, str], inputs: list[Any], outputs: list[Any], facts: Mapping[str, str]
    ) -> None:
        """Hand START and the end to the client's thread; a fault of theirs must not stop what they tell of."""
        from openlineage.client.event_v2 import Job, Run, RunEvent, RunState

        started, ended, status = span
        facets = {"detektor": _facet({name: text for name, text in facts.items() if text})}
        run = Run(runId=str(uuid5(NAMESPACE_URL, f"detektor/{self._settings.project}/{identity}")), facets=facets)
        about: dict[str, Any] = {"run": run, "job": Job(namespace=self._settings.project, name=job), "producer": _PRODUCER}
        end = RunState.COMPLETE if status == "FINISHED" else RunState.FAIL
        try:
            transport = self._connected()
            for state, at in ((RunState.START, started), (end, ended)):
                transport.emit(RunEvent(eventType=state, eventTime=_instant(at), inputs=inputs, outputs=outputs, **about))
        except Exception as error:  # noqa: BLE001 - lineage is never in the way
            _log.warning("A lineage event was not sent: %s", error)

    def _connected(self) -> Any:
        with self._lock:
            if self._transport is None:
                self._transport = _transport(self._settings.openlineage_url or "")
            return self._transport

    def _table(self, name: str, *, version: str = "", made_from: Mapping[str, Sequence[str]] | None = None) -> Any:
        from openlineage.client.event_v2 import OutputDataset
        from openlineage.client.facet_v2 import column_lineage_dataset, dataset_version_dataset

        facets: dict[str, Any] = {}
        if version:
            facets["version"] = dataset_version_dataset.DatasetVersionDatasetFacet(datasetVersion=version)
        if made_from:
            fields = {
                column: column_lineage_dataset.Fields(
                    inputFields=[
                        column_lineage_dataset.InputField(namespace=self._namespace, name=self._name(_LOG), field=each) for each in columns
                    ]
                )
                for column, columns in made_from.items()
            }
            facets["columnLineage"] = column_lineage_dataset.ColumnLineageDatasetFacet(fields=fields)
        return OutputDataset(namespace=self._namespace, name=self._name(name), facets=facets)

    @property
    def _namespace(self) -> str:
        return f"postgres://{self._settings.postgres_host}:{self._settings.postgres_port}"

    def _name(self, name: str) -> str:
        return f"{self._settings.postgres_database}.{name}"


def _transport(url: str) -> Any:
    """Return the client's own transport: a thread of its own, one try an event."""
    from openlineage.client.transport.async_http import AsyncHttpConfig, AsyncHttpTransport

    logging.getLogger(_TRANSPORT_LOG).setLevel(logging.CRITICAL)  # a stack for each event of a server that is away; `finish` says it once
    return AsyncHttpTransport(
        AsyncHttpConfig(
            url=url if url.endswith("/") else f"{url}/",
            endpoint=ENDPOINT,
            timeout=_ANSWER_S,
            retry={"total": 0, "backoff_factor": 0.1, "status_forcelist": []},
        )
    )


def _facet(facts: Mapping[str, str]) -> Any:
    import attr
    from openlineage.client.generated.base import RunFacet

    kind = attr.make_class("DetektorRunFacet", {name: attr.ib(default="") for name in facts}, bases=(RunFacet,))
    return kind(**facts)


def _instant(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1_000, UTC).isoformat()


def _without_secrets(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}" if parts.scheme else url
