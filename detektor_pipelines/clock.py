"""The platform's one clock, and instants as int64 microseconds UTC.

Everything that asks "what time is it" asks `now_us`, so that a demo on old logs, a test or a replay can stand at another instant:
`DETEKTOR_NOW=2026-03-05T10:00:00Z` fixes the clock, `DETEKTOR_NOW=-36h` shifts it. A home directory that holds old logs keeps where its
clock stands in a file, which every command follows where the variable says nothing.
"""

from __future__ import annotations

import os
import re
import time
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from detektor_pipelines.errors import UserError
from detektor_pipelines.files import replace_file

if TYPE_CHECKING:
    from pathlib import Path

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
VARIABLE = "DETEKTOR_NOW"
_NAME, _SET = os.environ.encodekey(VARIABLE), os.environ._data  # type: ignore[attr-defined]  # noqa: SLF001
"""As `os.environ` keeps it: asked itself, it raises an error inside, which takes ten times as long as the rest of `now_us`."""

FILE = "clock"
"""In the home directory: where its clock stands, written as the variable is."""

AHEAD_LIMIT_US = 60_000_000
"""By how much the clocks of two hosts may differ: what lies further ahead of one's own is an error, and nobody trusts it."""

_UNIT_US = {"s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000, "w": 604_800_000_000}
_OFFSET = re.compile(r"([+-])((?:\d+[smhdw])+)")
_OFFSET_PART = re.compile(r"(\d+)([smhdw])")


class _Reading(NamedTuple):
    """What `DETEKTOR_NOW` says: an instant, or a distance from the real time."""

    fixed: bool
    us: int


def now_us() -> int:
    """Return the current instant in µs UTC.

    Raises:
        UserError: `DETEKTOR_NOW` is neither a timestamp nor an offset.

    """
    if _NAME not in _SET:
        return time.time_ns() // 1000
    text = os.environ[VARIABLE]
    if not text:
        return time.time_ns() // 1000
    reading = _read(text)
    return reading.us if reading.fixed else time.time_ns() // 1000 + reading.us


def kept(home: Path) -> str | None:
    """Return where a home directory's clock stands; None when it runs."""
    try:
        return (home / FILE).read_text().strip() or None
    except FileNotFoundError:
        return None


def follow(home: Path) -> None:
    """Let this process and its children go by the home directory's clock, unless the environment names an instant."""
    if not os.environ.get(VARIABLE) and (text := kept(home)):
        os.environ[VARIABLE] = text


def let_go(home: Path) -> None:
    """Go by the machine's clock in this process where it followed a home directory's, which stays as it stands."""
    if os.environ.get(VARIABLE) and os.environ[VARIABLE] == kept(home):
        del os.environ[VARIABLE]


def stand(home: Path, us: int) -> str:
    """Keep an instant as the home directory's clock, follow it, and return how it is written."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    text = to_text(us)
    replace_file(home / FILE, f"{text}\n")
    os.environ[VARIABLE] = text
    return text


def run(home: Path) -> None:
    """Let the home directory's clock run; what the environment itself says stays."""
    if os.environ.get(VARIABLE) == kept(home):
        os.environ.pop(VARIABLE, None)
    (home / FILE).unlink(missing_ok=True)


def to_us(instant: datetime) -> int:
    """Convert an aware datetime to µs UTC, exactly.

    Raises:
        ValueError: The datetime has no time zone, so it is not an instant.

    """
    if instant.tzinfo is None:
        message = f"{instant.isoformat()} has no time zone: give one, for example tzinfo=UTC"
        raise ValueError(message)
    since = instant - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def from_us(us: int) -> datetime:
    """Convert µs UTC to an aware datetime in UTC, exactly.

    Raises:
        OverflowError: Outside the years 1 to 9999.

    """
    return EPOCH + timedelta(microseconds=us)


def to_text(us: int) -> str:
    """Write µs UTC in ISO 8601, as `parse_instant` reads it: `2026-03-05T10:00:00Z`.

    Raises:
        OverflowError: Outside the years 1 to 9999.

    """
    return from_us(us).isoformat().replace("+00:00", "Z")


def parse_instant(text: str) -> int:
    """Read an ISO 8601 date or date-time as µs UTC; without an offset it is taken as UTC, digits beyond µs are cut.

    Raises:
        ValueError: Not ISO 8601.

    """
    instant = parse_datetime(text)
    return to_us(instant if instant.tzinfo else instant.replace(tzinfo=UTC))


def parse_datetime(text: str) -> datetime:
    """Read an ISO 8601 date or date-time, with or without a time zone.

    Raises:
        ValueError: Not ISO 8601, or a week date: few people mean one, and a log that holds a week as text is no log of that Monday.

    """
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        message = f"{text!r} is not a timestamp: write it as 2026-03-05T10:00:00Z or 2026-03-05"
        raise ValueError(message) from None
    _refuse_weeks(text)
    return instant


def parse_day(text: str) -> date:
    """Read a day, as 2026-03-05.

    Raises:
        ValueError: It is none, or a week's.

    """
    day = date.fromisoformat(text)
    _refuse_weeks(text)
    return day


def is_week_date(text: str) -> bool:
    """Tell whether a text begins as ISO 8601's week dates do (2026-W48-3, 2026W483), which Python reads as a day of that week."""
    return "W" in text[4:6]


def _refuse_weeks(text: str) -> None:
    if is_week_date(text):
        message = f"{text!r} is a week date, and which day is meant is not certain: write year, month and day, as in 2026-03-05"
        raise ValueError(message)


@lru_cache(maxsize=16)
def _read(text: str) -> _Reading:
    offset = _OFFSET.fullmatch(text)
    if offset:
        sign, parts = offset.groups()
        distance = sum(int(number) * _UNIT_US[unit] for number, unit in _OFFSET_PART.findall(parts))
        return _Reading(fixed=False, us=-distance if sign == "-" else distance)
    try:
        return _Reading(fixed=True, us=parse_instant(text))
    except ValueError:
        raise UserError(
            f"{VARIABLE}={text} is neither a timestamp nor an offset.",
            where=f"environment variable {VARIABLE}",
            fix=f"Write {VARIABLE}=2026-03-05T10:00:00Z to fix the clock, {VARIABLE}=+3d or -36h to shift it, or unset it.",
        ) from None
