from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detektor_pipelines.ingest.masking import Masker, excerpt, mask
from detektor_pipelines.language.records import AgentEvent

LETTERS = "abcdefghijklmnopqrstuvwxyz"
KEYS = (  # put together here, so that no scanner takes this file for a leak
    "sk" + "-ant-" + LETTERS + "0123",
    "gh" + "p_" + LETTERS + "012345",
    "AK" + "IA" + "IOSFODNN7EXAMPLE",
    "ey" + "JhbGciOiJIUzI1NiJ9." + "ey" + "JzdWIiOiIxMjM0In0." + LETTERS,
    "AI" + "za" + "SyA1234567890" + LETTERS,
    "0123456789abcdef" * 2,
    "Zm9vYmFyMDEyMzQ1" + "Njc4OUFCQ0RFRkdISUpLTE1OTw==",
)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("around", ["{}", "key {} here", '"{}"', "x={};", "({})"])
def test_strings_shaped_like_keys_are_masked(key: str, around: str) -> None:
    masked = mask(around.format(key))
    assert key.rstrip("=") not in masked
    assert "<secret>" in masked


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("write to Ada.Lovelace+x@mail.example.org!", "write to <email>!"),
        ("postgresql://ada:pa55word@db/rover", "postgresql://<secret>@db/rover"),
        ("DB_PASSWORD=hunter22 next", "DB_PASSWORD=<secret> next"),
        ('"api_key": "abcdef"', '"api_key": "<secret>"'),
        ("Authorization: Bearer abcdefghijklmnop", "Authorization: Bearer <secret>"),
        ("/Users/ada/code/rover", "/Users/<user>/code/rover"),
        ("/home/ada", "/home/<user>"),
        ("C:\\Users\\ada\\rover", "C:\\Users\\<user>\\rover"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY----- rest", "<secret> rest"),
        ("-----BEGIN PRIVATE KEY-----\nMIIE and no end", "<secret>"),
    ],
)
def test_personal_data_and_credentials_are_masked(text: str, masked: str) -> None:
    assert mask(text) == masked


@pytest.mark.parametrize(
    "text", ["**Verdict: APPROVE**", "cmd/rover/stream_test.go:53-54", "TestListFallsBackToRemote", "user@host", "commit 7cf5a43"]
)
def test_ordinary_words_stay(text: str) -> None:
    assert mask(text) == text


def test_an_excerpt_is_one_line_and_short_and_masked_before_it_is_cut() -> None:
    assert excerpt("a\n\n  b\tc") == "a b c"
    assert excerpt("x" * 150 + " " + KEYS[0] * 3).find("-ant-") == -1
    assert len(excerpt("y " * 500)) == 200
    assert excerpt(b"\xff\x00ok") == "\ufffd\ufffdok"


@given(st.text(max_size=600), st.integers(1, 250))
def test_an_excerpt_never_exceeds_its_limit(text: str, limit: int) -> None:
    assert len(excerpt(text, limit)) <= limit


def test_a_category_that_was_left_as_it_is_says_nothing_of_the_same_text_elsewhere() -> None:
    """What names a person is masked by its name alone, however often the text stood under another one."""
    masker = Masker(lambda: b"key")
    event = AgentEvent("e", "unmapped", "main", "tool_call", 0, "log", categories={"tool_name": "ada"})
    assert [masker.event(event) is event for _ in range(3)] == [True] * 3
    assert masker.event(replace(event, categories={"tool_name": "ada", "user": "ada"})).categories["user"] != "ada"
    assert masker.event(replace(event, categories={"tool_name": "ada@example.org"})).categories == {"tool_name": "<email>"}
    assert masker.event(replace(event, categories={"tool_name": ["ada"]})).categories == {"tool_name": ["ada"]}  # type: ignore[dict-item]
    assert masker.event(event) is event
