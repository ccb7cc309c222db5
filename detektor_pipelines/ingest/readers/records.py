r"""From a line to its records: what every reader of lines does before it looks at a format.

A program that dies while it writes leaves NULs where a record should be, or half a record with the next one behind it; one that counts in
UTF-16 cuts a text within a character and leaves half a surrogate pair (`"\ud83d"`). None of this costs a record that can be read: NULs are
skipped, two records on one line are two, half a pair becomes U+FFFD. All of it happens only where plain parsing failed.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import orjson

from detektor_pipelines.ingest.readers.formats import UNKNOWN, detect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detektor_pipelines.ingest.readers.shapes import Record

TORN: Final = "the line is torn or not JSON"
NO_OBJECT: Final = "the line is JSON, but no object"

_HALF_PAIR: Final = re.compile("[\ud800-\udfff]")
_OPENING: Final = re.compile(r'\{\s*"')
_SPACE: Final = re.compile(r"[\s\ufeff]*")
_ATTEMPTS: Final = 1_000
"""How many beginnings of objects are tried behind a torn record: a megabyte of torn text must not cost minutes."""

_EFFORT: Final = 16 * 1024 * 1024
"""Characters that all these attempts may look at together: a text that is never closed is looked through to the line's end by each."""

_TO_THE_END: Final = "Unterminated string"

_TOO_DEEP: Final = b"(a record that is nested too deep to be read)"
_DECODER: Final = json.JSONDecoder(strict=False)


def records_of(line: bytes) -> tuple[Record | str, ...]:
    """Return a line's records in order; a text in the place of one that cannot be read says why. A line of NULs alone has none."""
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return tuple(_repaired(line, error.msg))
    return (record,) if type(record) is dict else (NO_OBJECT,)


def line_of(record: Any) -> bytes:
    """Write a record as a line again; one that is nested so deep that it cannot be written becomes a line that every reader rejects."""
    try:
        return orjson.dumps(record)
    except TypeError:  # deeper than 254, or a number beyond 64 bits
        try:
            return json.dumps(record).encode()
        except RecursionError:
            return _TOO_DEEP


def _repaired(line: bytes, why: str) -> Iterator[Record | str]:
    """Read what stands on a line that is not one JSON value; what nobody can read is named once."""
    text = line.replace(b"\x00", b"").decode("utf-8", errors="replace")
    position, torn = _after_space(text, 0), False
    while position < len(text):
        try:
            value, end = _DECODER.raw_decode(text, position)
            value = _whole_characters(value)
        except (ValueError, RecursionError):
            torn = True
            following = _record_behind(text, position + 1)
            if following is None:
                break
            value, end = following
        if not isinstance(value, dict):
            torn = True
            break
        yield value
        position = _after_space(text, end)
    if torn:
        yield f"{TORN}: {why}" if why else TORN


def _record_behind(text: str, start: int) -> tuple[Record, int] | None:
    """Find the record that begins within a torn one, and where it ends.

    The objects inside the torn record parse as well: a record is what a format recognises and what nothing but a further record follows.
    """
    looked_at = 0
    for attempt, opening in enumerate(_OPENING.finditer(text, start)):
        if attempt >= _ATTEMPTS or looked_at > _EFFORT:
            return None
        try:
            value, end = _DECODER.raw_decode(text, opening.start())
            looked_at += end - opening.start()
            rest = _after_space(text, end)
            if isinstance(value, dict) and (rest == len(text) or text[rest] == "{") and detect(value) != UNKNOWN:
                return _whole_characters(value), end
        except json.JSONDecodeError as error:
            looked_at += (len(text) if error.msg.startswith(_TO_THE_END) else error.pos) - opening.start()
        except (ValueError, RecursionError):
            looked_at += _ATTEMPTS
    return None


def _after_space(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    return found.end() if found else position


def _whole_characters(value: Any) -> Any:
    """Replace half surrogate pairs in all texts of a value: they are no characters, and nothing can store them."""
    if isinstance(value, str):
        return _HALF_PAIR.sub("\ufffd", value)
    if isinstance(value, list):
        return [_whole_characters(each) for each in value]
    if isinstance(value, dict):
        return {_whole_characters(key): _whole_characters(each) for key, each in value.items()}
    return value
