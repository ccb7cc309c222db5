"""Who writes the lines of a server: a thread, which loses none, keeps their order, and holds nobody up."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from typing import IO, TYPE_CHECKING, Any

import pytest

from detektor_pipelines import log_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

LOGGER = logging.getLogger("detektor_pipelines.test")
PIPE_BYTES = 1 << 16
"""What a pipe holds that nobody reads."""


@pytest.fixture
def pipe() -> Iterator[tuple[int, IO[str]]]:
    """Have the lines written into a pipe; yields where they are read, and where they are written."""
    handlers, level = logging.root.handlers[:], logging.root.level
    read, write = os.pipe()
    with os.fdopen(write, "w") as stream:
        log_lines.set_up("serve", stream=stream)
        yield read, stream
        logging.captureWarnings(False)  # noqa: FBT003 - has no keyword
        logging.root.handlers[:] = handlers
        logging.root.setLevel(level)


def everything(descriptor: int) -> list[dict[str, Any]]:
    with os.fdopen(descriptor) as lines:
        return [json.loads(line) for line in lines]


def test_lines_of_a_thread_are_those_that_were_logged_in_their_order(pipe: tuple[int, IO[str]]) -> None:
    read, stream = pipe
    found: list[dict[str, Any]] = []
    reader = threading.Thread(target=lambda: found.extend(everything(read)))
    reader.start()
    LOGGER.info("before")
    with log_lines.written_aside():
        for number in range(500):
            log_lines.REQUEST_ID.set(str(number))
            LOGGER.log(logging.WARNING if number % 100 == 0 else logging.INFO, "a", extra={"number": number, "half": "\ud800"})
        log_lines.REQUEST_ID.set(None)
    LOGGER.info("after")
    stream.close()
    reader.join()
    assert [each["event"] for each in (found[0], found[-1])] == ["before", "after"]
    assert [(each["number"], each["request_id"]) for each in found[1:-1]] == [(number, str(number)) for number in range(500)]
    assert {each["half"] for each in found[1:-1]} == {"\ud800"}


def test_whoever_logs_does_not_wait_for_a_reader_who_does_not_read(pipe: tuple[int, IO[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_lines, "KEPT", 100)
    read, stream = pipe
    logged = 3 * (100 + PIPE_BYTES // 100)
    with log_lines.written_aside():
        for number in range(logged):
            LOGGER.info("x" * 100, extra={"number": number})
        found: list[dict[str, Any]] = []
        reader = threading.Thread(target=lambda: found.extend(everything(read)))
        reader.start()
    stream.close()
    reader.join()
    expected = 0
    for each in found:  # the line that says how many are missing stands where they are
        if "dropped" in each["event"]:
            expected += int(each["event"].split()[0])
        else:
            assert each["number"] == expected
            expected += 1
    assert expected == logged
    assert len(found) < logged


def test_a_process_that_ends_without_a_word_has_written_its_lines() -> None:
    program = """
import logging, sys
from detektor_pipelines import log_lines
log_lines.set_up("serve")
aside = log_lines.written_aside()
aside.__enter__()
for number in range(300):
    logging.info("line", extra={"number": number})
sys.exit(3)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert [json.loads(line)["number"] for line in done.stderr.splitlines()] == list(range(300))


def test_a_process_ends_also_where_nobody_reads() -> None:
    program = """
import logging
from detektor_pipelines import log_lines
log_lines._END_S = 0.1
log_lines.set_up("serve")
with log_lines.written_aside():
    for number in range(1_000):
        logging.info("x" * 1_000)
    print("logged", flush=True)
print("ended", flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.read() == "logged\nended\n"
        assert process.wait() == 0


def test_a_line_that_is_no_json_by_itself_is_one_all_the_same(pipe: tuple[int, IO[str]]) -> None:
    read, stream = pipe
    LOGGER.info("it is %s", "so", extra={"what": object, "number": 2**70, "token": "Authorization: Bearer abcdefghijklmnopqrstuvwxyz0123"})
    stream.close()
    (line,) = everything(read)
    assert (line["event"], line["what"], line["number"]) == ("it is so", repr(object), 2**70)
    assert "abcdefghijklmnopqrstuvwxyz0123" not in line["token"]
