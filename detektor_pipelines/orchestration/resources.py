"""What assets are given: the engine, the platform that checks ask, and the MLflow run they log to.

Tests give their own by `build_definitions(resource_overrides=…)`.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar

import dagster as dg
from dagster._core.storage.tags import BACKFILL_ID_TAG

from detektor_pipelines.settings import get_settings
from detektor_pipelines.stores.mlflow.tracking import EXPERIMENT, Logged, MaterializationRecord, Status, Tracker
from detektor_pipelines.stores.openlineage import LineageEvents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import date

    from detektor_pipelines.engine.materialize import Materialization, OnPart
    from detektor_pipelines.engine.online import OnlinePublication
    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings

Given = ParamSpec("Given")
Answer = TypeVar("Answer")


class Engine(Protocol):
    """What computes and publishes; `LocalEngine` is the real one."""

    def materialize(
        self, view: FeatureView, days: Sequence[date], *, resume: bool = False, on_part: OnPart | None = None
    ) -> Materialization:
        """Compute, audit and publish `days` of `view`, with `resume` only those that have to be; `on_part` hears of each part."""

    def publish_online(self, view: FeatureView, run_id: str | None = None) -> OnlinePublication:
        """Write each agent_id's newest row to the online store; `run_id` is what the values say of who wrote them."""


class Platform(Protocol):
    """What checks, observations and previews ask of the servers; `LocalPlatform` is the real one."""

    def ask(self, question: Callable[Concatenate[Settings, Given], Answer], *given: Given.args, **named: Given.kwargs) -> Answer:
        """Return what a function of the settings answers, one of `quality` or `stores`: whoever adds a check adds no method here."""


class LocalEngine:
    """The engine on the servers of `settings`, by default those of the environment, looked up when first used.

    In this process, or with DETEKTOR_ENGINE=spark in one beside it.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self._given = settings

    @property
    def settings(self) -> Settings:
        """Return the settings in force."""
        return self._given or get_settings()

    def materialize(
        self, view: FeatureView, days: Sequence[date], *, resume: bool = False, on_part: OnPart | None = None
    ) -> Materialization:
        """Compute, audit and publish `days` of `view`, with `resume` only those that have to be; `on_part` hears of each part.

        Raises:
            UserError: A server is down.

        """
        if self.settings.engine == "spark":
            from detektor_pipelines.orchestration import spark

            return spark.materialize(self.settings, view, days, resume=resume, on_part=on_part)
        from detektor_pipelines.engine.materialize import materialize

        return materialize(self.settings, view, days, resume=resume, on_part=on_part)

    def publish_online(self, view: FeatureView, run_id: str | None = None) -> OnlinePublication:
        """Write each agent_id's newest row to the online store; `run_id` is what the values say of who wrote them.

        Raises:
            UserError: A server is down.

        """
        from detektor_pipelines.engine.online import publish_online

        return publish_online(self.settings, view, writer=f"batch {run_id}" if run_id else None)


class LocalPlatform:
    """Asks in this process, on the servers of `settings` (by default those of the environment, looked up with each question)."""

    def __init__(self, settings: Settings | None = None) -> None:
        self._given = settings

    def ask(self, question: Callable[Concatenate[Settings, Given], Answer], *given: Given.args, **named: Given.kwargs) -> Answer:
        """Return what a function of the settings answers.

        Raises:
            UserError: A server is down.

        """
        return question(self._given or get_settings(), *given, **named)


class MlflowRun:
    """Where one Dagster run logs to in MLflow: our tracker, and dagster-mlflow's resource for those who want MLflow's own functions.

    Runs of one backfill, and retries of one run, hang under one parent in MLflow, found by the backfill's or the first run's id.
    """

    def __init__(self, context: dg.InitResourceContext, settings: Settings) -> None:
        self._context = context
        self._settings = settings
        self._tracker = Tracker(settings)
        self._lineage = LineageEvents(settings)
        self._status: Status = "FINISHED"
        run = context.run
        if run is None:
            message = "the mlflow resource belongs to a run"
            raise dg.DagsterInvariantViolationError(message)
        backfill = run.tags.get(BACKFILL_ID_TAG)
        root_run = run.root_run_id or run.run_id
        self.root = f"backfill:{backfill}" if backfill else f"run:{root_run}"
        self.dagster = {"dagster_run_id": run.run_id, "dagster_root_run_id": root_run} | (
            {"dagster_backfill_id": backfill} if backfill else {}
        )

    def log(self, record: MaterializationRecord) -> Logged:
        """Log one view's materialization; with MLflow down it is kept and sent by a later run. OpenLineage is told where it is wanted."""
        if record.status == "FAILED":
            self._status = "FAILED"
        self._lineage.materialization(record)
        return self._tracker.log_or_keep(record)

    @cached_property
    def functions(self) -> Any:
        """dagster-mlflow's resource, active on this root's parent run: `mlflow.functions.log_dict(…)` and all else that MLflow has.

        It is made when first used, because `import mlflow` takes four seconds and a materialization does not need it. The run id is given,
        since dagster-mlflow would otherwise look for a run by the tag of this Dagster run: a retry would start a second one.
        """
        from dagster_mlflow.resources import MlFlow

        configuration = {
            "experiment_name": EXPERIMENT,
            "mlflow_tracking_uri": self._settings.mlflow_uri,
            "mlflow_run_id": self._tracker.parent(self.root),
            "env": {},
            "extra_tags": {},
        }
        return MlFlow(self._context.replace_config(configuration))  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """End the parent run."""
        if "functions" in self.__dict__:
            self.functions.end_run()  # MLflow keeps an active run for the process: the next Dagster run must not inherit it
        self._lineage.finish()
        self._tracker.finish(self.root, self._status)
        self._tracker.close()


def mlflow_resource(settings: Settings | None = None) -> dg.ResourceDefinition:
    """Return the resource that gives each Dagster run its `MlflowRun`; `settings` are by default the environment's."""

    @dg.resource(description="The MLflow run of this Dagster run: our tracker over REST, and dagster-mlflow at need.")
    def mlflow(context: dg.InitResourceContext) -> Iterator[MlflowRun]:
        run = MlflowRun(context, settings or get_settings())
        try:
            yield run
        finally:
            run.close()

    return mlflow


def default_resources(settings: Settings | None = None) -> dict[str, Any]:
    """Return the resources of the real definitions."""
    return {"engine": LocalEngine(settings), "platform": LocalPlatform(settings), "mlflow": mlflow_resource(settings)}
