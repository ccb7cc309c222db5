"""What the engine's tests share: a view with every aggregation, random histories, and rows in comparable form."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from detektor_pipelines.language import (
    Feature,
    FeatureView,
    count,
    days,
    distinct,
    event,
    feature,
    first,
    hours,
    last,
    last_k,
    maximum,
    mean,
    minimum,
    minutes,
    quantile,
    rate,
    skewness,
    std,
    top_k,
    total,
    variance,
)
from detektor_pipelines.language.events import MEASURES
from detektor_pipelines.language.windows import DAY, HOUR, MINUTE
from support.oracle import Event

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from detektor_pipelines.language import Aggregation, Window
    from detektor_pipelines.language.expressions import Predicate
    from support.oracle import Row, Value

ORIGIN = 20_000 * DAY
"""A midnight in 2024."""
HISTORY = 45
"""Days that a random history spans."""
APART = 100 * DAY
"""More than a history, the longest window and its hop."""

FUNCTIONS: dict[str, Aggregation] = {
    "count": count(),
    "total": total(event.issues_found),
    "mean": mean(event.duration_ms),
    "rate": rate(event.verdict == "rejected"),
    "minimum": minimum(event.issues_found),
    "maximum": maximum(event.duration_ms + event.issues_found),
    "std": std(event.duration_ms),
    "last": last(event.issues_found),
    "last_at": last(event.occurred_at),
    "distinct": distinct(event.task_id),
    "quantile": quantile(event.duration_ms, "0.9", edges=(10, 1_000, 60_000, 3_600_000)),
}
PICKING: dict[str, Aggregation] = {
    "last_text": last(event.task_id),
    "first": first(event.issues_found),
    "first_at": first(event.occurred_at),
    "first_text": first(event.verdict),
    "last_k": last_k(event.task_id, 3),
    "last_k_numbers": last_k(event.issues_found, 2),
    "top_k": top_k(event.issues_found - event.duration_ms, 3),
    "variance": variance(event.issues_found),
    "skewness": skewness(event.duration_ms),
}
"""Those of texts, lists and higher moments: in a view of their own, since DuckDB's planning costs by the square of the features."""
FILTERS: dict[str, Predicate | None] = {"": None, "_rejected": (event.verdict == "rejected") | event.issues_found.is_null()}
ALL = tuple(FILTERS)
WINDOWS: tuple[Window, ...] = (minutes(45), hours(6), days(1), days(7), days(12), days(30))


def everything(windows: tuple[Window, ...] = WINDOWS, grain: int = HOUR, filters: tuple[str, ...] = ALL) -> FeatureView:
    """A view with every aggregation but those that pick over every window under each of the filters, and derived features."""
    features = _each_over(FUNCTIONS, windows, filters)
    label = windows[-1].label
    ratio = feature(f"total{filters[0]}_{label}") / feature(f"count{filters[-1]}_{label}")
    features.append(Feature("ratio", ratio, description="x", unit="x", null_means="x"))
    spread = (feature(f"mean{filters[0]}_{label}") - feature("ratio")) * 0.1 + 3
    features.append(Feature("spread", spread, description="x", unit="x", null_means="x"))
    return FeatureView("everything", "code-reviewer", "1.0.0", "tests", "All of it.", tuple(features), grain=grain)


def picking(windows: tuple[Window, ...] = WINDOWS, grain: int = HOUR, filters: tuple[str, ...] = ALL) -> FeatureView:
    """A view with the aggregations of texts, lists and higher moments over every window under each of the filters."""
    features = _each_over(PICKING, windows, filters)
    return FeatureView("picking", "code-reviewer", "1.0.0", "tests", "What picks events.", tuple(features), grain=grain)


def _each_over(functions: dict[str, Aggregation], windows: tuple[Window, ...], filters: tuple[str, ...]) -> list[Feature]:
    return [
        Feature(f"{name}{suffix}_{window.label}", value, over=window, where=FILTERS[suffix], description="x", unit="x", null_means="x")
        for window in windows
        for name, value in functions.items()
        for suffix in filters
    ]


def instants_strategy(span_days: int = HISTORY) -> st.SearchStrategy[int]:
    """Instants within the history, often on a boundary of a grain, a hop or a day, or one µs beside it."""
    step = st.sampled_from((5 * MINUTE, HOUR, DAY))
    boundary = st.tuples(step, st.integers(0, span_days * 288), st.sampled_from((-1, 0, 1))).map(
        lambda part: ORIGIN + min(part[0] * part[1], span_days * DAY) + part[2],
    )
    return st.one_of(boundary, st.integers(ORIGIN, ORIGIN + span_days * DAY))


def _measure(name: str) -> st.SearchStrategy[int | None]:
    measure = MEASURES[name]
    return st.one_of(
        st.none(),
        st.integers(measure.minimum, 12),
        st.sampled_from((measure.minimum, measure.maximum)),
        st.integers(measure.minimum, measure.maximum),
    )


@st.composite
def histories(draw: st.DrawFn, *, late: bool = True, size: int = 25) -> list[Event]:
    """Random events: ties, nulls, values at their maximum, late ones, superseded ones, with and without a project."""
    events = []
    pool = draw(st.lists(instants_strategy(), min_size=1, max_size=8))
    for number in range(draw(st.integers(0, size))):
        occurred = draw(st.one_of(st.sampled_from(pool), instants_strategy()))
        delays = st.one_of(st.just(0), st.integers(0, 2 * HOUR), st.integers(0, 40 * DAY), st.sampled_from((HOUR, DAY, 1)))
        values = {
            "operation": "review",
            "issues_found": draw(_measure("issues_found")),
            "duration_ms": draw(_measure("duration_ms")),
            "verdict": draw(st.sampled_from(("approved", "rejected", None))),
            "task_id": draw(st.sampled_from(("a", "b", "ż", None))),
        }
        events.append(
            Event(
                event_id=f"{draw(st.sampled_from('zaB'))}{number}",
                occurred_at=occurred,
                known_at=occurred + (draw(delays) if late else 0),
                project=draw(st.sampled_from((None, "p", "q"))),
                live=draw(st.sampled_from((True, True, True, False))),
                values=values,
            ),
        )
    return events


@st.composite
def revised_histories(draw: st.DrawFn, *, size: int = 10) -> list[Event]:
    """Random events of which some have further revisions, learnt of sooner or later: other values, another instant, retractions.

    As they stand in the log: `oracle.resolved` tells what became of each.
    """
    found = []
    for original in draw(histories(size=size)):
        revision = replace(original, live=True)
        found.append(revision)
        for number in range(2, 2 + draw(st.sampled_from((0, 1, 1, 2)))):
            delays = st.one_of(st.sampled_from((0, 1, HOUR, -HOUR)), st.integers(0, 3 * HOUR), st.integers(0, 40 * DAY))
            learnt = max(revision.known_at + draw(delays), revision.occurred_at)
            values = {
                **revision.values,
                "issues_found": draw(_measure("issues_found")),
                "verdict": draw(st.sampled_from(("approved", "rejected", None))),
                "task_id": draw(st.sampled_from(("a", "b", None))),
            }
            revision = replace(revision, revision=number, known_at=learnt, values=values, live=draw(st.sampled_from((True, True, False))))
            found.append(revision)
            if revision.live and draw(st.integers(0, 4)) == 0:
                moved = revision.occurred_at + draw(st.sampled_from((HOUR, DAY, 3, -DAY)))
                project = draw(st.sampled_from((None, "p", "q")))
                known = max(moved, learnt) if revision.known_at > revision.occurred_at else moved
                revision = replace(revision, revision=number + 10, occurred_at=moved, known_at=known, project=project)
                found.append(revision)
                break
    return found


def side_by_side(batches: Sequence[list[Event]]) -> list[list[Event]]:
    """The histories one after another, so far apart that no window of one holds an event of the next."""
    return [[_later(event, number * APART) for event in batch] for number, batch in enumerate(batches)]


def _later(event: Event, by: int) -> Event:
    until = None if event.until is None else event.until + by
    return replace(event, occurred_at=event.occurred_at + by, known_at=event.known_at + by, until=until)


def crafted() -> list[Event]:
    """A history with all that is easily got wrong: boundaries, ties, nulls, maxima, late and superseded events, one for each sort."""
    least, most = MEASURES["issues_found"].minimum, MEASURES["issues_found"].maximum
    longest = MEASURES["duration_ms"].maximum
    noon = ORIGIN + 12 * HOUR
    parts: list[tuple[int, int, str | None, int | None, int | None, str | None, str | None]] = [
        # occurred, delay, project, issues, duration, verdict, task
        (ORIGIN, 0, "p", most, longest, "rejected", "a"),
        (noon, 0, "p", least, 10, "approved", "a"),
        (noon, 0, "q", None, 11, None, "b"),
        (noon, 0, None, 3, None, "rejected", None),
        (noon + 1, 0, "p", most, longest, "approved", "ż"),
        (noon + 1, 30 * MINUTE, "p", 7, longest, "rejected", "b"),
        (noon + 20 * MINUTE, 3 * HOUR, "q", most, 60_000, "rejected", "a"),
        (noon + 20 * MINUTE, 40 * DAY, "p", 9, 1, None, "c"),
        (noon + DAY - 1, 5 * DAY, "q", 1, 999, "approved", "a"),
        (noon + 6 * DAY, HOUR, "p", None, None, None, "a"),
        (noon + 6 * DAY, 11 * DAY, "p", 4, 1_001, "approved", "d"),
        (ORIGIN + 11 * DAY + 1, 0, "q", 2, 10_000_000, "rejected", "a"),
        (ORIGIN + 29 * DAY, 2 * DAY, "p", most, longest, "approved", "b"),
    ]
    names = ("issues_found", "duration_ms", "verdict", "task_id")
    return [
        Event(f"{'zaB'[number % 3]}{number}", at, at + delay, project, number % 7 != 6, dict(zip(names, rest, strict=True)))
        for number, (at, delay, project, *rest) in enumerate(parts)
    ]


def event_table(view: FeatureView, events: list[Event]) -> pa.Table:
    """Events as the engine reads them."""
    import pyarrow as pa

    from detektor_pipelines.engine.compute import event_schema

    schema = event_schema(view)
    fixed = {
        "ts": [each.occurred_at for each in events],
        "known": [each.known_at for each in events],
        "event_id": [each.event_id for each in events],
        "live": [each.live for each in events],
        "until": [each.until for each in events],
        "project": [each.project for each in events],
    }
    columns = {name: fixed.get(name, [each.values.get(name) for each in events]) for name in schema.names}
    return pa.table(columns, schema=schema)


def comparable(table: pa.Table) -> list[Row]:
    """Rows as the oracle gives them."""
    names = table.column_names[3:]
    return [
        (row["agent_id"], _us(row["event_timestamp"]), _us(row["created_at"]), tuple(_plain(row[name]) for name in names))
        for row in table.to_pylist()
    ]


def _plain(value: Value | dt.datetime) -> Value:
    return _us(value) if isinstance(value, dt.datetime) else value


def _us(value: dt.datetime) -> int:
    return (value - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)
