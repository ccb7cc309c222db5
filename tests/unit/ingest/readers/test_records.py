from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detektor_pipelines.ingest.readers.records import NO_OBJECT, TORN, records_of

FIRST: dict[str, Any] = {"type": "user", "sessionId": "s", "message": {"content": "a"}}
SECOND: dict[str, Any] = {"type": "summary", "leafUuid": "l", "summary": "b"}


def line(*records: object, between: str = "") -> bytes:
    return between.join(json.dumps(record) for record in records).encode()


def test_a_line_is_its_record() -> None:
    assert records_of(line(FIRST)) == (FIRST,)
    assert records_of(b"[1]") == (NO_OBJECT,)


@pytest.mark.parametrize("between", ["", " ", "\x00\x00"])
def test_two_records_on_a_line_are_two(between: str) -> None:
    assert records_of(line(FIRST, SECOND, between=between)) == (FIRST, SECOND)


def test_nuls_before_a_record_are_skipped_and_a_line_of_them_holds_none() -> None:
    assert records_of(b"\x00" * 40 + line(FIRST)) == (FIRST,)
    assert records_of(b"\x00" * 40) == ()


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (r"half \ud83d", "half \ufffd"),
        (r"\udc00 half", "\ufffd half"),
        (r"whole \ud83d\ude00", "whole \U0001f600"),
        (r"two \ud83d\ud83d\ude00", "two \ufffd\U0001f600"),
        (r"no escape \\ud83d and half \ud83d", "no escape \\ud83d and half \ufffd"),
    ],
)
def test_half_a_surrogate_pair_costs_a_character(text: str, read: str) -> None:
    (record,) = records_of(f'{{"type": "user", "list": ["{text}"]}}'.encode())
    assert record == {"type": "user", "list": [read]}


def test_bytes_that_are_no_utf8_cost_a_character_each() -> None:
    assert records_of(b'{"a": "x\xffy"}') == ({"a": "x\ufffdy"},)


def test_a_record_behind_a_torn_one_is_read_and_the_torn_one_named() -> None:
    torn = line(FIRST)[:-9]
    found, why = records_of(torn + line(SECOND))
    assert found == SECOND
    assert isinstance(why, str)
    assert why.startswith(TORN)


def test_the_objects_inside_a_torn_record_are_no_records() -> None:
    torn = b'{"type": "user", "sessionId": "s", "message": {"role": "user", "content": "a"}, "uu'
    (why,) = records_of(torn)
    assert isinstance(why, str)
    assert why.startswith(TORN)


@given(st.binary(max_size=200))
def test_whatever_stands_on_a_line_it_is_read_or_named(content: bytes) -> None:
    for record in records_of(content):
        assert isinstance(record, dict | str)


@given(st.lists(st.dictionaries(st.text(), st.text() | st.integers(-(2**53), 2**53) | st.booleans(), max_size=3), min_size=2, max_size=5))
def test_records_written_without_a_line_end_between_them_are_all_there(records: list[dict[str, Any]]) -> None:
    assert records_of(line(*records)) == tuple(records)
