"""What is to be done to bring stores and processes to the definitions on disk: compared with what is registered, published and loaded.

Belongs here: finding out. Nothing is changed; `detektor apply` carries it out. The open day is left to the hourly run unless others are due
too: that it is not published yet says nothing of the definitions.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines.catalog import DECLARED, VIEWS
from detektor_pipelines.language.canonical import to_canonical
from detektor_pipelines.language.hashes import SHORT, data_hash
from detektor_pipelines.quality.freshness_report import history as days_of_history
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.feast import registered as feast_registered
from detektor_pipelines.stores.feast.registry import outdated
from detektor_pipelines.stores.mlflow.durations import rows_per_second
from detektor_pipelines.stores.mlflow.model_versions import model_versions
from detektor_pipelines.stores.mlflow.rest import TrackingUnavailableError
from detektor_pipelines.versions.changes import WHOLE_VIEW, Change, Changes
from detektor_pipelines.versions.lock import History, changes_since, unbumped
from detektor_pipelines.versions.processes import Process, processes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import psycopg

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stores.mlflow.model_versions import ModelVersion
    from detektor_pipelines.versions.lock import Released

_ROWS_A_SECOND: Final = 20_000
"""Where nothing is known of earlier runs: what `benchmarks/bench_backfill.py` found, 120,639 rows in 6 s."""

_EVENTS_A_SECOND: Final = 150_000
_A_VIEW_S: Final = 0.3
"""What a view takes whatever its size."""

_NEWEST: Final = """
SELECT data_hash FROM ml_learning.partition_state WHERE view = %s GROUP BY data_hash ORDER BY max(published_at) DESC, data_hash LIMIT 1
"""
_PUBLISHED: Final = "SELECT partition FROM ml_learning.partition_state WHERE view = %s AND data_hash = %s"
_ROWS_A_DAY: Final = """
SELECT sum(rows)::float / count(*) FROM ml_learning.partition_state WHERE view = %s AND partition = ANY(%s)
GROUP BY data_hash ORDER BY max(published_at) DESC LIMIT 1
"""
_EVENTS: Final = "SELECT count(*) FROM ml_learning.agent_events WHERE agent_type = %s"


@dataclass(frozen=True, slots=True)
class Before:
    """The version that is in use now: as Feast's registry says, or the one published last. `version` is empty where nobody knows it."""

    version: str
    data_hash: str
    registered: bool


@dataclass(frozen=True, slots=True)
class Work:
    """What has to be computed: days (ascending), rows and seconds about, and what the seconds are told from; None: nobody knows."""

    days: tuple[date, ...] = ()
    rows: int | None = None
    seconds: float = 0.0
    told_from: str = ""


@dataclass(frozen=True, slots=True)
class ViewPlan:
    """What becomes of one view.

    `changes`: since `before`, None when its definition is not known. `held`: the file's version, when a rollback holds the view at this
    one. `problem`: what is wrong with its version in the lock. `models`: registered model versions made from `before`, when that has other
    numbers; None when MLflow does not say. `register`: whether Feast's registry holds something else.
    """

    view: str
    version: str
    data_hash: str
    before: Before | None
    changes: Changes | None
    work: Work
    models: tuple[str, ...] | None = ()
    register: bool = False
    held: str | None = None
    problem: str | None = None

    @property
    def due(self) -> bool:
        """Whether there is something to do."""
        return bool(self.work.days) or self.register

    @property
    def replaces(self) -> bool:
        """Whether the version in use has other numbers."""
        return self.before is not None and self.before.data_hash != self.data_hash

    def as_data(self) -> dict[str, Any]:
        """Return it for JSON."""
        days = self.work.days
        return {
            "view": self.view,
            "version": self.version,
            "data_hash": self.data_hash,
            "before": asdict(self.before) if self.before else None,
            "changes": self.changes.as_data() if self.changes else None,
            "bump": self.changes.bump if self.changes else None,
            "days": len(days),
            "first_day": days[0] if days else None,
            "last_day": days[-1] if days else None,
            "rows": self.work.rows,
            "seconds": round(self.work.seconds, 1),
            "told_from": self.work.told_from,
            "models": None if self.models is None else list(self.models),
            "register": self.register,
            "held_instead_of": self.held,
            "problem": self.problem,
            "due": self.due,
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """All of it. `removed`: views that are registered and defined no more; `processes`: those that have other definitions loaded."""

    views: tuple[ViewPlan, ...]
    removed: tuple[str, ...] = ()
    processes: tuple[Process, ...] = ()

    @property
    def due(self) -> bool:
        """Whether there is something to do."""
        return bool(self.removed or self.processes) or any(view.due for view in self.views)

    def as_data(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "due": self.due,
            "views": [view.as_data() for view in self.views],
            "removed": list(self.removed),
            "processes": [each.as_data() for each in self.processes],
        }


def plan(
    settings: Settings, views: Sequence[FeatureView] = VIEWS, declared: Sequence[FeatureView] = DECLARED, history: History | None = None
) -> Plan:
    """Find out what is to be done.

    Args:
        settings: Where the servers are.
        views: The definitions in force, as they are on disk.
        declared: What the catalogue's files say.
        history: The versions that were released.

    Raises:
        UserError: PostgreSQL cannot be reached, or the lock cannot be read.

    """
    released, files = history or History(), {view.name: view for view in declared}
    due, span = outdated(settings, views), days_of_history(settings)
    registered = feast_registered.present(settings)
    models, rates = _models(settings), _rates(settings, [view.name for view in views])
    found = []
    with connect(settings) as connection:
        for view in views:
            before = _before(connection, view, registered, released)
            file = files.get(view.name)
            held = file is not None and data_hash(file) != data_hash(view)
            found.append(
                ViewPlan(
                    view.name,
                    view.version,
                    data_hash(view),
                    before,
                    _changes(settings, view, before, released, register=view.name in due.changed),
                    _work(connection, view, span, rates),
                    _users(models, before) if before and before.data_hash != data_hash(view) else (),
                    view.name in due.changed,
                    file.version if held and file else None,
                    unbumped(file, released) if file else None,
                )
            )
    return Plan(tuple(found), due.removed, tuple(each for each in processes(settings) if each.differs and each.name != "feast"))


def _before(
    connection: psycopg.Connection, view: FeatureView, registered: Mapping[str, feast_registered.Registered], history: History
) -> Before | None:
    found = registered.get(view.name)
    if found is not None:
        return Before(found.version, found.data_hash, registered=True)
    row = connection.execute(_NEWEST, (view.name,)).fetchone()
    if row is None:
        return None
    known = history.of_hash(view.name, row[0])
    return Before(known.locked.version if known else "", row[0], registered=False)


def definition_of(history: History, view: str, before: Before) -> Released | None:
    """Return the released definition of a version in use, None when the lock does not know it."""
    same = [each for each in history.of_view(view) if each.locked.data_hash == before.data_hash]
    return next((each for each in same if each.locked.version == before.version), same[-1] if same else None)


def _changes(settings: Settings, view: FeatureView, before: Before | None, history: History, *, register: bool) -> Changes | None:
    if before is None:
        return Changes((), "none")
    if before.data_hash == data_hash(view):
        return _texts(settings, view) if register and before.registered else Changes((), "none")
    known = definition_of(history, view.name, before)
    return None if known is None else changes_since(known, view)


def _texts(settings: Settings, view: FeatureView) -> Changes:
    """Return what people read otherwise in Feast's registry."""
    registered, found = feast_registered.texts(settings, view.name), []
    for each in to_canonical(view)["features"]:
        theirs = registered.get(each["name"], {})
        differing = [key for key, text in theirs.items() if text != each[key]]
        if differing:
            found.append(Change(each["name"], "text only", ", ".join(differing)))
    return Changes(tuple(found) or (Change(WHOLE_VIEW, "text only", "version, bounds, or texts of the view"),), "none")


def _work(connection: psycopg.Connection, view: FeatureView, span: tuple[date, date] | None, rates: Mapping[str, float]) -> Work:
    if span is None:
        return Work()
    published = {day for (day,) in connection.execute(_PUBLISHED, (view.name, data_hash(view)))}
    days = [day for day in (span[0] + timedelta(days=number) for number in range((span[1] - span[0]).days + 1)) if day not in published]
    if days == [span[1]] and published:
        return Work()
    if not days:
        return Work()
    row = connection.execute(_ROWS_A_DAY, (view.name, days)).fetchone()
    if row is None:
        events = connection.execute(_EVENTS, (view.agent,)).fetchone()
        return Work(tuple(days), None, _A_VIEW_S + (events[0] if events else 0) / _EVENTS_A_SECOND, "the number of events")
    rows = round(row[0] * len(days))
    told_from = "earlier materializations" if view.name in rates else "the number of rows"
    return Work(tuple(days), rows, _A_VIEW_S + rows / rates.get(view.name, _ROWS_A_SECOND), told_from)


def _models(settings: Settings) -> list[ModelVersion] | None:
    try:
        return model_versions(settings)
    except TrackingUnavailableError:
        return None


def _rates(settings: Settings, views: Sequence[str]) -> dict[str, float]:
    try:
        return rows_per_second(settings, views)
    except TrackingUnavailableError:
        return {}


def _users(models: Sequence[ModelVersion] | None, before: Before) -> tuple[str, ...] | None:
    return None if models is None else users(models, before.data_hash)


def users(models: Sequence[ModelVersion], digest: str) -> tuple[str, ...]:
    """Return the registered model versions that name a version's data hash: `code-reviewer v3`."""
    return tuple(f"{each.name} v{each.version}" for each in models if each.uses(digest[:SHORT]))
