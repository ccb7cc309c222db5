"""What is right: values and rows by the rules of `docs/semantics.md`, from nothing but events and a definition's canonical trees.

Shares no code with the product: no SQL, no windows, no expressions of its own. Written to be read beside the rules, not to be fast.
Instants are int µs UTC.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MINUTE = 60_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR

Value: TypeAlias = int | float | None
Tree: TypeAlias = Any


@dataclass(frozen=True)
class Record:
    """One revision of one event, as it stands in the log."""

    event_id: str
    revision: int
    ts: int
    known: int
    project: str | None
    retracted: bool = False
    said: Mapping[str, int | str | None] = field(default_factory=dict)

    def column(self, name: str) -> int | str | None:
        """The event's column of that name."""
        return {**self.said, "occurred_at": self.ts, "project": self.project}.get(name)


def hop_of(window: int) -> int:
    """Rule 9: 5 minutes below 12 hours, an hour below 12 days, else a day."""
    if window < 12 * HOUR:
        return 5 * MINUTE
    return HOUR if window < 12 * DAY else DAY


def up(instant: int, step: int) -> int:
    """The least multiple of a step that is not before an instant."""
    return instant + -instant % step


def leave(ts: int, window: int) -> int:
    """Rule 9: when an event is no longer in a window."""
    return up(ts, hop_of(window)) + window


def counting(records: Iterable[Record], known: int | None) -> list[Record]:
    """Rule 14: of each event the highest revision known by an instant, or of all there are; none where that one retracts the event."""
    highest: dict[str, Record] = {}
    for record in records:
        if known is None or record.known <= known:
            other = highest.get(record.event_id)
            if other is None or other.revision < record.revision:
                highest[record.event_id] = record
    return [record for record in highest.values() if not record.retracted]


def keys_of(agent: str, project: str | None) -> list[str]:
    """Rule 10: the agent, and the agent in its project."""
    return [agent] if project is None else [agent, f"{agent}@{project}"]


def all_keys(view: Any, records: Iterable[Record]) -> list[str]:
    """Every key that any revision ever counted for."""
    return sorted({key for record in records for key in keys_of(view.agent, record.project)})


def windows_of(view: Any) -> list[int]:
    """The view's windows in µs, shortest first."""
    return sorted({feature.over.size for feature in view.features if feature.over is not None})


def values(view: Any, records: Iterable[Record], key: str, t: int, known: int | None = None) -> dict[str, Value]:
    """All features of a key at an instant, with what was known at another: None is as known now, `t` is as served then."""
    own = sorted(
        (record for record in counting(records, known) if key in keys_of(view.agent, record.project)),
        key=lambda record: (record.ts, record.event_id.encode()),
    )
    inside = {window: [record for record in own if record.ts <= t < leave(record.ts, window)] for window in windows_of(view)}
    found: dict[str, Value] = {}
    for feature in view.features:
        if feature.over is None:
            found[feature.name] = derived(feature.value.canonical(), found)
            continue
        chosen = inside[feature.over.size]
        if feature.where is not None:
            tree = feature.where.canonical()
            chosen = [record for record in chosen if evaluate(tree, record) is True]
        found[feature.name] = aggregate(feature.value.canonical(), chosen)
    return found


def in_a_window(view: Any, records: Iterable[Record], key: str, t: int) -> list[Record]:
    """Events of the key that are in the longest window, as known now."""
    longest = windows_of(view)[-1]
    own = (record for record in counting(records, None) if key in keys_of(view.agent, record.project))
    return [record for record in own if record.ts <= t < leave(record.ts, longest)]


def changes(view: Any, records: Iterable[Record], key: str, start: int, end: int) -> list[int]:
    """Instants in (start, end] at which the value as known now may change."""
    found = set()
    for record in counting(records, None):
        if key in keys_of(view.agent, record.project):
            found |= {record.ts, *(leave(record.ts, window) for window in windows_of(view))}
    return sorted(t for t in found if start < t <= end)


def instants(view: Any, records: Iterable[Record], key: str, start: int, end: int) -> list[int]:
    """Rule 15: the instants of the grain in (start, end] at which there is a row for certain.

    Superseded revisions keep theirs. Left out: the becoming known of what had left the longest window by then.
    """
    grain = view.grain
    longest = windows_of(view)[-1]
    found = set()
    for record in records:
        if key in keys_of(view.agent, record.project):
            exact = {record.ts, *(leave(record.ts, window) for window in windows_of(view))}
            known = max(record.ts, record.known)
            if up(known, grain) < up(leave(record.ts, longest), grain):
                exact.add(known)
            found |= {up(t, grain) for t in exact}
    return sorted(t for t in found if start < t <= end)


def evaluate(tree: Tree, record: Record) -> int | str | bool | None:  # noqa: PLR0911  one line an operator
    """Three-valued expressions over one event; None is unknown, and null."""
    name, *parts = tree
    if name == "column":
        return record.column(parts[0])
    if name == "constant":
        return parts[0]
    if name == "is_null":
        return evaluate(parts[0], record) is None
    if name == "not":
        inner = evaluate(parts[0], record)
        return None if inner is None else not inner
    left, right = (evaluate(part, record) for part in parts)
    if name in ("and", "or"):
        return _logic(decides=name == "or", sides=(left, right))
    if left is None or right is None:
        return None
    return _binary(name, left, right)


def _logic(*, decides: bool, sides: tuple[Any, Any]) -> bool | None:
    if decides in sides:
        return decides
    return None if None in sides else not decides


def _binary(name: str, a: Any, b: Any) -> int | bool:
    return {
        "+": lambda: a + b,
        "-": lambda: a - b,
        "*": lambda: a * b,
        "=": lambda: a == b,
        "<>": lambda: a != b,
        "<": lambda: a < b,
        "<=": lambda: a <= b,
        ">": lambda: a > b,
        ">=": lambda: a >= b,
    }[name]()


def aggregate(tree: Tree, records: Sequence[Record]) -> Value:  # noqa: C901, PLR0911  one line an aggregation
    """Rule 11, over events that are in the window and pass the filter, in order."""
    name, operand, *rest = tree
    if name == "count":
        return len(records)
    found = [value for record in records if (value := evaluate(operand, record)) is not None]
    n = len(found)
    if name == "distinct":
        return len(set(found))
    if name == "total":
        return sum(found)
    if not n:
        return None
    if name == "mean":
        return float(sum(found)) / float(n)
    if name == "rate":
        return float(found.count(True)) / float(n)
    if name == "minimum":
        return min(found)
    if name == "maximum":
        return max(found)
    if name == "last":
        return found[-1]
    if name == "std":
        return math.sqrt(float(n * sum(x * x for x in found) - sum(found) ** 2) / float(n * (n - 1))) if n > 1 else None
    if name == "quantile":
        numerator, denominator, edges = rest[:3]
        at_rank = sorted(found)[math.ceil(Fraction(numerator, denominator) * n) - 1]
        return min(edge for edge in (*edges, max(found)) if edge >= at_rank)
    raise AssertionError(tree)


def derived(tree: Tree, named: Mapping[str, Value]) -> float | None:
    """Float arithmetic over features: null in, null out; no result that is not finite."""
    name, *parts = tree
    if name == "feature":
        value = named[parts[0]]
        return None if value is None else float(value)
    if name == "number":
        return float.fromhex(parts[0])
    a, b = (derived(part, named) for part in parts)
    if a is None or b is None or (name == "/" and b == 0):
        return None
    result = {"+": a.__add__, "-": a.__sub__, "*": a.__mul__, "/": a.__truediv__}[name](b)
    return result if math.isfinite(result) else None
