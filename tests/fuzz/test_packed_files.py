"""Packed files, archives and databases with bytes changed: read as far as they can be, the rest named; bounded in memory."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import sqlite3
import tarfile
import tracemalloc
import zipfile
from contextlib import closing
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.examples import examples
from support.mangled import not_for_ever
from support.valid_records import CLAUDE, OPENCODE, OWN

from detektor_pipelines.errors import UserError
from detektor_pipelines.ingest.dispatch import Reading
from detektor_pipelines.ingest.files import Journal, find_logs
from detektor_pipelines.ingest.readers.interface import ReadContext
from detektor_pipelines.ingest.readers.names import AgentNames

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAMES: Final = AgentNames.load()
MEMORY: Final = 160 * 1024 * 1024
"""More than a small file may take: twice the longest line that is read, and what packed tars take."""


def lines(records: list[dict[str, object]]) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def of_tar(content: bytes, mode: str = "w") -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode=mode) as archive:
        for name in ("a.jsonl", "b/c.jsonl"):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return held.getvalue()


def of_zip(content: bytes) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jsonl", content)
        archive.writestr("b/c.json", content)
    return held.getvalue()


def of_database(content: bytes) -> bytes:
    connection = sqlite3.connect(":memory:")
    connection.executescript(
        "CREATE TABLE session (id, directory, time_created); CREATE TABLE message (id, session_id, time_created, data);"
        "CREATE TABLE part (id, message_id, session_id, time_created, data);"
    )
    connection.execute("INSERT INTO session VALUES ('ses_p', '/home/ada/rover', 1772704800000)")
    for message in OPENCODE[0]["messages"]:
        connection.execute("INSERT INTO message VALUES (?, 'ses_p', 1, ?)", (message["info"]["id"], json.dumps(message["info"])))
        for part in message["parts"]:
            row = (part["id"], message["info"]["id"], json.dumps(part) + content[:20].decode())
            connection.execute("INSERT INTO part VALUES (?, ?, 'ses_p', 1, ?)", row)
    connection.commit()
    try:
        return connection.serialize()
    finally:
        connection.close()


WAYS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "log.jsonl.gz": gzip.compress,
    "log.jsonl.xz": lzma.compress,
    "log.jsonl.bz2": bz2.compress,
    "log.tar": of_tar,
    "log.tar.gz": lambda content: of_tar(content, "w:gz"),
    "log.zip": of_zip,
    "opencode.db": of_database,
}


def read(path: Path) -> int:
    """Read a file as a run does, and return how many records it gave; where it gave none, somebody says why."""
    with closing(Journal()) as journal:
        try:
            logs = find_logs([path], journal)
        except UserError as error:
            return len(error.fix) and 0
        number = len(list(Reading(logs, journal, ReadContext(names=NAMES)).records()))
        told = [each.reason for each in journal.take_rejections()] + list(logs.skipped.values())
        assert number or told or not path.stat().st_size or path.name.endswith(".db")  # of which a page may say that it is empty
        assert not any("None" in each for each in told)
        return number


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("packed")


@pytest.mark.parametrize("name", WAYS)
@settings(max_examples=examples(12), suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_read_as_far_as_it_goes(name: str, data: st.DataObject, place: Path) -> None:
    whole = WAYS[name](lines([*OWN, *CLAUDE]))
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(0, 6))):
        where = data.draw(st.integers(0, len(damaged) - 1))
        damaged[where] = data.draw(st.integers(0, 255) | st.sampled_from((0, 1, 0x7F, 0x80, 0xFF)))
    cut = data.draw(st.sampled_from((None, None, None, data.draw(st.integers(0, len(damaged))))))
    file = place / name
    file.write_bytes(bytes(damaged[:cut]))
    with not_for_ever():
        read(file)


def sparse() -> bytes:
    """A tar of 1 KB whose only file claims to be an exabyte of nothing (GNU's way of writing sparse files)."""
    info = tarfile.TarInfo("a.jsonl")
    info.type = tarfile.GNUTYPE_SPARSE
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[345:500] = bytes(155)
    header[386:410] = b"00000000000\x0000000000000\x00"[:24]
    header[483:495] = b"77777777777\x00"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\x00 " % sum(header)
    return bytes(header) + bytes(1024)


BOMBS: Final[dict[str, Callable[[], bytes]]] = {
    "deep.jsonl": lambda: b"[" * 2_000_000,
    "deep-objects.jsonl": lambda: b'{"a":' * 200_000,
    "wide.jsonl": lambda: b'{"agent":"main","operation":"chat","occurred_at":[' + b"0," * 300_000 + b"0]}",
    "digits.jsonl": lambda: b'{"agent":"main","operation":"chat","occurred_at":' + b"9" * 1_000_000 + b"}",
    "zeros.jsonl": lambda: bytes(8_000_000),
    "line.jsonl.gz": lambda: gzip.compress(bytes(100_000_000), 1),
    "sparse.tar": sparse,
    "nested.tar.gz": lambda: gzip.compress(of_tar(gzip.compress(bytes(8_000_000), 1))),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_small_file_takes_bounded_memory(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_bytes(BOMBS[name]())
    tracemalloc.start()
    try:
        with not_for_ever(20):
            read(file)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MEMORY + 20 * file.stat().st_size
