"""Small YAML cases for whoever writes a feature: input events → expected values, run in memory, no server needed.

    view: code_review_features
    cases:
      - name: one of two reviews sent the work back
        events:
          - {at: 2026-03-05 10:00, operation: review, project: shop, verdict: rejected, issues_found: 3}
          - {at: 2026-03-05 10:20, operation: review, project: shop, verdict: approved, issues_found: 0}
        expect:
          - at: 2026-03-05 11:00
            values: {recent_reviews_count: 2, rejection_rate: 0.5, avg_issues_per_review: 1.5}
          - {at: 2026-03-07 00:00, agent_id: code-reviewer@shop, values: {recent_reviews_count: 0}}

An event takes `at` (an instant, UTC), `operation`, any identity, measure or category, those that a catalogue of one's own declares under
`extra: {…}`, and optionally `known_at` (default: `at`) and `event_id`. An expectation names an instant, optionally `agent_id` (default:
the agent across all projects) and `known_at` (what was known by then; default: all), and any of the view's features: what a read at that
instant gives, that is the newest row not after it.
Before the first row every value is null. Numbers match within 1e-12, instants are written as instants, null as null.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines import clock
from detektor_pipelines.catalog import DECLARED, view_named
from detektor_pipelines.engine.as_of import known_by, values_at, values_of_nothing
from detektor_pipelines.engine.compute import compute, event_schema, row_schema
from detektor_pipelines.errors import UserError
from detektor_pipelines.language.calendar import owner, start_us
from detektor_pipelines.language.events import (
    CATEGORIES,
    EXTRA_CATEGORIES,
    EXTRA_MEASURES,
    IDENTITIES,
    MEASURES,
    OPERATIONS,
    extra_category_column,
    extra_measure_column,
)
from detektor_pipelines.language.windows import DAY, floor_to
from detektor_pipelines.stores.offline.newest import ROW

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import pyarrow as pa

    from detektor_pipelines.language.events import Operation
    from detektor_pipelines.language.views import FeatureView

_CASE_KEYS: Final = frozenset(("name", "events", "expect"))
_EVENT_KEYS: Final = frozenset(("at", "known_at", "event_id", "operation", "extra", *IDENTITIES, *MEASURES, *CATEGORIES))
_EXPECTATION_KEYS: Final = frozenset(("at", "agent_id", "known_at", "values"))
_CLOSE: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One expected value that did not come out."""

    case: str
    at: str
    agent_id: str
    feature: str
    expected: object
    found: object


@dataclass(frozen=True, slots=True)
class CaseResult:
    """One case: how many values were checked, and which did not match."""

    view: str
    name: str
    checked: int
    mismatches: tuple[Mismatch, ...]


def run_file(path: Path) -> Iterator[CaseResult]:
    """Run each case of a file.

    Raises:
        UserError: The file is no such YAML; names the file, the case and what is allowed.

    """
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: no UTF-8, or a date such as 2026-13-01
        raise UserError(
            "The cases cannot be read.", where=f"{path}: {error}", fix="Fix the file; docs/feature-tests.md shows one."
        ) from error
    if not isinstance(content, dict) or not isinstance(content.get("cases"), list):
        raise _wrong(path, "it wants the keys view and cases")
    try:
        view = view_named(str(content.get("view")), DECLARED)
    except KeyError as error:
        raise _wrong(path, str(error.args[0])) from None
    for number, case in enumerate(content["cases"], 1):
        where = f"{path}, case {number}"
        if not isinstance(case, dict) or not isinstance(case.get("events") or [], list) or not isinstance(case.get("expect"), list):
            raise _wrong(where, "a case wants the lists events and expect")
        _only(case, _CASE_KEYS, "a case", where)
        yield run_case(view, case, where)


def run_case(view: FeatureView, case: Mapping[str, Any], where: str) -> CaseResult:
    """Compute the case's events and compare what it expects.

    Raises:
        UserError: An unknown key, feature or instant.

    """
    events = [_event(each, number, where) for number, each in enumerate(case.get("events") or [])]
    expectations = [_expectation(view, each, where) for each in case["expect"]]
    table = _table(view, events)
    rows = _rows(view, table, max((each["at"] for each in expectations), default=0))
    name = str(case.get("name", where))
    mismatches, checked = [], 0
    for expected in expectations:
        found = _read(rows, expected) if expected["known_at"] is None else _known(view, table, expected)
        for feature, value in expected["values"].items():
            checked += 1
            if not _matches(value, found.get(feature)):
                at = clock.from_us(expected["at"]).isoformat()
                mismatches.append(Mismatch(name, at, expected["agent_id"], feature, _shown(value), _shown(found.get(feature))))
    return CaseResult(view.name, name, checked, tuple(mismatches))


def _table(view: FeatureView, events: list[dict[str, Any]]) -> pa.Table:
    import pyarrow as pa

    schema = event_schema(view)
    return pa.table({name: [event.get(name) for event in events] for name in schema.names}, schema=schema)


def _rows(view: FeatureView, events: pa.Table, last: int) -> list[dict[str, Any]]:
    first = min(events["ts"].to_pylist(), default=0)
    rows = compute(view, events, start=start_us(owner(first)), end=max(floor_to(last, DAY) + DAY, first), cutoff=last)
    instants = [field.name for field in row_schema(view) if str(field.type).startswith("timestamp")]
    for name in instants:
        rows = rows.set_column(rows.column_names.index(name), name, rows[name].cast("int64"))
    found: list[dict[str, Any]] = rows.to_pylist()
    return found


def _read(rows: list[dict[str, Any]], expected: Mapping[str, Any]) -> dict[str, Any]:
    """Return the last row not after the instant, as known now."""
    seen = [row for row in rows if row["agent_id"] == expected["agent_id"] and row["event_timestamp"] <= expected["at"]]
    return max(seen, key=lambda row: [row[name] for name in ROW if name in row], default={})


def _known(view: FeatureView, events: pa.Table, expected: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values at the last instant of the grain with the knowledge asked for, nothing where nothing was known by then."""
    instant, agent_id = floor_to(expected["at"], view.grain), expected["agent_id"]
    project = agent_id.partition("@")[2]
    known = known_by(events, expected["known_at"])
    happened = any(
        at <= instant and project in {"", of} for at, of in zip(known["ts"].to_pylist(), known["project"].to_pylist(), strict=True)
    )
    values = values_at(view, known, instant).get(agent_id, values_of_nothing(view))
    return dict(zip((each.name for each in view.features), values, strict=True)) if happened else {}


def _event(content: Any, number: int, where: str) -> dict[str, Any]:
    place = f"{where}, event {number + 1}"
    if not isinstance(content, dict) or "at" not in content or "operation" not in content:
        raise _wrong(place, "an event wants at and operation")
    _only(content, _EVENT_KEYS, "an event", place)
    operation = OPERATIONS.get(content["operation"])
    if operation is None:
        raise _wrong(place, f"operation {content['operation']!r} is not one of {', '.join(OPERATIONS)}")
    for name, value in content.items():
        if reason := _problem(operation, name, value):
            raise _wrong(place, f"{name}: {value!r} {reason}")
    at = _instant(content["at"], place)
    known = _instant(content["known_at"], place) if "known_at" in content else at
    event_id = str(content.get("event_id", f"{number:06d}"))
    return {**content, **_extra(content.get("extra"), place), "ts": at, "known": known, "event_id": event_id, "live": True}


def _extra(content: Any, where: str) -> dict[str, Any]:
    """Return measures and categories of one's own under the names of their columns."""
    if not isinstance(content or {}, dict):
        raise _wrong(where, "extra is no mapping, such as {tickets_closed: 3}")
    columns: dict[str, Any] = {}
    for name, value in (content or {}).items():
        if (measure := EXTRA_MEASURES.get(name)) is not None:
            whole = isinstance(value, int) and not isinstance(value, bool)
            fits, column = whole and measure.minimum <= value <= measure.maximum, extra_measure_column(name)
            allowed = f"whole numbers from {measure.minimum} to {measure.maximum}"
        elif (category := EXTRA_CATEGORIES.get(name)) is not None:
            fits, column = isinstance(value, str) and value in (category.values or (value,)), extra_category_column(name)
            allowed = ", ".join(category.values) or "any text"
        else:
            declared = ", ".join((*EXTRA_MEASURES, *EXTRA_CATEGORIES)) or "nothing"
            raise _wrong(where, f"extra.{name} is not declared in detektor.toml; declared: {declared}")
        if not fits and value is not None:
            raise _wrong(where, f"extra.{name}: {value!r} is none of its values ({allowed})")
        columns[column] = value
    return columns


def _problem(operation: Operation, name: str, value: Any) -> str | None:
    """Say what is wrong with an event's value; null stands for an absent one."""
    if value is None:
        return None
    if name in IDENTITIES:
        return None if isinstance(value, str) else "is not text; put it in quotes"
    if (measure := MEASURES.get(name)) is not None:
        whole = isinstance(value, int) and not isinstance(value, bool)
        fits = whole and name in operation.measures and measure.minimum <= value <= measure.maximum
        return None if fits else f"is not a value of {operation.name} (whole numbers from {measure.minimum} to {measure.maximum})"
    if (category := CATEGORIES.get(name)) is not None:
        allowed = ", ".join(category.values) or "any text"
        fits = isinstance(value, str) and name in operation.categories and value in (category.values or (value,))
        return None if fits else f"is not a value of {operation.name} ({allowed})"
    return None


def _expectation(view: FeatureView, content: Any, where: str) -> dict[str, Any]:
    if not isinstance(content, dict) or "at" not in content or not isinstance(content.get("values"), dict) or not content["values"]:
        raise _wrong(where, "an expectation wants at and values")
    _only(content, _EXPECTATION_KEYS, "an expectation", where)
    agent_id = str(content.get("agent_id", view.agent))
    if agent_id.partition("@")[0] != view.agent:
        raise _wrong(where, f"agent_id {agent_id} is neither {view.agent} nor {view.agent}@PROJECT")
    return {
        "at": _instant(content["at"], where),
        "known_at": _instant(content["known_at"], where) if "known_at" in content else None,
        "agent_id": agent_id,
        "values": {name: _expected(view, name, value, where) for name, value in content["values"].items()},
    }


def _expected(view: FeatureView, name: Any, value: Any, where: str) -> Any:
    try:
        feature = view.feature(name)
    except KeyError as error:
        raise _wrong(where, str(error.args[0])) from None
    if isinstance(value, list) and feature.value_type == "text":
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))  # as a list is stored
    return value if value is None or feature.value_type != "instant" else _instant(value, where)


def _only(content: Mapping[str, Any], allowed: frozenset[str], what: str, where: str) -> None:
    if unknown := sorted(str(key) for key in content if key not in allowed):
        raise _wrong(where, f"unknown: {', '.join(unknown)}; {what} takes {', '.join(sorted(allowed))}")


def _instant(value: Any, where: str) -> int:
    if isinstance(value, dt.date):  # YAML reads an unquoted instant or date by itself
        value = value.isoformat()
    try:
        return clock.parse_instant(str(value))
    except ValueError as error:
        raise _wrong(where, str(error)) from None


def _matches(expected: object, found: object) -> bool:
    if expected is None or found is None:
        return expected is found
    if isinstance(expected, int | float) and isinstance(found, int | float):
        return math.isclose(expected, found, rel_tol=_CLOSE, abs_tol=_CLOSE)
    return expected == found


def _shown(value: object) -> object:
    return clock.from_us(value).isoformat() if isinstance(value, int) and value > DAY * 365 else value


def _wrong(where: object, why: str) -> UserError:
    return UserError(f"A case is not as it should be: {why}.", where=str(where), fix="docs/feature-tests.md shows the form.")


__all__ = ["CaseResult", "Mismatch", "run_case", "run_file"]
