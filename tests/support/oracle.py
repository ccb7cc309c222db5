"""The naive oracle: what a feature's value is, written as the rules read, one event at a time and with no cleverness.

It shares the definitions' own scalar expressions with the engine and nothing else: no deltas, no SQL, no finaliser.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from detektor_pipelines.language.aggregations import Aggregation
from detektor_pipelines.language.derived import Combination, Derived, Number, Reference
from detektor_pipelines.language.windows import ceil_to

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from detektor_pipelines.language.views import Feature, FeatureView
    from detektor_pipelines.language.windows import Window

Value = int | float | str | None
Row = tuple[str, int, int, tuple[Value, ...]]


@dataclass(frozen=True)
class Event:
    """One revision of an event of the view's agent; instants in µs.

    A history that `resolved` has not seen says with `live` whether the revision itself is not a retraction. In one that it has seen the
    highest revision alone is live, and `until` is when the platform learnt better of one that was superseded.
    """

    event_id: str
    occurred_at: int
    known_at: int
    project: str | None = None
    live: bool = True
    values: Mapping[str, int | str | None] = field(default_factory=dict)
    revision: int = 1
    until: int | None = None

    def served_until(self, leave: int) -> int:
        """When it ceases to count in the form "as served", of one that is in the window until `leave`."""
        if self.live:
            return leave
        return self.occurred_at if self.until is None else min(leave, self.until)

    def row(self) -> dict[str, int | str | None]:
        """Columns as expressions see them."""
        return {**self.values, "occurred_at": self.occurred_at, "project": self.project}


def resolved(history: Iterable[Event]) -> list[Event]:
    """The history with each revision told what became of it, one event at a time."""
    history = list(history)
    found = []
    for each in history:
        higher = [other.known_at for other in history if other.event_id == each.event_id and other.revision > each.revision]
        found.append(replace(each, live=each.live and not higher, until=min(higher) if each.live and higher else None))
    return found


def rows(view: FeatureView, events: Iterable[Event], *, start: int, end: int, cutoff: int | None = None) -> list[Row]:
    """Every row of the view with its instant in (start, end], in order."""
    found: list[Row] = []
    by_key: dict[str, list[Event]] = {}
    for event in events:
        by_key.setdefault(view.agent, []).append(event)
        if event.project is not None:
            by_key.setdefault(f"{view.agent}@{event.project}", []).append(event)
    last = end if cutoff is None else min(end, cutoff)
    for key, own in by_key.items():
        for t in sorted(instants(view, own)):
            if start < t <= last:
                found.extend(versions(view, key, own, t))
    return sorted(found, key=lambda row: (row[0].encode(), row[1], row[2]))


def instants(view: FeatureView, events: Iterable[Event]) -> set[int]:
    """Grain instants t with an enter or a leave of an event, in any window, in (t - grain, t]."""
    found: set[int] = set()
    for event in events:
        exact = [event.occurred_at, *(window.leave(event.occurred_at) for window in view.windows)]
        served = max(event.occurred_at, event.known_at)
        found |= {ceil_to(instant, view.grain) for instant in exact}
        # An event that became known after the longest window had let it go never entered anything.
        if ceil_to(served, view.grain) < ceil_to(view.longest.leave(event.occurred_at), view.grain):
            found.add(ceil_to(served, view.grain))
        # One that was superseded after it had entered, and before it left by itself, leaves there.
        until = event.occurred_at if event.until is None else event.until
        if ceil_to(served, view.grain) < ceil_to(until, view.grain) < ceil_to(view.longest.leave(event.occurred_at), view.grain):
            found.add(ceil_to(until, view.grain))
    return found


def versions(view: FeatureView, key: str, events: Sequence[Event], t: int) -> list[Row]:
    """The row as served at t, and the one as known now where it differs."""
    served = values(view, events, t, as_served=True)
    now = values(view, events, t, as_served=False)
    if served == now:
        return [(key, t, t, served)]
    late = []
    for event in events:
        learnt = event.known_at if event.until is None else event.until
        if takes_part(view, event) and event.occurred_at <= t < min(learnt, view.longest.leave(event.occurred_at)):
            late.append(learnt)
    return [(key, t, t, served), (key, t, max(late), now)]


def takes_part(view: FeatureView, event: Event) -> bool:
    """Whether the event can make a difference: some feature lets it through, and it counts or did until the platform learnt better."""
    filters = [each.where for each in view.features if isinstance(each.value, Aggregation)]
    return (event.live or event.until is not None) and any(where is None or where.evaluate(event.row()) is True for where in filters)


def values(view: FeatureView, events: Sequence[Event], t: int, *, as_served: bool) -> tuple[Value, ...]:
    """All feature values at instant t."""
    named: dict[str, Value] = {}
    for each in view.features:
        if isinstance(each.value, Aggregation):
            assert each.over is not None
            inside = present(events, each, each.over, t, as_served=as_served)
            named[each.name] = aggregate(each.value, inside)
        else:
            named[each.name] = derive(each.value, named)
    return tuple(named.values())


def present(events: Sequence[Event], feature: Feature, window: Window, t: int, *, as_served: bool) -> list[Event]:
    """Events in the window at t that pass the filter, by (occurred_at, event_id): of those known now the live ones alone."""
    inside = []
    for event in events:
        leave = window.leave(event.occurred_at)
        enter = max(event.occurred_at, event.known_at) if as_served else event.occurred_at
        gone = event.served_until(leave) if as_served else leave
        passes = feature.where is None or feature.where.evaluate(event.row()) is True
        if (event.live or as_served) and passes and enter <= t < gone:
            inside.append(event)
    return sorted(inside, key=lambda event: (event.occurred_at, event.event_id.encode()))


def aggregate(aggregation: Aggregation, events: Sequence[Event]) -> Value:  # noqa: C901, PLR0911, PLR0912  one line a function
    """The aggregation over events in order."""
    if aggregation.operand is None:
        return len(events)
    found = [value for event in events if (value := aggregation.operand.evaluate(event.row())) is not None]
    if aggregation.function == "distinct":
        return len(set(found))
    if aggregation.function in ("first", "last", "last_k", "top_k"):
        return picked(aggregation, found)
    known = [int(value) for value in found]
    n = len(known)
    match aggregation.function:
        case "total":
            return sum(known)
        case _ if not n:
            return None
        case "mean":
            return float(sum(known)) / float(n)
        case "rate":
            return float(sum(value == 1 for value in known)) / float(n)
        case "minimum":
            return min(known)
        case "maximum":
            return max(known)
        case "std" | "variance":
            top = n * sum(x * x for x in known) - sum(known) ** 2
            variance = float(top) / float(n * (n - 1)) if n > 1 else None
            return variance if variance is None or aggregation.function == "variance" else math.sqrt(variance)
        case "skewness":
            # By the distances from the mean, n times each, so that they are whole: n·Σd² and n·Σd³ of the textbook times n².
            distances = [n * x - sum(known) for x in known]
            squares, cubes = (sum(each**power for each in distances) for power in (2, 3))
            assert squares % n == cubes % n == 0
            if n < 3 or not squares:
                return None
            spread, lean = float(squares // n), float(cubes // n)
            return lean / (spread * math.sqrt(spread)) * (math.sqrt(float(n * (n - 1))) / float(n - 2))
        case "quantile":
            # The quantile itself is not told, only up to which edge it may reach, nor anything above what was seen.
            value = sorted(known)[math.ceil(Fraction(aggregation.q or 0) * n) - 1]
            return min(edge for edge in (*aggregation.edges, max(known)) if edge >= value)
    raise AssertionError(aggregation)


def picked(aggregation: Aggregation, found: Sequence[int | str | bool]) -> Value:
    """The first, the last or a list of the values in order, as JSON."""
    if not found:
        return None
    match aggregation.function:
        case "first":
            return found[0]
        case "last":
            return found[-1]
        case "last_k":
            chosen = list(reversed(found))[: aggregation.k]
        case _:
            chosen = sorted(found, key=int, reverse=True)[: aggregation.k]
    return "[" + ",".join(json.dumps(each, ensure_ascii=False) for each in chosen) + "]"


def derive(value: Derived, named: Mapping[str, Value]) -> float | None:
    """Float arithmetic; null in, null out; a zero divisor or a result that is not finite is null."""
    match value:
        case Reference(name):
            found = named[name]
            return None if found is None else float(found)
        case Number(number):
            return number
        case Combination(operator, left, right):
            a, b = derive(left, named), derive(right, named)
            if a is None or b is None or (operator == "/" and b == 0):
                return None
            result = {"+": a.__add__, "-": a.__sub__, "*": a.__mul__, "/": a.__truediv__}[operator](b)
            return result if math.isfinite(result) else None
    raise AssertionError(value)
