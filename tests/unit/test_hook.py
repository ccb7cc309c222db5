from __future__ import annotations

import io
import json
import os
import resource
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.waiting import eventually

from detektor_pipelines import hook
from detektor_pipelines.ingest import masking

HOOK = Path(hook.__file__)
QUICK = (sys.executable, "-I", "-S", str(HOOK))
AT = 1_795_000_000_123_456_789


def run(spool: Path, text: bytes | dict[str, Any], **more: Any) -> subprocess.CompletedProcess[bytes]:
    given = text if isinstance(text, bytes) else json.dumps(text).encode()
    done = subprocess.run([*QUICK, str(spool)], input=given, capture_output=True, check=False, timeout=60, **more)
    assert (done.returncode, done.stdout) == (0, b"")
    return done


def lines(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for file in sorted(directory.glob("hook-*")) for line in file.read_bytes().split(b"\n") if line]


def noted(directory: Path, number: int = 1) -> list[dict[str, Any]]:
    """The notes, when all are there: a text is masked by a child that nobody waits for."""
    assert eventually(lambda: sum(file.read_bytes().count(b"}\n") for file in directory.glob("hook-*")) >= number)
    return lines(directory)


def kept(record: dict[str, Any]) -> dict[str, Any]:
    return json.loads(hook.line_of(json.dumps(record).encode(), AT))


def test_it_needs_the_standard_library_alone() -> None:
    code = f"import sys; sys.argv = ['x', '/nowhere']; exec(open({str(HOOK)!r}).read().split('if __name__')[0]); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True).stdout.split()
    tops = {name.partition(".")[0] for name in loaded}
    assert tops - sys.stdlib_module_names == {"__main__"}
    assert not tops & {"json", "re", "pathlib", "datetime", "typing", "logging", "argparse", "subprocess", "socket", "dataclasses"}


def test_a_note_is_one_line_of_the_days_file(tmp_path: Path) -> None:
    spool = tmp_path / "made" / "spool"
    run(spool, {"hook_event_name": "PostToolUse", "tool_name": "Bash", "session_id": "s"})
    (file,) = spool.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(spool.stat().st_mode) == 0o700
    text = file.read_bytes()
    assert text.startswith(b"\n{")
    assert text.endswith(b"}\n")
    (line,) = lines(spool)
    assert line["tool_name"] == "Bash"
    assert line[hook.TIME] > AT - 10**18


def test_hooks_at_once_leave_whole_lines(tmp_path: Path) -> None:
    record = json.dumps({"hook_event_name": "SubagentStop", "last_assistant_message": "x" * 30_000}).encode()
    running = [subprocess.Popen([*QUICK, str(tmp_path)], stdin=subprocess.PIPE) for _ in range(8)]
    for process in running:
        process.communicate(record, timeout=60)
    assert [len(line["last_assistant_message"]) for line in noted(tmp_path, 8)] == [30_000] * 8


def test_what_a_tool_was_given_and_gave_back_is_not_kept() -> None:
    said = kept(
        {
            "hook_event_name": "PostToolUse",
            "session_id": "s",
            "cwd": "/home/ada/shop",
            "tool_name": "Bash",
            "tool_use_id": "toolu_1",
            "tool_input": {"command": "cat .env"},
            "tool_response": {"stdout": "KEY=1234567", "interrupted": False},
            "duration_ms": 12,
            "permission_mode": "default",
        }
    )
    assert {"command", "stdout", "permission_mode"} & set(json.dumps(said).replace('"', " ").split()) == set()
    assert said["tool_response"] == {"interrupted": False}
    assert (said["duration_ms"], said["cwd"], said["tool_use_id"]) == (12, "/home/ada/shop", "toolu_1")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
    st.booleans(),
)
def test_json_is_read_as_the_json_module_reads_it(value: Any, in_ascii: bool) -> None:  # noqa: FBT001
    text = json.dumps(value, ensure_ascii=in_ascii).encode("utf-8", "surrogatepass")
    try:
        expected = repr(json.loads(text.decode()))
    except ValueError:
        return
    assert repr(hook._parsed(b" " + text + b"\n")) == expected


@given(st.dictionaries(st.text(), st.text() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)))
def test_json_is_written_as_the_json_module_reads_it(value: dict[str, Any]) -> None:
    assert json.loads(hook._json_of({"outer": value})) == {"outer": value}


@pytest.mark.parametrize("text", [b"", b"{", b"{} {}", b"{'a': 1}", b'{"a": 1,}', b"\xff", b"nul"])
def test_what_is_no_json_is_a_value_error(text: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        hook._parsed(text)


def test_errors_and_reports_are_masked() -> None:
    said = kept(
        {
            "hook_event_name": "PostToolUseFailure",
            "error": "curl -H 'Authorization: Bearer abcdefghijklmnop1234' failed for ada@example.org" + "x" * 2_000,
            "last_assistant_message": "Verdict: APPROVE\npassword=hunter2hunter2",
        }
    )
    assert "abcdefghijklmnop" not in said["error"]
    assert "ada@" not in said["error"]
    assert len(said["error"]) <= hook.ERROR_LIMIT
    assert said["last_assistant_message"] == "Verdict: APPROVE\npassword=<secret>"


def test_a_long_report_keeps_its_beginning_and_end() -> None:
    report = kept({"hook_event_name": "SubagentStop", "last_assistant_message": "begin " + "x y " * 50_000 + " end"})[
        "last_assistant_message"
    ]
    assert report.startswith("begin")
    assert report.endswith(" end")
    assert len(report) <= hook.TEXT_LIMIT + 3


def test_an_agents_result_keeps_figures_and_report() -> None:
    result = {
        "status": "completed",
        "agentId": "a1",
        "totalDurationMs": 900,
        "totalToolUseCount": 2,
        "usage": {"input_tokens": 5, "output_tokens": 6, "service_tier": "x"},
        "content": [{"type": "text", "text": "Verdict: APPROVE"}],
        "prompt": "the whole prompt",
    }
    said = kept(
        {"hook_event_name": "PostToolUse", "tool_name": "Agent", "tool_input": {"subagent_type": "reviewer"}, "tool_response": result}
    )
    assert said["tool_response"] == {
        "status": "completed",
        "agentId": "a1",
        "totalDurationMs": 900,
        "totalToolUseCount": 2,
        "usage": {"input_tokens": 5, "output_tokens": 6},
        "report": "Verdict: APPROVE",
    }
    assert said["subagent_type"] == "reviewer"


@pytest.mark.parametrize("text", [b"", b"{torn", b"[1, 2]", b"\xff\xfe\x00", b'"text"', b"[" * 100_000])
def test_what_is_no_hook_is_kept_as_text(tmp_path: Path, text: bytes) -> None:
    run(tmp_path, text)
    (line,) = noted(tmp_path)
    assert set(line) == {hook.TIME, "pid", "text"}


def test_a_spool_that_cannot_be_written_is_replaced_by_memory(tmp_path: Path) -> None:
    blocked, memory = tmp_path / "file", tmp_path / "memory"
    blocked.write_text("no directory")
    memory.mkdir()
    run(blocked, {"hook_event_name": "SessionEnd"}, env={"XDG_RUNTIME_DIR": str(memory)})
    (directory,) = memory.iterdir()
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert [line["hook_event_name"] for line in lines(directory)] == ["SessionEnd"]


def test_nothing_can_be_written(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no directory")
    assert run(blocked, {"hook_event_name": "SessionEnd"}, env={"XDG_RUNTIME_DIR": str(blocked)}).returncode == 0


def test_who_waits_for_a_report_waits_for_no_rule(tmp_path: Path) -> None:
    """Whoever reads the hook's output, and whoever waits for its process group, is free before the rules are asked."""
    slow = tmp_path / "slow"
    slow.mkdir()
    (slow / "hook.py").write_bytes(HOOK.read_bytes())
    wait = f"while not os.path.exists({str(tmp_path / 'go')!r}): time.sleep(0.01)"
    (slow / "masks.py").write_text(f"import os, time\n{wait}\nmask = str.upper\n")
    text = json.dumps({"hook_event_name": "SubagentStop", "last_assistant_message": "a report"}).encode()
    spool = tmp_path / "spool"
    done = subprocess.run([*QUICK[:3], str(slow / "hook.py"), str(spool)], input=text, capture_output=True, check=True, timeout=60)
    assert (done.stdout, done.stderr, spool.exists()) == (b"", b"", False)
    (tmp_path / "go").touch()
    (line,) = noted(spool)
    assert line["last_assistant_message"] == "A REPORT"


@pytest.mark.parametrize("part", ["a-", "k7Rq2-Zx9_pL4", "password = 'Juniper9' ", "Ada Lovelace ", "<token>", "1 2 3 ", "\U0001f600"])
def test_a_report_of_any_shape_is_noted_within_a_second_of_processor_time(part: str, tmp_path: Path) -> None:
    """Both who is waited for and who masks: the system ends whoever takes longer, and there is no note."""
    report = part * ((hook.TEXT_LIMIT - 20) // len(part)) + " Verdict: APPROVED"
    record = {"hook_event_name": "SubagentStop", "session_id": "s", "agent_type": "reviewer", "last_assistant_message": report}
    run(tmp_path, record, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (1, 1)))
    (line,) = noted(tmp_path)
    assert line["last_assistant_message"].endswith("Verdict: APPROVED")


def test_without_a_child_the_hook_masks_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_more() -> int:
        raise BlockingIOError

    monkeypatch.setattr(os, "fork", no_more)
    monkeypatch.setattr(sys, "argv", ["detektor-hook", str(tmp_path)])
    record = {"hook_event_name": "SubagentStop", "last_assistant_message": "password: Juniper9"}
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps(record).encode())))
    hook.main()
    assert [line["last_assistant_message"] for line in lines(tmp_path)] == ["password: <secret>"]


def test_a_line_that_was_cut_off_does_not_spoil_the_next(tmp_path: Path) -> None:
    record = {"hook_event_name": "SubagentStop", "last_assistant_message": "x" * 2_000}
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, 1_000))  # noqa: E731
    run(tmp_path, record, preexec_fn=limit, env={"XDG_RUNTIME_DIR": str(tmp_path)})
    assert eventually(lambda: any(file.stat().st_size == 1_000 for file in tmp_path.glob("hook-*.jsonl")))
    run(tmp_path, {"hook_event_name": "SessionEnd"}, env={"XDG_RUNTIME_DIR": str(tmp_path)})
    (file,) = tmp_path.glob("hook-*.jsonl")
    torn, whole = [line for line in file.read_bytes().split(b"\n") if line]
    assert len(torn) == 999
    assert json.loads(whole)["hook_event_name"] == "SessionEnd"


def test_a_file_of_another_user_or_a_link_is_not_written(tmp_path: Path) -> None:
    aim = tmp_path / "aim"
    aim.write_text("")
    memory = tmp_path / "memory"
    spool = tmp_path / "spool"
    spool.mkdir()
    memory.mkdir()
    hook.note(str(tmp_path / "other"), b"{}")
    (made,) = (tmp_path / "other").iterdir()
    (spool / made.name).symlink_to(aim)
    run(spool, {"hook_event_name": "SessionEnd"}, env={"XDG_RUNTIME_DIR": str(memory)})
    assert aim.read_text() == ""
    assert len(list(memory.rglob("hook-*"))) == 1


def test_a_file_that_another_user_made_in_our_place_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain file, not a link: whoever could make it there could read what is written into it."""
    spool, memory = tmp_path / "spool", tmp_path / "memory"
    memory.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(memory))
    hook.note(str(spool), b'{"ours": true}')
    (planted,) = spool.iterdir()
    before, fstat = planted.read_bytes(), os.fstat

    def owned_by_another(file: int) -> os.stat_result:
        found = fstat(file)
        if (found.st_dev, found.st_ino) != (planted.stat().st_dev, planted.stat().st_ino):
            return found
        values = list(found)
        values[stat.ST_UID] = os.geteuid() + 1
        return os.stat_result(values)

    monkeypatch.setattr(os, "fstat", owned_by_another)
    hook.note(str(spool), b'{"secret": true}')
    assert planted.read_bytes() == before
    assert [b"secret" in file.read_bytes() for file in memory.rglob("hook-*")] == [True]


def test_who_wrote_into_a_file_without_a_name_writes_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The drainer renames the file between the hook's opening and its writing."""
    write = os.write

    def renamed_meanwhile(file: int, text: bytes) -> int:
        monkeypatch.setattr(os, "write", write)
        (path,) = tmp_path.iterdir()
        path.rename(path.with_name(path.name + ".retired"))
        return write(file, text)

    monkeypatch.setattr(os, "write", renamed_meanwhile)
    hook.note(str(tmp_path), b'{"once": true}')
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b'\n{"once": true}\n'] * 2


def test_the_rules_of_masking_are_one_list() -> None:
    text = "mail ada@example.org token=abcdef123456 /home/ada/x AKIAABCDEFGHIJKLMNOP https://u:p@h/x"
    assert hook.masked(text) == masking.mask(text)
