"""What every event must hold before it is stored, whatever reader it came from: types, ranges, vocabularies, time.

The rules are those of `language.events`; nothing about an operation, a measure or a category is written here.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines.clock import now_us, parse_instant
from detektor_pipelines.language.events import (
    AGENT_TYPES,
    CATEGORIES,
    EXTRA_CATEGORIES,
    EXTRA_MEASURES,
    IDENTITIES,
    MEASURES,
    OPERATIONS,
    UNMAPPED,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from detektor_pipelines.language.events import Category, Measure, Operation
    from detektor_pipelines.language.records import AgentEvent

FUTURE_TOLERANCE_US: Final = 5_000_000
"""How far an event may lie ahead of the platform's clock: two machines never agree to the microsecond."""

HELD_US: Final = 7 * 86_400_000_000
"""How far ahead a live event may lie to be held until its instant: a clock that is a week ahead is no clock, what it says is refused."""

EARLIEST_US: Final = parse_instant("2020-01-01")
"""No agent of this kind wrote logs before; a date of 1970 would otherwise open twenty thousand daily partitions."""

IDENTIFIER_LIMIT: Final = 200
TEXT_LIMIT: Final = 256
ATTRIBUTES_LIMIT: Final = 16_384
"""Bytes of an event's attributes as JSON: a few allowed keys, not the log itself."""

ATTRIBUTES_DEPTH: Final = 32
"""How deep they may be nested: what reads them again goes down in them."""

_REMEMBERED: Final = 8192
_SHORT: Final = 300
_PROJECT: Final = re.compile(r"[a-z0-9._-]{1,100}")
_KNOWN_AGENTS: Final = frozenset({*AGENT_TYPES, UNMAPPED})


def problem(event: AgentEvent, now: int | None = None) -> tuple[str, str] | None:
    """Find the first thing that is wrong with an event.

    Args:
        event: Whatever a reader made; no field is trusted.
        now: The platform's clock in µs, read again when left out.

    Returns:
        None, or the reason and the value that gave it: ("duration_ms is below its minimum 0", "-5"). Reasons hold no values, so that they
        can be counted.

    """
    measures, categories = event.measures, event.categories
    common = (event.raw_name, event.source, event.project, event.session_id, event.agent_type, event.operation)
    alike = (*common, *measures, None, *categories.items())
    try:
        is_known = alike in _FINE
    except TypeError:  # a list or an object, where a text should be
        is_known = False
    if is_known:
        return (
            _in_text("event_id", event.event_id, IDENTIFIER_LIMIT)
            or (None if event.task_id is None else _in_text("task_id", event.task_id, IDENTIFIER_LIMIT))
            or _in_time(event, now_us() if now is None else now)
            or _in_measures(measures)
            or _in_attributes(event.attributes)
            or _in_extra(event.extra)
        )
    found = (
        _in_identity(event)
        or _in_time(event, now_us() if now is None else now)
        or _in_operation(event)
        or _in_measures(measures)
        or _in_categories(categories)
        or _in_attributes(event.attributes)
        or _in_extra(event.extra)
    )
    if found is None and len(event.source) <= _SHORT:  # the checks bound everything else
        if len(_FINE) >= _REMEMBERED:
            _FINE.clear()
        _FINE.add(alike)
    return found


_FINE: Final[set[tuple[object, ...]]] = set()
"""Of events without a problem what many others have too: names, operation, which measures, and categories with their values. Texts equal
nothing but the same texts, so what is found here needs no second look."""


def _in_identity(event: AgentEvent) -> tuple[str, str] | None:
    for name, value, limit in (
        ("event_id", event.event_id, IDENTIFIER_LIMIT),
        ("raw_name", event.raw_name, TEXT_LIMIT),
        ("source", event.source, None),
    ):
        if found := _in_text(name, value, limit):
            return found
    for name in IDENTITIES:
        value = getattr(event, name)
        if value is not None and (found := _in_text(name, value, IDENTIFIER_LIMIT)):
            return found
    if event.project is not None and not _PROJECT.fullmatch(event.project):
        return "project holds other characters than a-z 0-9 . _ -", event.project
    if event.agent_type not in _KNOWN_AGENTS:
        return "agent_type is not one of the agents", str(event.agent_type)
    return None


def _in_text(name: str, value: Any, limit: int | None) -> tuple[str, str] | None:
    reason = _text_problem(value, limit)
    return (f"{name} {reason}", str(value)) if reason else None


def _in_time(event: AgentEvent, now: int) -> tuple[str, str] | None:
    at, known_at = event.occurred_at, event.known_at
    found = _instant_problem("occurred_at", at, now)
    return found if found or known_at is None or known_at is at else _instant_problem("known_at", known_at, now)


def _instant_problem(name: str, instant: Any, now: int) -> tuple[str, str] | None:
    if not _is_integer(instant):
        return f"{name} is not a timestamp in µs", str(instant)
    if instant < EARLIEST_US:
        return f"{name} is before 2020", str(instant)
    return (f"{name} is in the future", str(instant)) if instant > now + FUTURE_TOLERANCE_US else None


def _in_operation(event: AgentEvent) -> tuple[str, str] | None:
    operation = OPERATIONS.get(event.operation)
    if operation is None:
        return "unknown operation", str(event.operation)
    present = event.measures.keys() | event.categories.keys()
    allowed, required = _columns(operation)
    strange = present - allowed
    if strange:
        name = min(strange)
        known = name in MEASURES or name in CATEGORIES
        return (f"{operation.name} has no {name}" if known else "unknown measure or category"), name
    for name in required:
        if name not in present:
            return f"{operation.name} lacks {name}", ""
    return None


def _in_measures(measures: Mapping[str, Any]) -> tuple[str, str] | None:
    for name, value in measures.items():
        measure = MEASURES.get(name)
        if measure is None:
            return "unknown measure or category", name
        if type(value) is int and measure.minimum <= value <= measure.maximum:
            continue
        if found := _measure_problem(name, measure, value):
            return found
    return None


def _measure_problem(name: str, measure: Measure, value: Any) -> tuple[str, str] | None:
    if not _is_integer(value):
        return f"{name} is not a whole number", str(value)
    if value < measure.minimum:
        return f"{name} is below its minimum {measure.minimum}", str(value)
    if value > measure.maximum:
        return f"{name} is above its maximum {measure.maximum}", str(value)
    return None


def _in_categories(categories: Mapping[str, Any]) -> tuple[str, str] | None:
    for name, value in categories.items():
        category = CATEGORIES.get(name)
        if category is None:
            return "unknown measure or category", name
        if found := _category_problem(name, category, value):
            return found
    return None


def _category_problem(name: str, category: Category, value: Any) -> tuple[str, str] | None:
    reason = _text_problem(value, TEXT_LIMIT)
    if reason:
        return f"{name} {reason}", str(value)
    if category.values and value not in category.values:
        return f"{name} is not one of {', '.join(category.values)}", str(value)
    return None


def _in_extra(extra: Mapping[str, Any]) -> tuple[str, str] | None:
    """Hold measures and categories of one's own to their declarations; what nobody declared is refused, for no feature could read it."""
    for name, value in extra.items():
        if (measure := EXTRA_MEASURES.get(name)) is not None:
            found = _measure_problem(f"extra.{name}", measure, value)
        elif (category := EXTRA_CATEGORIES.get(name)) is not None:
            found = _category_problem(f"extra.{name}", category, value)
        else:
            found = ("extra holds what no detektor.toml declares", str(name))
        if found:
            return found
    return None


def _in_attributes(attributes: Any) -> tuple[str, str] | None:
    import orjson

    if not attributes:
        return None
    try:
        written = orjson.dumps(dict(attributes))
    except (TypeError, ValueError) as error:
        return "attributes are not a JSON object", str(error)
    if len(written) > ATTRIBUTES_LIMIT:
        return "attributes are longer than 16 KiB of JSON", f"{len(written)} bytes"
    if written.count(b"{") + written.count(b"[") > ATTRIBUTES_DEPTH and _depth(attributes) > ATTRIBUTES_DEPTH:
        return f"attributes are nested more than {ATTRIBUTES_DEPTH} deep", ""
    if b"\\u0000" in written and b"\\u0000" in written.replace(b"\\\\", b""):
        return "attributes hold a character that cannot be stored (U+0000)", ""
    return None


def _depth(value: Any) -> int:
    """How deep objects and lists stand in each other."""
    level, depth = [value], 0
    while level := [each for each in level if isinstance(each, dict | list)]:
        depth += 1
        level = [inner for each in level for inner in (each.values() if isinstance(each, dict) else each)]
    return depth


def _text_problem(value: Any, limit: int | None) -> str | None:
    if not isinstance(value, str):
        return "is not text"
    if not value:
        return "is empty"
    if limit is not None and len(value) > limit:
        return f"is longer than {limit} characters"
    if not value.isprintable() and any(sign == "\x00" or "\ud800" <= sign <= "\udfff" for sign in value):
        return "holds a character that cannot be stored (U+0000 or half a surrogate pair)"
    return None


def _is_integer(value: Any) -> bool:
    return type(value) is int or (isinstance(value, int) and not isinstance(value, bool))


@lru_cache(maxsize=64)
def _columns(operation: Operation) -> tuple[frozenset[str], tuple[str, ...]]:
    return frozenset({*operation.measures, *operation.categories}), operation.required
