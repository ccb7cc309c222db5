from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from detektor_pipelines.errors import UserError
from detektor_pipelines.ingest import files
from detektor_pipelines.ingest.files import Journal, find_logs, source_file

if TYPE_CHECKING:
    from pathlib import Path

OWN = b'{"agent":"pisarz","operation":"research","occurred_at":"2026-03-05T10:00:00Z"}\n'
CLAUDE = b'{"type":"user","sessionId":"s"}\n'


def lines_of(path: Path, journal: Journal | None = None) -> list[tuple[int, bytes]]:
    return list(source_file(path, journal).open())


def test_lines_are_numbered_and_blank_ones_byte_order_mark_and_line_ends_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\xef\xbb\xbfone\r\n\n  \ntwo\nthree")
    assert lines_of(path) == [(1, b"one"), (4, b"two"), (5, b"three")]


def test_gzip_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    path = tmp_path / "named-plainly"
    path.write_bytes(gzip.compress(b"one\ntwo\n"))
    assert lines_of(path) == [(1, b"one"), (2, b"two")]


def test_torn_gzip_keeps_what_could_be_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    content = b"".join(b'{"n":%d,"noise":"%s"}\n' % (number, os.urandom(50).hex().encode()) for number in range(20_000))
    path.write_bytes(gzip.compress(content)[:700_000])
    journal = Journal()
    read = lines_of(path, journal)
    (rejection,) = journal.take_rejections()
    assert 9_000 < len(read) < 20_000  # nearly all that stands before the tear
    assert rejection.reason == "the packed data are torn: what follows could not be read"
    assert rejection.line == len(read) + 1


def test_a_line_over_the_limit_is_skipped_and_named_with_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LINE_LIMIT", 1024**2)
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"one\n" + b"x" * 3_000_000 + b"\ntwo\n")
    journal = Journal()
    assert lines_of(path, journal) == [(1, b"one"), (3, b"two")]
    (rejection,) = journal.take_rejections()
    assert (rejection.line, rejection.reason, rejection.excerpt) == (2, "the line is longer than 1 MiB", "3000001 bytes")


@pytest.mark.parametrize("piece", [1, 2, 3, 7])
def test_lines_are_the_same_wherever_the_pieces_end_in_which_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    monkeypatch.setattr(files, "LINE_LIMIT", 10)
    monkeypatch.setattr(files, "_PIECE", piece)
    content = [b"one", b"", b"123456789", b"1234567890", b"y" * 11, b"  two  ", b"z" * 40, b"", b"end"]
    for ending in (b"", b"\n"):
        path = tmp_path / "a.jsonl"
        path.write_bytes(b"\n".join(content) + ending)
        journal = Journal()
        assert lines_of(path, journal) == [(1, b"one"), (3, b"123456789"), (6, b"two"), (9, b"end")]
        assert [(each.line, each.excerpt) for each in journal.take_rejections()] == [(4, "11 bytes"), (5, "12 bytes"), (7, "41 bytes")]
        assert journal.lines == 9


def test_a_line_of_fifty_megabytes_is_read_and_one_over_the_limit_takes_no_more_memory_than_it(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with path.open("wb") as stream:
        stream.write(b"x" * 50_000_000 + b"\n")
        for _ in range(300):
            stream.write(b"y" * 1_000_000)
        stream.write(b"\nlast\n")
    program = (
        "import resource, sys; from pathlib import Path; from detektor_pipelines.ingest.files import source_file\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print([(number, len(line)) for number, line in source_file(Path(sys.argv[1])).open()])\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)"
    )
    out = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True).stdout.splitlines()
    assert out[0] == "[(1, 50000000), (3, 4)]"
    assert int(out[1]) < 250  # MiB: two lines at their limit, and not the 300 MB of the one that is skipped


def test_a_directory_is_searched_and_each_file_gets_its_reader(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "own.ndjson.gz").write_bytes(gzip.compress(OWN))
    (tmp_path / "session.jsonl").write_bytes(CLAUDE)
    (tmp_path / "other.jsonl").write_bytes(b'{"no":"log"}\n')
    (tmp_path / "empty.jsonl").write_bytes(b"")
    (tmp_path / "notes.txt").write_bytes(OWN)
    (tmp_path / "torn.jsonl").write_bytes(b"{{{\n")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x.jsonl").write_bytes(OWN)
    journal = Journal()
    found = find_logs([tmp_path, tmp_path / "session.jsonl"], journal)
    by_reader = {reader: [file.path and file.path.name for file in of] for reader, of in found.by_reader.items()}
    assert by_reader == {"jsonl": ["own.ndjson.gz"], "claude-code": ["session.jsonl"]}
    reasons = {path.rpartition("/")[2]: reason for path, reason in found.skipped.items()}
    nothing = "no record of a known format"
    assert reasons == {"empty.jsonl": "empty", "other.jsonl": nothing, "torn.jsonl": nothing}
    assert [rejection.reason for rejection in journal.take_rejections()] == ["none of the file's first lines is a JSON object"]
    assert found.size == len(CLAUDE) + len(gzip.compress(OWN))


def test_standard_input_and_pipes_can_be_read_more_than_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Input:
        buffer = io.BytesIO(gzip.compress(OWN))

    monkeypatch.setattr(sys, "stdin", Input)
    journal = Journal()
    (standard,) = find_logs(["-"], journal).by_reader["jsonl"]
    assert standard.source == "standard input"
    assert list(standard.open()) == list(standard.open()) == [(1, OWN.strip())]

    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(OWN,))
    writer.start()
    (piped,) = find_logs([pipe], journal).by_reader["jsonl"]
    writer.join()
    assert list(piped.open()) == [(1, OWN.strip())]
    journal.close()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.jsonl", None, "There is nothing at this path"),
        ("binary", b"\x7fELF\x00\x01", "This is not an agent log"),
        ("other.jsonl", b'{"no":"log"}\n', "This is not an agent log"),
    ],
)
def test_a_named_file_that_is_no_log_is_an_error(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        find_logs([tmp_path / name])
    assert caught.value.where == str(tmp_path / name)
    assert caught.value.fix


def test_a_directory_without_logs_is_an_error_that_says_what_logs_are(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"No agent logs in this directory\.") as caught:
        find_logs([tmp_path])
    assert "~/.claude/projects" in str(caught.value)
    (tmp_path / "a.jsonl").write_bytes(b'{"no":"log"}\n')
    with pytest.raises(UserError, match=r"No agent logs in this directory: 1 file looked at, no record of a known format\."):
        find_logs([tmp_path])


class _Failing(files._Counted):
    """A disk that fails after the first block."""

    def readinto(self, buffer: Any, /) -> int | None:
        if self.tell() > 0:
            raise OSError(5, "Input/output error")
        return super().readinto(buffer)


def test_a_disk_that_fails_in_the_middle_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"line\n" * 1_000_000)
    monkeypatch.setattr(files, "_Counted", _Failing)
    journal = Journal()
    read = lines_of(path, journal)
    (rejection,) = journal.take_rejections()
    assert read
    assert rejection.reason == "the file cannot be read further: Input/output error"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_an_error_when_named_and_noted_in_a_directory(tmp_path: Path) -> None:
    (tmp_path / "good.jsonl").write_bytes(OWN)
    closed = tmp_path / "closed.jsonl"
    closed.write_bytes(OWN)
    closed.chmod(0)
    with pytest.raises(UserError, match="This cannot be read: Permission denied"):
        find_logs([closed])
    journal = Journal()
    find_logs([tmp_path], journal)
    assert [rejection.reason for rejection in journal.take_rejections()] == ["the file cannot be read: Permission denied"]


def test_a_file_that_fails_at_once_is_an_error_whoever_reads_it(tmp_path: Path) -> None:
    if not os.path.exists("/proc/self/mem"):  # noqa: PTH110 - no file to look into
        pytest.skip("needs Linux")
    (tmp_path / "mem.jsonl").symlink_to("/proc/self/mem")  # reading its first byte gives EIO
    with pytest.raises(UserError, match="This cannot be read: Input/output error"):
        find_logs([tmp_path / "mem.jsonl"])
    (tmp_path / "good.jsonl").write_bytes(OWN)
    journal = Journal()
    assert len(find_logs([tmp_path], journal).by_reader["jsonl"]) == 1
    assert [rejection.reason for rejection in journal.take_rejections()] == ["the file cannot be read: Input/output error"]


def test_the_bytes_read_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(OWN * 1000)
    told: list[int] = []
    lines_of(path, Journal(on_bytes=told.append))
    assert sum(told) == path.stat().st_size
