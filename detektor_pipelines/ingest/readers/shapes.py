"""Values out of a record whose shape nobody promises: each function takes anything and returns what it asks for, or None.

The formats are internal to the agents and change between versions; a field that is absent or of another type is unknown, not an error.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from detektor_pipelines.clock import EPOCH, is_week_date
from detektor_pipelines.ingest.reports.lines import is_cut

Record = dict[str, Any]

_MICROSECONDS: Final = 1_000_000
_DAY: Final = 86_400


class UnreadableRecordError(Exception):
    """A record that claims a known type but lacks what that type must have; its text is the reason shown to the user."""


STRANGE_SHAPE: Final = (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError)
"""What taking a record raises whose values have other types, lengths or depths than any that is known."""


def strange_shape(kind: Any, error: Exception) -> str:
    """Return the reason for rejecting a record of a type (whatever stands there) that could not be taken."""
    return f"a {text_of(kind)} record of a shape that is not known ({type(error).__name__}: {error})"[:200]


def text_of(value: Any) -> str | None:
    """Return a non-empty string, else None."""
    return value if isinstance(value, str) and value else None


def count_of(value: Any) -> int | None:
    """Return a non-negative whole number, else None; True and False are none."""
    if type(value) is int:
        return value if value >= 0 else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def record_of(value: Any) -> Record:
    """Return an object, or an empty one."""
    return value if isinstance(value, dict) else {}


def instant_of(value: Any) -> int:
    """Return a record's timestamp in µs UTC.

    Raises:
        UnreadableRecordError: It is missing, no ISO 8601 instant, or before 1970.

    """
    if not isinstance(value, str):
        reason = "timestamp is missing" if value is None else "timestamp is not text"
        raise UnreadableRecordError(reason)
    if is_week_date(value):
        reason = f"timestamp {value[:40]!r} is a week date"
        raise UnreadableRecordError(reason)
    try:
        instant = datetime.fromisoformat(value)
    except ValueError:
        reason = f"timestamp {value[:40]!r} is not a timestamp"
        raise UnreadableRecordError(reason) from None
    since = (instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)) - EPOCH
    if since.days < 0:
        reason = f"timestamp {value[:40]!r} is before 1970"
        raise UnreadableRecordError(reason)
    return (since.days * _DAY + since.seconds) * _MICROSECONDS + since.microseconds


def joined_text(content: Any) -> str:
    """Return the text of a content field: a string as it is, of blocks those of type text, one below the other."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = [block.get("text") for block in content if isinstance(block, dict) and block.get("type") == "text"]
    return "\n".join(part for part in parts if isinstance(part, str))


def fuller(first: str | None, second: str | None) -> str | None:
    """Of two texts of the same thing take the whole one before a cut one, then the longer, then the first."""
    if first is None or second is None:
        return first if second is None else second
    if is_cut(first) != is_cut(second):
        return second if is_cut(first) else first
    return second if len(second) > len(first) else first
