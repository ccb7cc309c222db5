"""What the tests of the rules share: a small view of whatever a rule is about, events with instants as text, and reads of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from detektor_pipelines.clock import from_us, parse_instant, to_us
from detektor_pipelines.engine.compute import compute
from detektor_pipelines.language import Aggregation, Derived, Feature, FeatureView
from detektor_pipelines.language.windows import HOUR
from support.engine_cases import event_table
from support.oracle import Event

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from detektor_pipelines.language import Window
    from detektor_pipelines.language.expressions import Predicate

AGENT = "code-reviewer"
Definition = Derived | tuple[Aggregation, "Window"] | tuple[Aggregation, "Window", "Predicate"]


def view_of(
    definitions: Mapping[str, Definition] | None = None, *, grain: int = HOUR, name: str = "rule_features", **more: Definition
) -> FeatureView:
    """A view of the code-reviewer: name=(aggregation, window), name=(aggregation, window, filter) or name=derived."""
    features = []
    for feature, definition in {**(definitions or {}), **more}.items():
        value, over, where = (*definition, None, None)[:3] if isinstance(definition, tuple) else (definition, None, None)
        features.append(Feature(feature, value, over, where, "x", "x", "x"))
    return FeatureView(name, AGENT, "1.0.0", "x", "x", tuple(features), grain=grain)


def happened(
    at: str,
    *,
    event_id: str = "e",
    known: str | None = None,
    until: str | None = None,
    project: str | None = None,
    live: bool = True,
    **values: Any,
) -> Event:
    """A review at an instant of text, known at once unless said otherwise; one with `until` was superseded by what was learnt then."""
    learnt = None if until is None else parse_instant(until)
    counts = live and until is None
    return Event(event_id, parse_instant(at), parse_instant(known or at), project, counts, {"operation": "review", **values}, until=learnt)


def rows_of(
    view: FeatureView, events: Sequence[Event], *, start: str = "2026-02-01", end: str = "2026-06-01", cutoff: str | None = None
) -> list[dict[str, Any]]:
    """All rows in (start, end] in order: agent_id, `at` and `known` as text such as "03-05 10:00", and the features."""
    until = None if cutoff is None else parse_instant(cutoff)
    table = compute(view, event_table(view, list(events)), start=parse_instant(start), end=parse_instant(end), cutoff=until)
    return [
        {
            "agent_id": row.pop("agent_id"),
            "at": short(to_us(row.pop("event_timestamp"))),
            "known": short(to_us(row.pop("created_at"))),
            **row,
        }
        for row in table.to_pylist()
    ]


def instants_of(rows: Sequence[dict[str, Any]], agent_id: str = AGENT) -> list[str]:
    """The distinct instants of an agent's rows."""
    return list(dict.fromkeys(row["at"] for row in rows if row["agent_id"] == agent_id))


def read(rows: Sequence[dict[str, Any]], at: str, feature: str, *, agent_id: str = AGENT, as_served: bool = False) -> Any:
    """The feature in the newest row not after `at`, as it was served then or as known now; KeyError before the first."""
    found = [row for row in rows if row["agent_id"] == agent_id and row["at"] <= at and not (as_served and row["known"] != row["at"])]
    if not found:
        raise KeyError(at)
    return max(found, key=lambda row: (row["at"], row["known"]))[feature]


def short(us: int) -> str:
    """An instant of 2026 as text that sorts: "03-05 10:00", with seconds where there are any."""
    instant = from_us(us)
    text = instant.strftime("%m-%d %H:%M")
    return text if us % 60_000_000 == 0 else f"{text}:{instant.strftime('%S.%f')}"
