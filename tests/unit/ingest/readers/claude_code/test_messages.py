from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from detektor_pipelines.clock import parse_instant

if TYPE_CHECKING:
    from collections.abc import Callable


def test_one_answer_of_several_lines_is_one_chat_with_its_last_lines_tokens(transcript: Any, shapes: Any, read: Callable[..., Any]) -> None:
    transcript.answer(1, "msg_1", shapes.text("a"), output=1)
    transcript.answer(2, "msg_1", shapes.text("b"), output=2)
    transcript.answer(3, "msg_1", shapes.tool_use("toolu_1", "Read"), output=77, stop="tool_use")
    (chat,) = read(transcript).of("chat")
    assert chat.event_id == "msg:msg_1"
    assert chat.measures == {"input_tokens": 3, "output_tokens": 77, "cache_read_tokens": 100, "cache_creation_tokens": 10}
    assert chat.occurred_at == chat.known_at == parse_instant(shapes.at(3))
    assert (chat.agent_type, chat.raw_name, chat.project) == ("unmapped", "main", "rover")
    assert chat.categories == {"outcome": "success", "model": "some-model-1"}


def test_the_order_of_an_answers_lines_does_not_matter(transcript: Any, shapes: Any, read: Callable[..., Any]) -> None:
    for seconds, output in ((3, 77), (1, 1), (2, 2)):
        transcript.answer(seconds, "msg_1", shapes.text("a"), output=output)
    assert read(transcript).of("chat")[0].measures["output_tokens"] == 77


def test_an_api_error_shown_as_an_answer_is_a_failed_chat_of_no_model(transcript: Any, shapes: Any, read: Callable[..., Any]) -> None:
    record = transcript.answer(1, "msg_e", shapes.text("API Error"), isApiErrorMessage=True, error="rate_limit")
    record["message"]["model"] = "<synthetic>"
    (chat,) = read(transcript).of("chat")
    assert chat.categories == {"outcome": "failure", "error_type": "rate_limit"}


def test_an_answer_without_usage_or_id_is_no_chat(transcript: Any, shapes: Any, read: Callable[..., Any]) -> None:
    del transcript.answer(1, "msg_1", shapes.text("a"))["message"]["usage"]
    del transcript.answer(2, "msg_2", shapes.text("a"))["message"]["id"]
    assert read(transcript).of("chat") == []


@pytest.mark.parametrize("usage", [{}, {"output_tokens": -4}, {"output_tokens": "many"}, {"output_tokens": True}])
def test_tokens_that_are_no_count_are_zero(transcript: Any, shapes: Any, read: Callable[..., Any], usage: dict[str, Any]) -> None:
    transcript.answer(1, "msg_1", shapes.text("a"))["message"]["usage"] = usage
    assert read(transcript).of("chat")[0].measures["output_tokens"] == 0
