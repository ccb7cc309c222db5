"""The JSON Schema of our own log format, made from `language.events`; checked in as `docs/agent-events.schema.json`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines.ingest.checks import IDENTIFIER_LIMIT, TEXT_LIMIT
from detektor_pipelines.ingest.readers.jsonl import OPTIONAL, REQUIRED
from detektor_pipelines.language.events import CATEGORIES, EXTRA_CATEGORIES, EXTRA_MEASURES, MEASURES, OPERATIONS, OTEL_DIFFERS, OTEL_NAMES

if TYPE_CHECKING:
    from detektor_pipelines.language.events import Category, Measure, Operation

_IDENTIFIER: Final = {"type": "string", "minLength": 1, "maxLength": IDENTIFIER_LIMIT}
_INSTANT: Final = {
    "anyOf": [{"type": "string", "format": "date-time"}, {"type": "integer", "minimum": 1_577_836_800_000_000}],
}
_FIELDS: Final[dict[str, dict[str, Any]]] = {
    "agent": {
        "type": "string",
        "minLength": 1,
        "maxLength": TEXT_LIMIT,
        "description": "Name of the agent, one of the eight or one that agents.toml maps to them; others are kept as unmapped.",
    },
    "operation": {"enum": list(OPERATIONS), "description": "What the agent did."},
    "occurred_at": {**_INSTANT, "description": "When it was finished: ISO 8601 (UTC when it names no zone), or µs since 1970 UTC."},
    "event_id": {**_IDENTIFIER, "description": "Unique over all logs; without it the record itself is its identity."},
    "project": {"type": "string", "description": "Name of the repository; written as a-z 0-9 . _ -."},
    "session_id": {**_IDENTIFIER, "description": "The conversation that it belongs to."},
    "task_id": {**_IDENTIFIER, "description": "The task that it belongs to; feedback names the work that it judges by it."},
    "known_at": {**_INSTANT, "description": "When it became known, where that was later than occurred_at."},
    "derived": {"type": "boolean", "description": "True where the event was concluded from others rather than recorded."},
    "simulated": {"type": "boolean", "description": "True where it never happened."},
    "attributes": {"type": "object", "description": "Anything else worth keeping, at most 16 KiB; no feature reads it."},
    "extra": {"type": "object", "description": "Measures and categories that the detektor.toml of one's own catalogue declares, by name."},
}


def render() -> str:
    """Return the schema as JSON text (draft 2020-12) of one line of a log, ending in a line end."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "One event of an agent log",
        "description": "One line of a JSONL file that `detektor ingest` reads. Generated from detektor_pipelines/language/events.py.",
        "type": "object",
        "required": list(REQUIRED),
        "properties": {
            **{name: _nullable_unless_required(name) for name in (*REQUIRED, *OPTIONAL)},
            **{name: _measure(measure) for name, measure in MEASURES.items()},
            **{name: _category(category) for name, category in CATEGORIES.items()},
            "extra": _nullable_unless_required("extra") | _extra(),
        },
        "additionalProperties": False,
        "allOf": [_operation(operation) for operation in OPERATIONS.values()],
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _nullable_unless_required(name: str) -> dict[str, Any]:
    field = _FIELDS[name] if name in REQUIRED else _or_null(_FIELDS[name])
    return field | _convention(name)


def _extra() -> dict[str, Any]:
    declared = {name: _measure(measure) for name, measure in EXTRA_MEASURES.items()}
    declared |= {name: _category(category) for name, category in EXTRA_CATEGORIES.items()}
    return {"properties": declared, "additionalProperties": False}


def _or_null(field: dict[str, Any]) -> dict[str, Any]:
    if "type" in field:
        return {**field, "type": [field["type"], "null"]}
    return {**field, "anyOf": [*field["anyOf"], {"type": "null"}]}


def _measure(measure: Measure) -> dict[str, Any]:
    return {
        "type": ["integer", "null"],
        "minimum": measure.minimum,
        "maximum": measure.maximum,
        "description": f"{measure.description} Unit: {measure.unit}.",
        **_convention(measure.name),
    }


def _category(category: Category) -> dict[str, Any]:
    values: dict[str, Any] = (
        {"enum": [*category.values, None]} if category.values else {"type": ["string", "null"], "minLength": 1, "maxLength": TEXT_LIMIT}
    )
    return {**values, "description": category.description, **_convention(category.name)}


def _convention(name: str) -> dict[str, str]:
    """Name the OpenTelemetry GenAI attribute that the field stands for, and how its value differs."""
    known = OTEL_NAMES.get({"agent": "raw_name"}.get(name, name))
    differs = OTEL_DIFFERS.get(name)
    return ({"x-opentelemetry": known} if known else {}) | ({"$comment": differs} if differs else {})


def _operation(operation: Operation) -> dict[str, Any]:
    columns = (*operation.measures, *operation.categories)
    then: dict[str, Any] = {"propertyNames": {"enum": [*REQUIRED, *OPTIONAL, *columns]}}
    if operation.required:
        then["required"] = list(operation.required)
    return {
        "description": operation.description,
        "if": {"properties": {"operation": {"const": operation.name}}},
        "then": then,
    }
