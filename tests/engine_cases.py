"""What the engine's tests share: a view with every aggregation, random histories, and rows in comparable form."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from hypothesis import strategies as st
from oracle import Event

from detektor_pipelines.language import (
    Feature,
    FeatureView,
    count,
    days,
    distinct,
    event,
    feature,
    hours,
    last,
    maximum,
    mean,
    minimum,
    minutes,
    quantile,
    rate,
    std,
    total,
)
from detektor_pipelines.language.events import MEASURES
from detektor_pipelines.language.windows import DAY, HOUR, MINUTE

if TYPE_CHECKING:
    import pyarrow as pa
    from oracle import Row

    from detektor_pipelines.language import Aggregation, Window

ORIGIN = 20_000 * DAY
"""A midnight in 2024."""
HISTORY = 45

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
WINDOWS: tuple[Window, ...] = (minutes(45), hours(6), days(1), days(7), days(12), days(30))


def everything(windows: tuple[Window, ...] = WINDOWS, grain: int = HOUR) -> FeatureView:
    """A view with every aggregation over every window, with and without a filter, and derived features."""
    filters = {"": None, "_rejected": (event.verdict == "rejected") | event.issues_found.is_null()}
    features = [
        Feature(f"{name}{suffix}_{window.label}", value, over=window, where=where, description="x", unit="x", null_means="x")
        for window in windows
        for name, value in FUNCTIONS.items()
        for suffix, where in filters.items()
    ]
    label = windows[-1].label
    ratio = feature(f"total_{label}") / feature(f"count_rejected_{label}")
    features.append(Feature("ratio", ratio, description="x", unit="x", null_means="x"))
    spread = (feature(f"mean_{label}") - feature("ratio")) * 0.1 + 3
    features.append(Feature("spread", spread, description="x", unit="x", null_means="x"))
    return FeatureView("everything", "code-reviewer", "1.0.0", "tests", "All of it.", tuple(features), grain=grain)


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


def _plain(value: object) -> object:
    return _us(value) if isinstance(value, dt.datetime) else value


def _us(value: dt.datetime) -> int:
    return (value - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)
