"""A backfill from the command line: what has to be computed, in how few runs, and those runs one after another."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

from detektor_pipelines.language.calendar import between
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.offline.staleness import view_state

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from detektor_pipelines.engine.materialize import DayResult
    from detektor_pipelines.engine.online import OnlinePublication
    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.orchestration.resources import Engine
    from detektor_pipelines.orchestration.run import RunSummary
    from detektor_pipelines.settings import Settings

    OnDay = Callable[[FeatureView, DayResult], None]

GAP: Final = 31
"""Days: due days further apart than this are two runs. A run costs about a second, recording a kept day of eight views a fortieth of it."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one run is given: views, the range of days of all of them, and how many (view, day) pairs of it are due."""

    views: tuple[FeatureView, ...]
    first: date
    last: date
    due: int


@dataclass
class Backfill:
    """What became of a backfill: its runs, and by view name each day that was computed or kept."""

    runs: list[RunSummary] = field(default_factory=list)
    days: dict[str, list[DayResult]] = field(default_factory=dict)

    @property
    def cancelled(self) -> bool:
        """Whether a person ended it."""
        return any(run.cancelled for run in self.runs)

    @property
    def succeeded(self) -> bool:
        """Whether all of it was published."""
        return all(run.succeeded for run in self.runs)

    @property
    def publications(self) -> dict[str, OnlinePublication]:
        """By view name, what the last run published online."""
        return {name: publication for run in self.runs for name, publication in run.publications.items()}

    @property
    def problems(self) -> dict[str, str]:
        """By view name, in words, what went wrong."""
        return {name: problem for run in self.runs for name, problem in run.problems.items()}


def due_batches(settings: Settings, views: Sequence[FeatureView], first: date, last: date) -> list[Batch]:
    """Return the runs that publish what is missing or stale of `views` from `first` to `last`; none when nothing is.

    Due are also days that Dagster does not know to be published, and the last day of a view whose online values are behind: a run was
    killed before it came to that. The next one keeps such days and says so.

    Raises:
        UserError: PostgreSQL cannot be reached.

    """
    with connect(settings) as connection:
        states = {view: view_state(connection, view, first, last) for view in views}
    due = {view: {*state.missing, *state.stale} for view, state in states.items()}
    for view, days in _unfinished(settings, views, first, last).items():
        due[view] |= days
    return batches({view: sorted(days) for view, days in due.items()})


def _unfinished(settings: Settings, views: Sequence[FeatureView], first: date, last: date) -> dict[FeatureView, set[date]]:
    from detektor_pipelines.orchestration.instance import persistent_instance
    from detektor_pipelines.orchestration.keys import features_key
    from detektor_pipelines.orchestration.requests import behind

    days = set(between(first, last))
    with persistent_instance(settings) as instance:
        found = {view: days - set(map(date.fromisoformat, instance.get_materialized_partitions(features_key(view)))) for view in views}
        for view in behind(instance, views):
            found[view].add(last)
    return found


def batches(due: Mapping[FeatureView, Sequence[date]]) -> list[Batch]:
    """Return few runs that cover the `due` days (ascending) of each view: a new one after a gap in which no view has a due day."""
    groups: list[list[date]] = []
    for day in sorted({day for days in due.values() for day in days}):
        if not groups or day - groups[-1][-1] > timedelta(days=GAP):
            groups.append([])
        groups[-1].append(day)
    made = []
    for group in groups:
        counts = {view: sum(group[0] <= day <= group[-1] for day in days) for view, days in due.items()}
        made.append(Batch(tuple(view for view, count in counts.items() if count), group[0], group[-1], sum(counts.values())))
    return made


def run_batches(
    settings: Settings, wanted: Sequence[Batch], *, everything: bool = False, on_day: OnDay | None = None, engine: Engine | None = None
) -> Backfill:
    """Run the batches in this process, each as one Dagster run; a failed one does not keep the next from running, Ctrl-C does.

    Args:
        settings: Where the servers are.
        wanted: What to run.
        everything: Compute days again that are published and not stale.
        on_day: Hears of each day that was computed or kept.
        engine: Computes and publishes; for tests.

    Raises:
        UserError: There is no such partition, or PostgreSQL does not answer.

    """
    from detektor_pipelines.orchestration.run import materialize_range

    done = Backfill()

    def note(view: FeatureView, day: DayResult) -> None:
        noted = done.days.setdefault(view.name, [])
        if all(each.day != day.day for each in noted):  # a step that is tried again tells of its days again
            noted.append(day)
            if on_day:
                on_day(view, day)

    for batch in wanted:
        summary = materialize_range(settings, batch.views, batch.first, batch.last, note, resume=not everything, engine=engine)
        done.runs.append(summary)
        if done.cancelled:
            break
    return done
