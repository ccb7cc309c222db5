"""Measures and categories of one's own in a log line: held to their declarations, and undeclared ones refused by name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from detektor_pipelines.ingest import checks
from detektor_pipelines.ingest.readers.interface import ReadContext
from detektor_pipelines.ingest.readers.jsonl import read
from detektor_pipelines.language.events import Category, Measure
from detektor_pipelines.language.records import AgentEvent, Rejection
from detektor_pipelines.stores.raw_log.live import body_hash, row_of
from detektor_pipelines.stores.raw_log.table import body_hashes, table_of

if TYPE_CHECKING:
    from collections.abc import Mapping


@pytest.fixture(autouse=True)
def declared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(checks.EXTRA_MEASURES, "steps", Measure("steps", "steps", -1, 9, "x"))
    monkeypatch.setitem(checks.EXTRA_CATEGORIES, "tone", Category("tone", ("dry", "warm"), "x"))
    monkeypatch.setitem(checks.EXTRA_CATEGORIES, "place", Category("place", (), "x"))


def line(extra: Any) -> AgentEvent | Rejection:
    record = {"agent": "pisarz", "operation": "research", "occurred_at": "2026-03-05T10:00:00Z", "extra": extra}
    (found,) = read([(1, json.dumps(record).encode())], source="t", context=ReadContext())
    return found


def test_what_is_declared_is_taken_in() -> None:
    found = line({"steps": -1, "tone": "dry", "place": "anywhere", "none": None})
    assert isinstance(found, AgentEvent)
    assert found.extra == {"steps": -1, "tone": "dry", "place": "anywhere"}


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        ({"stps": 1}, "extra holds what no detektor.toml declares"),
        ({"steps": 10}, "extra.steps is above its maximum 9"),
        ({"steps": -2}, "extra.steps is below its minimum -1"),
        ({"steps": 1.0}, "extra.steps is not a whole number"),
        ({"steps": True}, "extra.steps is not a whole number"),
        ({"tone": "loud"}, "extra.tone is not one of dry, warm"),
        ({"place": ""}, "extra.place is empty"),
        ({"place": 3}, "extra.place is not text"),
        ([1], "the field 'extra' is not a JSON object"),
    ],
)
def test_what_is_not_is_rejected_by_name(extra: Any, reason: str) -> None:
    found = line(extra)
    assert isinstance(found, Rejection)
    assert found.reason == reason


def event(extra: Mapping[str, Any]) -> AgentEvent:
    return AgentEvent("e", "pisarz", "pisarz", "research", 1_800_000_000_000_000, "t", known_at=1_800_000_000_000_000, extra=extra)


def test_an_event_without_any_has_the_hash_that_it_always_had() -> None:
    assert body_hash(row_of(event({}), 0)).hex == "0a6126e0786eee0b6fbe6aefe4f38a11"


@pytest.mark.parametrize("extra", [{}, {"steps": 3, "tone": "dry"}, {"tone": "ciepły"}])
def test_both_ways_into_the_log_hash_it_alike(extra: dict[str, Any]) -> None:
    (bulk,) = body_hashes(table_of([event(extra)])).to_pylist()
    assert bulk == body_hash(row_of(event(extra), 0)).bytes
    assert (bulk == body_hash(row_of(event({}), 0)).bytes) == (not extra)
