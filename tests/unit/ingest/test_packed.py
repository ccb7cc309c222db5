"""Packed files and archives, documents, and everything that is skipped: with its reason, and without being opened where that would hang."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import socket
import tarfile
import zipfile
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from detektor_pipelines.errors import UserError
from detektor_pipelines.ingest import documents, packed
from detektor_pipelines.ingest.files import Journal, find_logs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OWN = b'{"agent":"pisarz","operation":"research","occurred_at":"2026-03-05T10:00:00Z"}\n'
CLAUDE = b'{"type":"user","sessionId":"s"}\n'


def tar(way: str, **members: bytes) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode=f"w:{way}") as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(f"deep/{name}.jsonl")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return held.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return held.getvalue()


def lines(path: Path, journal: Journal | None = None) -> dict[str, list[tuple[str, list[bytes]]]]:
    """Reader → (what stands behind the path, its lines) of all logs found."""
    with closing(journal or Journal()) as kept:
        found = find_logs([path], kept)
        return {
            name: [(file.source.removeprefix(str(path)), [line for _, line in file.open()]) for file in files]
            for name, files in found.by_reader.items()
        }


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, bz2.compress])
def test_a_packed_file_is_known_by_its_first_bytes(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    (tmp_path / "log").write_bytes(pack(OWN * 3))
    assert lines(tmp_path / "log") == {"jsonl": [("", [OWN.strip()] * 3)]}


@pytest.mark.parametrize("way", ["", "gz", "xz", "bz2"])
def test_a_tar_is_read_member_by_member_and_nothing_is_unpacked_to_disk(tmp_path: Path, way: str) -> None:
    (tmp_path / "logs.tar").write_bytes(tar(way, a=OWN, b=CLAUDE))
    found = lines(tmp_path / "logs.tar")
    assert found == {"jsonl": [("/deep/a.jsonl", [OWN.strip()])], "claude-code": [("/deep/b.jsonl", [CLAUDE.strip()])]}
    assert [each.name for each in tmp_path.iterdir()] == ["logs.tar"]


def test_a_zip_is_read_member_by_member_and_what_is_no_log_in_it_is_named(tmp_path: Path) -> None:
    members = {"a.jsonl": OWN, "b.jsonl.gz": gzip.compress(CLAUDE), "notes.txt": b"x", "c.jsonl": b'{"no": 1}\n', "../../x.jsonl": OWN}
    (tmp_path / "logs.zip").write_bytes(zipped(members | {"in.zip": zipped({"d.jsonl": OWN})}))
    journal = Journal()
    found = find_logs([tmp_path], journal)
    logs = {file.source.removeprefix(f"{tmp_path}/") for files in found.by_reader.values() for file in files}
    assert logs == {"logs.zip/a.jsonl", "logs.zip/b.jsonl.gz", "logs.zip/x.jsonl"}
    assert {name.removeprefix(f"{tmp_path}/"): reason for name, reason in found.skipped.items()} == {
        "logs.zip/c.jsonl": "no record of a known format",
        "logs.zip/in.zip": "an archive within an archive: unpack it first",
    }
    journal.close()


def test_a_bomb_is_not_read_further(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "FREE_BYTES", 100_000)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(OWN + b" \n" * 5_000_000))
    journal = Journal()
    (found,) = lines(tmp_path / "a.jsonl.gz", journal)["jsonl"]
    assert found[1] == [OWN.strip()]
    (rejection,) = journal.take_rejections()
    assert rejection.reason == "it unpacks to more than 250 times its size: what follows is not read"


def test_a_packed_tar_over_its_limit_wants_to_be_unpacked_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "TAR_LIMIT", 1024**2)
    (tmp_path / "logs.tgz").write_bytes(tar("gz", a=OWN * 20_000))
    with closing(Journal()) as journal, pytest.raises(UserError, match=r"a packed tar of more than 1 MiB: unpack it first \(tar -xf\)"):
        find_logs([tmp_path / "logs.tgz"], journal)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\x28\xb5\x2f\xfd\x04", "packed with zstd: unpack it first (zstd -d a.jsonl)"),
        (b"7z\xbc\xaf\x27\x1c", "packed with 7-Zip"),
        (b'{"display": "x", "timestamp": 1, "project": "/x"}\n', "Claude Code's list of prompts: it holds no events"),
        (b'{"resourceLogs": []}\n', "OpenTelemetry logs: send them to `detektor collect`"),
        (b'{"role": "user", "content": "x"}\n', "looks like a bare list of messages"),
        (b'{\n  "some": "thing"\n}\n', "a JSON document, not lines, and no session of an agent that is known"),
        (b"", "empty"),
    ],
)
def test_what_is_not_read_is_named_with_its_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    (tmp_path / "log.jsonl").write_bytes(OWN)
    (skipped,) = find_logs([tmp_path]).skipped.items()
    assert skipped[0] == str(tmp_path / "a.jsonl")
    assert skipped[1].startswith(reason)
    if content:
        with pytest.raises(UserError, match="This is not an agent log: ") as caught:
            find_logs([tmp_path / "a.jsonl"])
        assert skipped[1] in str(caught.value)


def test_files_that_are_not_called_as_logs_are_counted_by_their_suffix(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt", "c.json", "LICENSE", "log.jsonl"):
        (tmp_path / name).write_bytes(OWN if name == "log.jsonl" else b"{}")
    (tmp_path / ".aider.chat.history.md").write_text("# aider chat")
    found = find_logs([tmp_path])
    assert found.others == {".txt": 2, ".json": 1, "(no suffix)": 1}
    assert list(found.skipped.values()) == ["looks like a chat of Aider, which is not read"]


def test_pipes_sockets_and_devices_in_a_directory_are_named_and_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")  # to open it would wait for ever
    (tmp_path / "null.jsonl").symlink_to("/dev/null")
    (tmp_path / "log.jsonl").write_bytes(OWN)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s.jsonl"))
        found = find_logs([tmp_path])
        with pytest.raises(UserError, match="it is a socket"):
            find_logs([tmp_path / "s.jsonl"])
    assert {name.rpartition("/")[2]: reason for name, reason in found.skipped.items()} == {
        "null.jsonl": "it is a device, which is not opened",
        "pipe.jsonl": "it is a pipe, which is not opened",
        "s.jsonl": "it is a socket, which is not opened",
    }


def test_a_list_of_records_in_one_document_is_read_as_its_records(tmp_path: Path) -> None:
    records = [json.loads(OWN), json.loads(OWN) | {"event_id": "x"}]
    (tmp_path / "export.json").write_text(json.dumps(records, indent=2))
    (found,) = lines(tmp_path)["jsonl"]
    assert [json.loads(line) for line in found[1]] == records


def test_a_document_over_its_limit_is_not_read_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "DOCUMENT_LIMIT", 100)
    (tmp_path / "export.json").write_text(json.dumps([json.loads(OWN)] * 5, indent=2))
    with pytest.raises(UserError, match="no record of a known format"):
        find_logs([tmp_path / "export.json"])


def test_a_sparse_file_of_an_archive_is_not_read(tmp_path: Path) -> None:
    """Its holes are as long as it says: a tar of a kilobyte would keep us reading for years."""
    info = tarfile.TarInfo("a.jsonl")
    info.type = tarfile.GNUTYPE_SPARSE
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[386:410], header[483:495], header[148:156] = b"00000000000\x0000000000000\x00"[:24], b"77777777777\x00", b" " * 8
    header[148:156] = b"%06o\x00 " % sum(header)
    (tmp_path / "sparse.tar").write_bytes(bytes(header) + bytes(1024))
    with closing(Journal()) as journal:
        with pytest.raises(UserError):
            find_logs([tmp_path / "sparse.tar"], journal)
        (rejection,) = journal.take_rejections()
    assert rejection.reason == "a sparse file, whose holes may be longer than anybody can read: unpack it first (tar -xf)"


def test_what_a_damaged_bzip2_lacks_is_said_in_words(tmp_path: Path) -> None:
    packed = bytearray(
        bz2.compress(b"".join(b'{"agent":"main","operation":"chat","occurred_at":"%d"}\n' % number for number in range(40_000)))
    )
    packed[len(packed) // 2] ^= 0xFF
    (tmp_path / "log.jsonl.bz2").write_bytes(packed)
    journal = Journal()
    (file,) = find_logs([tmp_path / "log.jsonl.bz2"], journal).by_reader["jsonl"]
    assert list(file.open())
    assert [each.reason for each in journal.take_rejections()] == ["the file cannot be read further: Invalid data stream"]
