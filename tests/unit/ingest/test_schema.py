from __future__ import annotations

import json
from pathlib import Path

from detektor_pipelines.ingest.schema import render
from detektor_pipelines.language.events import CATEGORIES, MEASURES, OPERATIONS

CHECKED_IN = Path(__file__).parents[3] / "docs" / "agent-events.schema.json"


def test_the_checked_in_schema_is_the_generated_one() -> None:
    assert CHECKED_IN.read_text(encoding="utf-8") == render(), "run: detektor generate"


def test_it_holds_every_declaration() -> None:
    schema = json.loads(render())
    assert schema["properties"]["operation"]["enum"] == list(OPERATIONS)
    for name, measure in MEASURES.items():
        field = schema["properties"][name]
        assert (field["minimum"], field["maximum"]) == (measure.minimum, measure.maximum)
    for name, category in CATEGORIES.items():
        assert schema["properties"][name].get("enum", [None])[:-1] == list(category.values)
    feedback = next(rule for rule in schema["allOf"] if rule["if"]["properties"]["operation"]["const"] == "feedback")
    assert feedback["then"]["required"] == ["score_milli"]
    assert "issues_found" not in feedback["then"]["propertyNames"]["enum"]
