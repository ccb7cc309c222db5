from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from support.examples import examples

from detektor_pipelines.clock import parse_instant, to_us
from detektor_pipelines.language.events import CATEGORIES, MEASURES, OPERATIONS
from detektor_pipelines.language.records import AgentEvent
from detektor_pipelines.stores.raw_log.lines import IDENTITY, columns_of, lines_of
from detektor_pipelines.stores.raw_log.live import body_hash, row_of

MARCH = parse_instant("2026-03-05T10:00:00Z")
CHAT = AgentEvent("c", "unmapped", "main", "chat", MARCH, "log", known_at=MARCH)
UNESCAPED = {"\\\\": "\\", "\\t": "\t", "\\n": "\n", "\\r": "\r"}
texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=12) | st.sampled_from(["\\N", "a\tb\n\r\\."])
instants = st.integers(MARCH, MARCH + 10**12)


@st.composite
def events(draw: st.DrawFn) -> AgentEvent:
    operation = OPERATIONS[draw(st.sampled_from(sorted(OPERATIONS)))]
    return AgentEvent(
        draw(texts),
        draw(texts),
        draw(texts),
        operation.name,
        draw(instants),
        draw(texts),
        draw(st.none() | texts),
        draw(st.none() | texts),
        draw(st.none() | texts),
        draw(st.none() | instants),
        {name: draw(st.integers(0, MEASURES[name].maximum)) for name in operation.measures if draw(st.booleans())},
        {name: draw(st.sampled_from(CATEGORIES[name].values) if CATEGORIES[name].values else texts) for name in operation.categories},
        draw(st.dictionaries(texts, texts | st.integers(-5, 5) | st.lists(texts, max_size=2), max_size=2)),
        draw(st.dictionaries(texts, texts, max_size=1)),
        draw(st.booleans()),
        draw(st.booleans()),
        draw(st.integers(1, 3)),
        draw(st.integers(0, 3)),
    )


def fields(line: str) -> list[str | None]:
    r"""What COPY makes of a line: fields between tabs, `\N` for null, backslashes before what would end a field or a line."""
    assert line.endswith("\n")
    assert "\n" not in line[:-1]
    return [None if each == "\\N" else re.sub(r"\\.", lambda sign: UNESCAPED[sign[0]], each) for each in line[:-1].split("\t")]


@hypothesis_settings(max_examples=examples(60), deadline=None)
@given(events())
def test_a_line_says_what_the_row_of_a_live_event_says(event: AgentEvent) -> None:
    now = MARCH + 7
    row: dict[str, Any] = row_of(event, now)
    (line,) = lines_of([event], now)
    said = dict(zip(columns_of(event.operation), fields(line.row), strict=True))
    for name in ("occurred_at", "known_at", "ingested_at"):
        assert to_us(parse(said.pop(name))) == row.pop(name)
    assert {name: value for name, value in said.items() if value is not None} == {
        name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in row.items() if value is not None
    }
    identity = dict(zip(IDENTITY, fields(line.identity), strict=True))
    assert (identity["event_id"], identity["revision"]) == (event.event_id, str(event.revision))
    assert to_us(parse(identity["occurred_at"])) == event.occurred_at
    assert identity["body_hash"] == body_hash(row_of(event, now)).hex


def parse(instant: str | None) -> Any:
    from datetime import datetime

    assert instant is not None
    return datetime.fromisoformat(instant)


def test_a_measure_that_the_operation_has_not_is_never_left_out_in_silence() -> None:
    with pytest.raises(ValueError, match="chat has no 'issues_found'"):
        lines_of([replace(CHAT, measures={"issues_found": 1})], MARCH)
