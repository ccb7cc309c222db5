r"""The packed online value: all features of one agent_id in one view, as one byte string.

Belongs here: the format and nothing else; where packed values are kept is `online`. One value instead of a hash field a feature makes a
write one command and a read atomic: a reader never sees half of an update.

    offset  bytes       content
    0       1           0xDE, the mark of this format
    1       1           format version, 1
    2       2           number of features n, big-endian
    4       8           as_of: µs UTC up to which this value is true knowledge, big-endian
    12      8           created_at: µs UTC of the knowledge behind the row, big-endian
    20      8           event_timestamp: µs UTC of the row, big-endian
    28      ceil(n/8)   null bitmap: bit i % 8 of byte i // 8 is set when feature i is null
    …       8 n         values, little-endian: int64, float64, or µs UTC; of a text 8 bytes of its hash; 0 for null
    …       rest        the tail, ASCII: `[<epoch>/]<snapshot>[ <writer>]`; empty when nothing of it is known
    …       texts       where a feature is a text: `\n`, then of each that is not null its length, 4 bytes little-endian, and its UTF-8

The tail says what the value knows: the log's snapshot that it was computed from, and which life of the log the snapshot's transactions
belong to (`cluster.epoch`; the first is not written out). Who wrote it stands behind a space, for people.

Features stand in the order of their names, so that no reader depends on the order in which a definition or Feast's registry lists them.
A view with texts has the space of its tail always, so that what stands before it is the knowledge, as in all others. The texts come
last, and their hashes stand among the values: the guard takes two values for the same only if their texts are.

The three instants come first and fixed, and the features' number says where the tail begins: the guard in Redis compares what two values
know without knowing the features.

Format version 2 has the same first 28 bytes, with 0 features, and behind them any bytes: a value whose inside is somebody else's business
(`feast_other_views`).
"""

from __future__ import annotations

import hashlib
import math
import struct
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pyarrow as pa

    from detektor_pipelines.language.views import FeatureView

Kind: TypeAlias = Literal["int64", "float64", "instant", "text"]
Value: TypeAlias = int | float | str | None

MARK: Final = 0xDE
VERSION: Final = 1
SEALED: Final = 2
"""The version of a value whose inside this module does not know."""

_HEADER: Final = struct.Struct(">BBHqqq")
_LENGTH: Final = struct.Struct("<I")
_TEXTS: Final = b"\n"
"""What stands between a tail and the texts."""
INSTANTS_END: Final = 2**53
"""Redis's Lua compares instants as doubles: exact below this, the year 2255."""


class CorruptValueError(ValueError):
    """Bytes that are not a packed value of the expected layout."""


@dataclass(frozen=True)
class Layout:
    """Names and kinds of a view's features, in the order of their names."""

    fields: tuple[tuple[str, Kind], ...]

    @classmethod
    def of(cls, kinds: Iterable[tuple[str, Kind]]) -> Layout:
        """Make the layout of features given in any order."""
        return cls(tuple(sorted(kinds)))

    @classmethod
    def of_view(cls, view: FeatureView) -> Layout:
        """Make the layout of a definition."""
        return cls.of((each.name, each.value_type) for each in view.features)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The features' names, in packed order."""
        return tuple(name for name, _ in self.fields)

    @cached_property
    def kinds(self) -> tuple[Kind, ...]:
        """Their kinds."""
        return tuple(kind for _, kind in self.fields)

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """Those of the features that are texts, in packed order."""
        return tuple(name for name, kind in self.fields if kind == "text")

    @cached_property
    def null_bytes(self) -> int:
        """Length of the null bitmap."""
        return -(-len(self.fields) // 8)

    @cached_property
    def body(self) -> struct.Struct:
        """The values after the null bitmap."""
        return struct.Struct("<" + "".join("d" if kind == "float64" else "q" for _, kind in self.fields))

    @cached_property
    def size(self) -> int:
        """Bytes of a packed value without its tail."""
        return _HEADER.size + self.null_bytes + self.body.size


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What one packed value says. Instants are int µs UTC; `values` follows the layout's names.

    `snapshot`: of the log, None when unknown. `epoch`: the life of the log that it belongs to. `writer`: None when nobody said so.
    """

    as_of: int
    created_at: int
    event_timestamp: int
    snapshot: str | None
    values: dict[str, Value]
    epoch: int = 1
    writer: str | None = None


def tail(snapshot: str | None, epoch: int = 1, writer: str | None = None) -> bytes:
    """Return what stands behind a value's features: what it knows, and who wrote it.

    Raises:
        UnicodeEncodeError: The writer's name is not ASCII.

    """
    known = "" if snapshot is None else snapshot if epoch == 1 else f"{epoch}/{snapshot}"
    return (f"{known} {writer}" if writer else known).encode("ascii")


def read_tail(text: str) -> tuple[str | None, int, str | None]:
    """Return the snapshot (None when unknown), the epoch and the writer (None when nobody said so) of a tail.

    Raises:
        ValueError: What stands before the slash is not a number.

    """
    known, _, writer = text.partition(" ")
    epoch, slash, snapshot = known.rpartition("/")
    return snapshot or None, int(epoch) if slash else 1, writer or None


def pack(layout: Layout, row: Unpacked) -> bytes:
    """Pack one row; a feature that `row.values` lacks is null.

    Raises:
        ValueError: A value that its kind cannot hold (a NaN, an integer beyond 64 bits), or an instant beyond the year 2255.

    """
    numbers: list[Any] = list(map(row.values.get, layout.names))
    nulls = 0
    for position, (kind, value) in enumerate(zip(layout.kinds, numbers, strict=True)):
        if value is None:
            nulls |= 1 << position
            numbers[position] = 0
        elif kind == "text":
            numbers[position] = _hashed(_encoded(layout.names[position], value))
        elif value.__class__ is not int and (isinstance(value, str) or not math.isfinite(value)):
            raise _not_finite(layout.names[position])
    _check_instants(row.as_of, row.created_at, row.event_timestamp)
    try:
        body = layout.body.pack(*numbers)
    except struct.error as error:
        message = f"{_unfit(layout, numbers)}: {error}"
        raise ValueError(message) from None
    header = _HEADER.pack(MARK, VERSION, len(layout.fields), row.as_of, row.created_at, row.event_timestamp)
    end = tail(row.snapshot, row.epoch, row.writer)
    if layout.texts:
        end = _with_texts(end, [None if (text := row.values.get(name)) is None else _encoded(name, text) for name in layout.texts])
    return header + nulls.to_bytes(layout.null_bytes, "little") + body + end


def unpack(layout: Layout, packed: bytes) -> Unpacked:
    """Read one packed value.

    Raises:
        CorruptValueError: The bytes are not of this format, or of another layout.

    """
    if len(packed) < layout.size:
        message = f"{len(packed)} bytes where at least {layout.size} are needed"
        raise CorruptValueError(message)
    mark, version, count, as_of, created_at, event_timestamp = _HEADER.unpack_from(packed)
    if (mark, version, count) != (MARK, VERSION, len(layout.fields)):
        message = f"mark {mark:#x}, format {version}, {count} features; expected {MARK:#x}, {VERSION}, {len(layout.fields)}"
        raise CorruptValueError(message)
    if not max(abs(as_of), abs(created_at), abs(event_timestamp)) < INSTANTS_END:
        message = f"instants {as_of}, {created_at}, {event_timestamp} that nobody writes"
        raise CorruptValueError(message)
    start = _HEADER.size + layout.null_bytes
    nulls = int.from_bytes(packed[_HEADER.size : start], "little")
    values: dict[str, Value] = dict(zip(layout.names, layout.body.unpack_from(packed, start), strict=True))
    if nulls:
        values.update((name, None) for position, name in enumerate(layout.names) if nulls >> position & 1)
    end, _, texts = packed[layout.size :].partition(_TEXTS) if layout.texts else (packed[layout.size :], b"", b"")
    if layout.texts:
        values.update(_read_texts([name for name in layout.texts if values[name] is not None], texts))
    try:
        snapshot, epoch, writer = read_tail(end.decode("ascii"))
    except ValueError:  # a UnicodeDecodeError is one too
        message = f"{len(packed) - layout.size} trailing bytes that are not a snapshot"
        raise CorruptValueError(message) from None
    return Unpacked(as_of, created_at, event_timestamp, snapshot, values, epoch, writer)


def writer_of(packed: bytes) -> str | None:
    """Return who wrote a packed value of any layout; None when it does not say so."""
    features = int.from_bytes(packed[2:4], "big")
    end = packed[_HEADER.size + -(-features // 8) + 8 * features :].partition(_TEXTS)[0]
    return end.decode("ascii", errors="replace").partition(" ")[2] or None


def seal(as_of: int, created_at: int, event_timestamp: int, inside: bytes) -> bytes:
    """Return a value of format version 2.

    Raises:
        ValueError: An instant is beyond the year 2255.

    """
    _check_instants(as_of, created_at, event_timestamp)
    return _HEADER.pack(MARK, SEALED, 0, as_of, created_at, event_timestamp) + inside


def unseal(packed: bytes) -> tuple[int, bytes]:
    """Return the event_timestamp and the inside of a value of format version 2.

    Raises:
        CorruptValueError: The bytes are not of this format.

    """
    if len(packed) < _HEADER.size or packed[:2] != bytes((MARK, SEALED)):
        message = f"{len(packed)} bytes that begin with {packed[:2]!r}: no sealed value"
        raise CorruptValueError(message)
    return _HEADER.unpack_from(packed)[-1], packed[_HEADER.size :]


def pack_table(
    layout: Layout,
    rows: pa.Table,
    *,
    as_of: int,
    snapshot: str | Sequence[str | None] | None,
    epoch: int = 1,
    writer: str | None = None,
) -> list[bytes]:
    """Pack a table's rows at once, in their order.

    `rows` has event_timestamp and created_at (timestamps with a zone) and the layout's features (int64, float64, timestamp, text); the same
    `as_of`, `epoch` and `writer` go into each value, and the same `snapshot` unless it is one for each row.

    Raises:
        KeyError: A column is missing.
        ValueError: A NaN or an infinity, a null event_timestamp or created_at, or an instant beyond the year 2255.

    """
    each = [] if snapshot is None or isinstance(snapshot, str) else [tail(one, epoch, writer) for one in snapshot]
    common = tail(snapshot, epoch, writer) if snapshot is None or isinstance(snapshot, str) else b""
    if layout.texts:
        columns = zip(*(_texts_of(rows, name) for name in layout.texts), strict=True)
        ends = each or [common] * rows.num_rows
        each, common = [_with_texts(end, texts) for end, texts in zip(ends, columns, strict=True)], b""
    records = np.zeros(rows.num_rows, dtype=_record_type(layout, len(common)))
    if not rows.num_rows:
        return []
    records["mark"], records["version"], records["count"], records["as_of"] = MARK, VERSION, len(layout.fields), as_of
    _check_instants(as_of)
    for column in ("created_at", "event_timestamp"):
        instants, missing = _integers(rows, column)
        if missing is not None:
            message = f"column {column} has {int(missing.sum())} nulls: a row without it cannot be ordered"
            raise ValueError(message)
        _check_instants(int(instants.min()), int(instants.max()))
        records[column] = instants
    nulls = np.zeros((rows.num_rows, len(layout.fields)), dtype=bool)
    for position, (name, kind) in enumerate(layout.fields):
        values, missing = _READ.get(kind, _integers)(rows, name)
        records["values"][:, position] = values.view("<i8")
        if missing is not None:
            nulls[:, position] = missing
    records["nulls"] = np.packbits(nulls, axis=1, bitorder="little")
    if common:
        records["tail"] = np.frombuffer(common, dtype="u1")
    packed, size = records.tobytes(), records.dtype.itemsize
    starts = range(0, len(packed), size)
    if each:
        return [packed[start : start + size] + end for start, end in zip(starts, each, strict=True)]
    return [packed[start : start + size] for start in starts]


def _record_type(layout: Layout, tail_bytes: int) -> np.dtype[np.void]:
    fields: list[tuple[str, str] | tuple[str, str, tuple[int]]] = [
        ("mark", "u1"),
        ("version", "u1"),
        ("count", ">u2"),
        ("as_of", ">i8"),
        ("created_at", ">i8"),
        ("event_timestamp", ">i8"),
        ("nulls", "u1", (layout.null_bytes,)),
        ("values", "<i8", (len(layout.fields),)),
    ]
    return np.dtype(fields + ([("tail", "u1", (tail_bytes,))] if tail_bytes else []))


def _integers(rows: pa.Table, name: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Return int64 values (µs for timestamps), 0 for null, and the mask of nulls when there are any."""
    import pyarrow as pa

    column = rows.column(name).combine_chunks()
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64())
    return _without_nulls(column.cast(pa.int64()))


def _floats(rows: pa.Table, name: str) -> tuple[np.ndarray, np.ndarray | None]:
    import pyarrow as pa

    values, missing = _without_nulls(rows.column(name).combine_chunks().cast(pa.float64()))
    if not np.isfinite(values).all():
        raise _not_finite(name)
    return values, missing


def _hashes(rows: pa.Table, name: str) -> tuple[np.ndarray, np.ndarray | None]:
    texts = _texts_of(rows, name)
    missing = np.array([text is None for text in texts])
    return np.array([0 if text is None else _hashed(text) for text in texts], dtype=np.int64), missing if missing.any() else None


def _texts_of(rows: pa.Table, name: str) -> list[bytes | None]:
    return [None if text is None else text.encode() for text in rows.column(name).to_pylist()]


_READ: Final = {"float64": _floats, "text": _hashes}


def _hashed(text: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little", signed=True)


def _encoded(name: str, text: Value) -> bytes:
    if not isinstance(text, str):
        message = f"feature {name} is {text!r}, no text"
        raise ValueError(message)  # noqa: TRY004  as for all that does not fit
    return text.encode()


def _with_texts(end: bytes, texts: Iterable[bytes | None]) -> bytes:
    """Return a tail with the texts behind it; its space is there even where no writer is."""
    known, _, writer = end.partition(b" ")
    packed = b"".join(_LENGTH.pack(len(text)) + text for text in texts if text is not None)
    return known + b" " + writer + _TEXTS + packed


def _read_texts(names: Sequence[str], packed: bytes) -> dict[str, Value]:
    """Return the texts of features that are not null."""
    found: dict[str, Value] = {}
    start = 0
    try:
        for name in names:
            (length,) = _LENGTH.unpack_from(packed, start)
            start += _LENGTH.size + length
            found[name] = packed[start - length : start].decode()
    except (struct.error, UnicodeDecodeError) as error:
        message = f"texts that cannot be read: {error}"
        raise CorruptValueError(message) from None
    if start != len(packed):
        message = f"{len(packed)} bytes of texts where {start} are needed"
        raise CorruptValueError(message)
    return found


def _without_nulls(column: pa.Array) -> tuple[np.ndarray, np.ndarray | None]:
    if not column.null_count:
        return np.ascontiguousarray(column.to_numpy(zero_copy_only=False)), None
    return np.ascontiguousarray(column.fill_null(0).to_numpy(zero_copy_only=False)), column.is_null().to_numpy(zero_copy_only=False)


def _check_instants(*instants: int) -> None:
    for instant in instants:
        if not -INSTANTS_END < instant < INSTANTS_END:
            message = f"instant {instant} µs is beyond the year 2255: the online store cannot order it"
            raise ValueError(message)


def _not_finite(name: str) -> ValueError:
    return ValueError(f"feature {name} holds a NaN or an infinity: a value that does not exist is null")


def _unfit(layout: Layout, numbers: list[int | float]) -> str:
    """Name the first number that does not fit its kind."""
    for (name, kind), number in zip(layout.fields, numbers, strict=True):
        if kind != "float64" and not (isinstance(number, int) and -(2**63) <= number < 2**63):
            return f"feature {name} is {number!r}, no 64-bit integer"
    return "a feature does not fit its kind"
