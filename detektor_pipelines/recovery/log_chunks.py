"""The log in pieces that later backups keep: ranges of its transactions' numbers, each a file of COPY's rows.

Below the oldest transaction that runs, the log does not grow any more: a piece that ends there is written once, and every later backup
names it. What is above is a last piece that no other backup keeps. The log is append-only but for erasure, so a piece is kept only when its
rows still have the hash that they had; one from which rows were erased is written anew, without them. (The backups made before hold them
until they are pruned.)

    |--- kept ---|--- kept ---|-- new --|.. open ..|
    0            …            …         horizon    what the snapshot sees above
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from detektor_pipelines.recovery import contents
from detektor_pipelines.recovery.manifest import Chunk, Contents

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import psycopg

    from detektor_pipelines.recovery.objects import Store

ROWS: Final = 250_000
"""Of a piece, unless one transaction wrote more."""

FEW: Final = 50_000
"""A last piece below this is written again together with what came since, so that small backups do not add up to many pieces."""

SUFFIX: Final = ".copy.zst"

_HORIZON: Final = "SELECT pg_snapshot_xmin(ml_learning.log_snapshot())::text::bigint"
_COLUMNS: Final = f"""
SELECT quote_ident(attname) FROM pg_attribute
WHERE attrelid = '{contents.LOG}'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum
"""
_PIECES: Final = f"""
SELECT max(xid)::text::bigint + 1 FROM (
    SELECT xid, (sum(number) OVER (ORDER BY xid) - 1)::bigint / {{rows}} AS piece
    FROM (SELECT xid, count(*) AS number FROM {contents.LOG} WHERE {{range}} GROUP BY xid) AS by_transaction
) AS numbered
GROUP BY piece ORDER BY 1
"""
_BLOCK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Piece:
    """A range of the log to be backed up: what is in it, and the chunk of the backup before that may stand for it."""

    first: int
    end: int | None
    before: Chunk | None = None


@dataclass
class Plan:
    """The pieces of the log, in order; `changed` are those whose rows are not what the backup before wrote."""

    pieces: list[Piece]
    columns: list[str]
    changed: list[Piece] = field(default_factory=list)


def plan(connection: psycopg.Connection, before: Sequence[Chunk], columns_before: Sequence[str]) -> Plan:
    """Cut the log, as the transaction under way sees it, into pieces: those of the backup before as long as it has any."""
    row = connection.execute(_HORIZON).fetchone()
    horizon = int(row[0]) if row else 0
    columns = [name for (name,) in connection.execute(_COLUMNS)]
    kept: list[Piece] = []
    first = 0
    if list(columns_before) == columns:
        for chunk in _sealed(before, horizon):
            kept.append(Piece(chunk.first, chunk.end, chunk))
            first = chunk.end or 0
    if kept and kept[-1].before and kept[-1].before.contents.rows < FEW:
        first = kept.pop().first
    range_ = contents.between(first, horizon)
    ends = [end for (end,) in connection.execute(_PIECES.format(rows=ROWS, range=range_))]
    pieces = [*kept]
    for end in [*ends[:-1], horizon] if ends else []:  # the last reaches up to the horizon, so that ranges have no gaps
        pieces.append(Piece(first, end))
        first = end
    return Plan([*pieces, Piece(first, None)], columns)


def write(connection: psycopg.Connection, piece: Piece, columns: Sequence[str], store: Store, work: Path) -> tuple[Chunk, bool]:
    """Back one piece up; returns it, and whether it stood for other rows in the backup before.

    Raises:
        UserError: The storage does not take it.

    """
    found = contents.of_log(connection, piece.first, piece.end)
    if piece.before is not None and piece.before.contents == found and (found.rows == 0 or store.usable(piece.before.object)):
        return piece.before, False
    changed = piece.before is not None and piece.before.contents != found
    if not found.rows:
        return Chunk(piece.first, piece.end, found, None), changed
    file = work / f"log-{piece.first}{SUFFIX}"
    try:
        _copy_out(connection, piece, columns, file)
        return Chunk(piece.first, piece.end, found, store.put(file, f"log/{file.name}")), changed
    finally:
        file.unlink(missing_ok=True)


def load(connection: psycopg.Connection, columns: Sequence[str], file: Path) -> None:
    """Add a piece's rows to the log of a database whose tables have no indexes or triggers yet; its own transaction commits."""
    import pyarrow as pa

    statement = f"COPY {contents.LOG} ({', '.join(columns)}) FROM STDIN"
    with (
        connection.transaction(),
        connection.cursor() as cursor,
        cursor.copy(statement) as copy,
        pa.OSFile(str(file)) as raw,
        pa.CompressedInputStream(raw, "zstd") as stream,
    ):
        while block := stream.read(_BLOCK):
            copy.write(block)


def _sealed(before: Sequence[Chunk], horizon: int) -> list[Chunk]:
    """Return the chunks that follow each other from the log's beginning and lie below the horizon."""
    found: list[Chunk] = []
    end: int | None = 0
    for chunk in before:
        if chunk.first != end or chunk.end is None or chunk.end > horizon:
            break
        found.append(chunk)
        end = chunk.end
    return found


def _copy_out(connection: psycopg.Connection, piece: Piece, columns: Sequence[str], file: Path) -> None:
    import pyarrow as pa

    query = f"SELECT {', '.join(columns)} FROM {contents.LOG} WHERE {contents.between(piece.first, piece.end)}"
    with (
        pa.OSFile(str(file), "wb") as raw,
        pa.CompressedOutputStream(raw, "zstd") as stream,
        connection.cursor() as cursor,
        cursor.copy(f"COPY ({query}) TO STDOUT") as copy,
    ):
        pending: list[bytes] = []
        size = 0
        for block in copy:  # a row each
            pending.append(bytes(block))
            size += len(block)
            if size >= _BLOCK:
                stream.write(b"".join(pending))
                pending.clear()
                size = 0
        stream.write(b"".join(pending))


__all__ = ["Contents", "Piece", "Plan", "load", "plan", "write"]
