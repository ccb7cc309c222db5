"""A line for a request, and its id."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from detektor_pipelines import log_lines
from detektor_pipelines.web import request_log
from detektor_pipelines.web.access import DETAIL
from detektor_pipelines.web.request_log import RequestLog

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """Have what is logged written as a program of ours writes it; gives the root back afterwards."""
    handlers, level = logging.root.handlers[:], logging.root.level
    written = io.StringIO()
    log_lines.set_up("serve", stream=written)
    yield written
    logging.captureWarnings(False)  # noqa: FBT003 - has no keyword
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


def read(lines: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.getvalue().splitlines()]


async def application(scope: Any, _receive: Any, send: Any) -> None:
    logging.getLogger("detektor_pipelines.test").info("inside")
    status = scope.get("wanted", 200)
    if status == 500:
        try:
            int("broken\nin two lines")
        except ValueError:
            logging.getLogger("detektor_pipelines.test").exception("A request failed")
        scope[DETAIL] = "It failed."
    await send({"type": "http.response.start", "status": status, "headers": [(b"a", b"b")]})
    await send({"type": "http.response.body", "body": b""})


def asked(app: RequestLog, path: str = "/x", given: bytes | None = None, wanted: int = 200) -> dict[bytes, bytes]:
    """Send a request and return the answer's headers."""
    sent: list[Any] = []
    headers = [] if given is None else [(b"x-request-id", given)]

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    scope = {"type": "http", "method": "GET", "path": path, "headers": headers, "client": ("10.0.0.7", 1), "wanted": wanted}
    asyncio.run(app(scope, receive, send))
    return dict(sent[0]["headers"])


def test_the_id_is_the_clients_when_it_is_plain(lines: io.StringIO) -> None:
    app = RequestLog(application)
    assert asked(app, given=b"build-7.A_b") == {b"a": b"b", b"x-request-id": b"build-7.A_b"}
    assert {each["request_id"] for each in read(lines)} == {"build-7.A_b"}


@pytest.mark.parametrize("given", [None, b"", b"two words", b'"}{"a": "', b"x" * 65, b"a\r\nset-cookie: b", "ä".encode()])
def test_else_it_is_a_new_one(lines: io.StringIO, given: bytes | None) -> None:
    made = asked(RequestLog(application), given=given)[b"x-request-id"].decode()
    assert len(made) == 32
    assert int(made, 16)
    inside, line = read(lines)
    assert (inside["event"], inside["request_id"], line["request_id"]) == ("inside", made, made)


def test_a_line_says_what_was_asked_and_what_came(lines: io.StringIO) -> None:
    asked(RequestLog(application))
    line = read(lines)[-1]
    assert line["ms"] >= 0
    expected = {"event": "request", "level": "info", "method": "GET", "path": "/x", "status": 200, "client": "10.0.0.7", "program": "serve"}
    assert {name: line[name] for name in expected} == expected
    assert line["timestamp"].endswith("Z")


def test_an_error_has_its_reason_and_its_traceback_in_one_line_each(lines: io.StringIO) -> None:
    made = asked(RequestLog(application, sample=0), wanted=500)[b"x-request-id"].decode()
    _, error, request = read(lines)
    assert "ValueError: invalid literal" in error["exception"]
    assert (request["level"], request["status"], request["detail"]) == ("error", 500, "It failed.")
    assert error["request_id"] == request["request_id"] == made


def test_good_and_quick_answers_are_sampled_and_others_never_left_out(lines: io.StringIO) -> None:
    quiet = RequestLog(application, sample=0, slow_ms=60_000)
    asked(quiet)
    asked(quiet, path="/health")
    asked(RequestLog(application), path="/metrics")
    assert [each for each in read(lines) if each["event"] == "request"] == []
    asked(quiet, wanted=404)
    asked(RequestLog(application, sample=0, slow_ms=0), path="/slow")
    asked(quiet, path="/health", wanted=503)
    assert [(each["path"], each["level"]) for each in read(lines) if each["event"] == "request"] == [
        ("/x", "warning"),
        ("/slow", "info"),
        ("/health", "error"),
    ]


def test_a_flood_leaves_a_number(lines: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([1.0] * 5_000)
    monkeypatch.setattr(request_log.time, "monotonic", lambda: next(clock))
    app = RequestLog(application)
    for _ in range(request_log.LINES_A_SECOND + 30):
        asked(app, wanted=404)
    assert len([each for each in read(lines) if each["event"] == "request"]) == request_log.LINES_A_SECOND
    monkeypatch.setattr(request_log.time, "monotonic", lambda: 2.0)
    asked(app, wanted=404)
    assert read(lines)[-1]["lines_left_out"] == 30


def test_of_good_and_quick_answers_a_few_a_second_have_a_line_and_they_take_no_place_of_errors(
    lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_log.time, "monotonic", lambda: 1.0)
    monkeypatch.setattr(request_log.random, "random", lambda: 0.0)
    app, everything = RequestLog(application, sample=0.5, slow_ms=60_000), RequestLog(application, slow_ms=60_000)
    for _ in range(request_log.LINES_A_SECOND):
        asked(app)
    asked(app, wanted=404)
    for _ in range(2 * request_log.SAMPLED_A_SECOND):
        asked(everything, path="/all")
    found = [each for each in read(lines) if each["event"] == "request"]
    paths = [(each["path"], each["status"]) for each in found]
    assert paths.count(("/x", 200)) == request_log.SAMPLED_A_SECOND
    assert found[request_log.SAMPLED_A_SECOND]["lines_left_out"] == request_log.LINES_A_SECOND - request_log.SAMPLED_A_SECOND
    assert paths.count(("/x", 404)) == 1
    assert paths.count(("/all", 200)) == 2 * request_log.SAMPLED_A_SECOND, "who wants a line of each answer has it"


def test_what_another_handler_writes_is_not_written_again(lines: io.StringIO) -> None:
    theirs = io.StringIO()
    logger = logging.getLogger("dagster_of_a_test")
    logger.addHandler(logging.StreamHandler(theirs))
    logging.getLogger("dagster_of_a_test.daemon").warning("tick")
    logging.getLogger("another").warning("tock")
    assert theirs.getvalue() == "tick\n"
    assert [each["event"] for each in read(lines)] == ["tock"]
    logger.handlers.clear()


def test_at_a_terminal_a_line_is_text(lines: io.StringIO) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    log_lines.set_up("serve", stream=terminal)
    logging.getLogger("detektor_pipelines.test").warning("Redis is away")
    assert "Redis is away" in terminal.getvalue()
    assert not terminal.getvalue().startswith("{")
    assert lines.getvalue() == ""


def test_lines_below_the_level_are_left_out(lines: io.StringIO) -> None:
    log_lines.set_up("serve", "warning", lines)
    logging.getLogger("detektor_pipelines.test").info("not this")
    logging.getLogger("detektor_pipelines.test").warning("this")
    assert [each["event"] for each in read(lines)] == ["this"]


def test_a_line_is_masked_before_it_is_written() -> None:
    line = log_lines.masked(None, "info", {"event": "no file /home/zborowska/a for ada@example.org", "client": "10.0.0.7", "number": 3})
    assert line == {"event": "no file /home/<user>/a for <email>", "client": "10.0.0.7", "number": 3}
