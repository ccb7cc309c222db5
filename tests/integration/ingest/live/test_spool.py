from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from detektor_pipelines import hook
from detektor_pipelines.errors import UserError
from detektor_pipelines.ingest.live import spool as spools
from detektor_pipelines.ingest.live.spool import Spool, drain
from detektor_pipelines.ingest.live.writer import LiveWriter
from detektor_pipelines.ingest.run import ingest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from detektor_pipelines.settings import Settings

REPORT = "Verdict: APPROVE"
QUICK = (sys.executable, "-I", "-S", hook.__file__)


def call(number: int | str, **said: Any) -> bytes:
    record = {
        "hook_event_name": "PostToolUse",
        "session_id": "s",
        "cwd": "/home/ada/shop",
        "tool_name": "Bash",
        "tool_use_id": f"t{number}",
    }
    return hook.line_of(json.dumps(record | said).encode(), time.time_ns())


def stored(settings: Settings) -> list[str]:
    with psycopg.connect(settings.postgres_dsn) as connection:
        return [row[0] for row in connection.execute("SELECT event_id FROM ml_learning.agent_events ORDER BY event_id").fetchall()]


def rejected(settings: Settings) -> list[str]:
    with psycopg.connect(settings.postgres_dsn) as connection:
        return [row[0] for row in connection.execute("SELECT reason FROM ml_learning.rejected_events ORDER BY id").fetchall()]


@pytest.fixture
def spool(database: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    memory = tmp_path / "memory"
    memory.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(memory))
    return database.home / "spool"


@pytest.fixture
def writer(database: Settings) -> Iterator[LiveWriter]:
    with LiveWriter(database) as opened:
        yield opened


def note(spool: Path, *lines: bytes) -> None:
    for line in lines:
        hook.note(str(spool), line)


def age(file: Path) -> Path:
    """Let the file be one of a day that is over."""
    old = file.with_name("hook-20260101.jsonl")
    file.rename(old)
    os.utime(old, (0, 0))
    return old


def day_file(spool: Path) -> Path:
    (file,) = spool.glob("hook-*")
    return file


def test_a_hook_that_really_ran_is_in_the_log(database: Settings, spool: Path) -> None:
    record = {"hook_event_name": "PostToolUse", "session_id": "s", "cwd": "/home/ada/shop", "tool_name": "Bash", "tool_use_id": "t1"}
    subprocess.run([*QUICK, str(spool)], input=json.dumps(record).encode(), check=True, timeout=60)
    counts = drain(database)
    assert (counts.lines, counts.accepted, counts.by_agent) == (1, 1, {"unmapped": 1})
    assert stored(database) == ["tool:t1"]


def test_an_installation_without_hooks(database: Settings, spool: Path, writer: LiveWriter) -> None:
    assert drain(database, writer).lines == 0
    assert not spool.exists()


def test_each_line_is_read_once(database: Settings, spool: Path, writer: LiveWriter) -> None:
    drainer = Spool(database)
    note(spool, call(1), call(2))
    assert drainer.drain(writer).accepted == 2
    assert drainer.drain(writer).lines == 0
    note(spool, call(3))
    assert drainer.drain(writer).lines == 1
    assert Spool(database).drain(writer).lines == 0
    assert stored(database) == ["tool:t1", "tool:t2", "tool:t3"]


def test_a_line_that_is_being_written_waits(database: Settings, spool: Path, writer: LiveWriter) -> None:
    note(spool, call(1))
    line = call(2)
    with day_file(spool).open("ab", buffering=0) as file:
        file.write(b"\n" + line[:40])
        assert drain(database, writer).accepted == 1
        file.write(line[40:] + b"\n")
    assert drain(database, writer).accepted == 1
    assert rejected(database) == []


def test_a_torn_line_is_kept_as_rejected_and_the_rest_goes_on(database: Settings, spool: Path, writer: LiveWriter) -> None:
    note(spool, call(1))
    with day_file(spool).open("ab") as file:
        file.write(b"\n" + call(2)[:50])
    note(spool, call(3), hook.line_of(b"{no json", time.time_ns()))
    counts = drain(database, writer)
    assert (counts.accepted, counts.rejected) == (2, 2)
    assert rejected(database) == ["the line is torn or not JSON", "the hook's input is not a JSON object with a hook_event_name"]


def test_a_full_disk_loses_nothing(database: Settings, spool: Path, writer: LiveWriter) -> None:
    """The spool takes a few hundred bytes more, then none: a line is cut, and those after it go to memory."""
    code = (
        "import os, resource, sys; from detektor_pipelines import hook\n"
        "write = os.write\n"
        f"def full(file, text):\n"
        f"    if os.readlink(f'/proc/self/fd/{{file}}').startswith({str(spool)!r}):\n"
        "        room = max(0, 700 - os.fstat(file).st_size)\n"
        "        if not room: raise OSError(28, 'No space left on device')\n"
        "        return write(file, text[:room])\n"
        "    return write(file, text)\n"
        "os.write = full\n"
        f"sys.argv[1:] = [{str(spool)!r}]\nhook.main()"
    )
    for number in range(6):
        record = {"hook_event_name": "PostToolUse", "session_id": "s", "cwd": "/x/shop", "tool_name": "Bash", "tool_use_id": f"t{number}"}
        subprocess.run([sys.executable, "-c", code], input=json.dumps(record).encode(), check=True, timeout=60)
    assert day_file(spool).stat().st_size == 700
    counts = drain(database, writer)
    assert counts.accepted == 6
    assert stored(database) == [f"tool:t{number}" for number in range(6)]
    age(day_file(spool))
    drain(database, writer)
    assert rejected(database) == ["the line is torn or not JSON"]
    assert list(spool.glob("hook-*")) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_file_system_that_is_really_full(database: Settings, tmp_path: Path, writer: LiveWriter) -> None:
    """A tmpfs of 16 KiB in a mount namespace of its own; whoever may not mount skips."""
    spool, memory = tmp_path / "small", tmp_path / "memory"
    spool.mkdir()
    memory.mkdir(exist_ok=True)
    report = json.dumps({"hook_event_name": "SubagentStop", "session_id": "s", "last_assistant_message": "y " * 3_000})
    script = (
        f"mount -t tmpfs -o size=16k,mode=700 none {spool} || exit 77\n"
        f"for n in 1 2 3 4 5; do echo '{report[:-1]}, \"agent_id\": \"a'$n'\"}}' | {' '.join(QUICK)} {spool} || exit 1; done\n"
        f"sleep 3; cp {spool}/* {tmp_path}/"  # texts are masked by children that nobody waits for
    )
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script],
        env={**os.environ, "XDG_RUNTIME_DIR": str(memory)},
        capture_output=True,
        check=False,
        timeout=120,
    )
    if (done.returncode in {1, 77} and b"mount" in done.stderr + done.stdout) or b"unshare" in done.stderr:
        pytest.skip("this machine lets nobody mount")
    assert done.returncode == 0, done.stderr
    whole = {json.loads(line)["agent_id"] for file in memory.rglob("hook-*") for line in file.read_bytes().split(b"\n") if line}
    assert whole
    for file in tmp_path.glob("hook-*.jsonl"):
        for line in file.read_bytes().split(b"\n"):
            if line.endswith(b"}"):
                whole.add(json.loads(line)["agent_id"])
    assert whole == {"a1", "a2", "a3", "a4", "a5"}


def test_a_file_of_a_day_that_is_over_is_removed(database: Settings, spool: Path, writer: LiveWriter) -> None:
    drainer = Spool(database)
    note(spool, call(1))
    with age(day_file(spool)).open("ab") as file:
        file.write(b"\n" + call(2)[:30])
    os.utime(day_file(spool), (0, 0))
    counts = drainer.drain(writer)
    assert (counts.accepted, counts.rejected, counts.removed) == (1, 1, 1)
    assert list(spool.glob("hook-*")) == []
    assert json.loads((spool / "drained.json").read_text())["offsets"] == {}


def test_a_retired_file_is_finished_after_a_crash(database: Settings, spool: Path, writer: LiveWriter) -> None:
    note(spool, call(1))
    file = day_file(spool)
    file.rename(file.with_name(file.name + ".retired"))
    note(spool, call(2))
    counts = drain(database, writer)
    assert (counts.accepted, counts.removed) == (2, 1)


def test_todays_file_and_one_just_written_stay(database: Settings, spool: Path, writer: LiveWriter) -> None:
    note(spool, call(1))
    day_file(spool).rename(spool / "hook-20260101.jsonl")
    assert drain(database, writer).removed == 0
    note(spool, call(2))
    os.utime(next(path for path in spool.glob("hook-*") if "20260101" not in path.name), (0, 0))
    assert drain(database, writer).removed == 0


def test_killed_between_commit_and_offset(database: Settings, spool: Path, writer: LiveWriter) -> None:
    note(spool, *(call(number) for number in range(50)))
    code = (
        "import os, signal; from detektor_pipelines.ingest.live import spool; from detektor_pipelines.settings import get_settings\n"
        "spool._State.write = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "spool.drain(get_settings())"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL
    assert len(stored(database)) == 50
    counts = drain(database, writer)
    assert (counts.lines, counts.accepted, counts.known, counts.rejected) == (50, 0, 50, 0)
    assert drain(database, writer).lines == 0


def test_what_an_agent_did_survives_a_crash_of_its_drainer(database: Settings, spool: Path, writer: LiveWriter) -> None:
    stop = {
        "hook_event_name": "SubagentStop",
        "agent_id": "a1",
        "agent_type": "code-reviewer",
        "last_assistant_message": "Verdict: APPROVE",
    }
    note(spool, call(1, hook_event_name="SubagentStart", agent_id="a1", agent_type="code-reviewer"), call(2, **stop))
    assert drain(database, writer).waiting == 1
    result = {"agentId": "a1", "status": "completed", "totalDurationMs": 700, "totalToolUseCount": 0}
    note(spool, call(3, tool_name="Agent", tool_response=result))
    assert drain(database, writer).waiting == 0
    with psycopg.connect(database.postgres_dsn) as connection:
        row = connection.execute(
            "SELECT event_id, verdict, duration_ms FROM ml_learning.agent_events WHERE operation = 'review'"
        ).fetchall()
    assert row == [("work:t3", "approved", 700)]


def test_without_a_server_the_lines_stay(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    note(settings.home / "spool", call(1))
    with pytest.raises(UserError, match="PostgreSQL does not answer"):
        drain(settings.model_copy(update={"postgres_port": 1}))  # at the usual one a stack may run
    assert not (settings.home / "spool" / "drained.json").exists()


def test_a_state_that_cannot_be_written_stops_nothing(
    database: Settings, spool: Path, writer: LiveWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(spools._State, "write", full)
    drainer = Spool(database)
    note(spool, call(1))
    assert drainer.drain(writer).accepted == 1
    note(spool, call(2))
    assert (drainer.drain(writer).lines, len(stored(database))) == (1, 2)


def test_the_transcript_of_a_session_that_was_heard_counts_nothing_twice(
    database: Settings, spool: Path, writer: LiveWriter, tmp_path: Path
) -> None:
    def line(kind: str, seconds: int, content: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() - 60 + seconds)) + ".123Z"
        common = {"uuid": f"{kind}-{seconds}", "sessionId": "s", "cwd": "/home/ada/shop", "timestamp": at}
        return {"type": kind, **common, "message": {"role": kind, "content": content}, **more}

    use = {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "ls"}}
    back = {"type": "tool_result", "tool_use_id": "t1", "content": "x"}
    agent = {"type": "tool_use", "id": "t2", "name": "Agent", "input": {"subagent_type": "code-reviewer", "description": "review"}}
    ended = {"type": "tool_result", "tool_use_id": "t2", "content": "Verdict: APPROVE"}
    told = {"status": "completed", "agentId": "a1", "content": [{"type": "text", "text": "Verdict: APPROVE"}], "totalDurationMs": 900}
    transcript = tmp_path / "s.jsonl"
    records = [line("assistant", 1, [use]), line("user", 2, [back], toolUseResult={}), line("assistant", 3, [agent])]
    records.append(line("user", 4, [ended], toolUseResult=told))
    transcript.write_text("\n".join(map(json.dumps, records)))

    note(spool, call(1, duration_ms=7), call(2, tool_name="Agent", tool_input={"subagent_type": "code-reviewer"}, tool_response=told))
    assert drain(database, writer).accepted == 4
    heard = stored(database)
    counts = ingest(database, [transcript]).counts
    assert (counts.added, counts.conflicts, counts.rejected, counts.reread) == (0, 0, 0, len(heard))
    assert stored(database) == heard


@pytest.mark.parametrize("grown", [False, True])
def test_a_file_that_was_cut_is_read_from_its_start_again(database: Settings, spool: Path, writer: LiveWriter, *, grown: bool) -> None:
    """Also when it has grown again past the place to which it was read."""
    drainer = Spool(database)
    note(spool, call(1), call(2), call(3))
    assert drainer.drain(writer).accepted == 3
    file = day_file(spool)
    first = file.read_bytes().split(b"\n\n")[0] + b"\n"
    os.truncate(file, len(first))
    note(spool, *(call(number) for number in range(4, 8 if grown else 5)))
    counts = drainer.drain(writer)
    assert (counts.cut, counts.known, counts.rejected) == (1, 1, 0)
    assert len(stored(database)) == (7 if grown else 4)
    assert drainer.drain(writer).cut == 0


def test_what_a_hook_noted_ahead_of_the_clock_waits_for_it(
    database: Settings, spool: Path, writer: LiveWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a laptop whose clock was set back after the hook ran."""
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + 3_600 * 10**9)
    line = call(1)
    monkeypatch.setattr(time, "time_ns", real)
    note(spool, line)
    counts = drain(database, writer)
    assert (counts.held, counts.rejected, stored(database)) == (1, 0, [])
    monkeypatch.setattr(time, "time_ns", lambda: real() + 3_602 * 10**9)
    drain(database, writer)
    assert stored(database) == ["tool:t1"]
