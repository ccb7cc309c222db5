"""The platform's one clock, and instants as µs."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detektor_pipelines import clock
from detektor_pipelines.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

HOUR = 3_600_000_000
INSTANTS = st.datetimes(timezones=st.timezones())


def test_without_the_variable_it_is_the_real_time() -> None:
    before = time.time_ns() // 1000
    assert before <= clock.now_us() <= time.time_ns() // 1000


def test_a_fixed_clock_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-05T10:00:00Z")
    assert clock.now_us() == clock.now_us() == 1_772_704_800_000_000


@pytest.mark.parametrize(("text", "hours"), [("+3d", 72), ("-36h", -36), ("+1d12h", 36), ("-90m", -1.5), ("+1w", 168), ("+3600s", 1)])
def test_a_shifted_clock_runs(monkeypatch: pytest.MonkeyPatch, text: str, hours: float) -> None:
    monkeypatch.setenv("DETEKTOR_NOW", text)
    before = time.time_ns() // 1000
    now = clock.now_us()
    after = time.time_ns() // 1000
    assert before + hours * HOUR <= now <= after + hours * HOUR


@pytest.mark.parametrize("text", ["tomorrow", "3d", "+3", "+d", "+3y", "+3d-1h", "2026-13-01", "+-3d", "2026-03-05T25:00"])
def test_what_is_neither_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("DETEKTOR_NOW", text)
    with pytest.raises(UserError, match="DETEKTOR_NOW"):
        clock.now_us()


def test_a_home_directory_keeps_its_clock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home = tmp_path / "new"
    monkeypatch.setenv("DETEKTOR_NOW", "")  # what is written there now is taken back at the end
    assert clock.kept(home) is None
    assert clock.stand(home, 1_772_704_800_000_000) == "2026-03-05T10:00:00Z"
    os.environ["DETEKTOR_NOW"] = ""  # as in the next process
    clock.follow(home)
    assert clock.now_us() == 1_772_704_800_000_000
    clock.run(home)
    assert clock.kept(home) is None
    assert abs(clock.now_us() - time.time_ns() // 1000) < 60_000_000


def test_the_environment_wins_over_the_home_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DETEKTOR_NOW", "2026-04-01T00:00:00Z")
    (tmp_path / clock.FILE).write_text("2026-03-05T10:00:00Z\n")
    clock.follow(tmp_path)
    clock.run(tmp_path)
    assert clock.now_us() == clock.parse_instant("2026-04-01")


@given(INSTANTS)
def test_an_instant_survives_the_way_there_and_back(instant: datetime) -> None:
    try:
        in_utc = instant.astimezone(UTC)
    except OverflowError:  # the first and last hours of the calendar, in another zone
        return
    us = clock.to_us(instant)
    assert clock.from_us(us) == in_utc
    assert clock.parse_instant(clock.from_us(us).isoformat()) == us


@given(INSTANTS, st.integers(min_value=-(10**12), max_value=10**12))
def test_microseconds_are_exact(instant: datetime, us: int) -> None:
    try:
        later = instant.astimezone(UTC) + timedelta(microseconds=us)
    except OverflowError:
        return
    assert clock.to_us(later) == clock.to_us(instant) + us


@given(st.integers(-60_000_000_000_000_000, 250_000_000_000_000_000))
def test_a_text_is_read_as_the_instant_it_was_written_from(us: int) -> None:
    assert clock.parse_instant(clock.to_text(us)) == us
    assert clock.to_text(us).endswith("Z")


def test_a_datetime_without_zone_is_no_instant() -> None:
    with pytest.raises(ValueError, match="time zone"):
        clock.to_us(datetime(2026, 3, 5))  # noqa: DTZ001  the point of the test


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-05T10:00:00Z",
        "2026-03-05T10:00:00",
        "2026-03-05 10:00",
        "2026-03-05T10:00:00.000000Z",
        "2026-03-05T10:00:00.000000999Z",
        "2026-03-05T11:00:00+01:00",
        "20260305T100000Z",
    ],
)
def test_forms_of_one_instant(text: str) -> None:
    assert clock.parse_instant(text) == 1_772_704_800_000_000


def test_a_date_is_its_midnight_in_utc() -> None:
    assert clock.parse_instant("2026-03-05") == clock.to_us(datetime(2026, 3, 5, tzinfo=UTC))


@pytest.mark.parametrize("text", ["", "now", "10:00", "2026-02-30", "1772704800"])
def test_what_is_no_instant(text: str) -> None:
    with pytest.raises(ValueError, match="not a timestamp"):
        clock.parse_instant(text)


def test_before_the_epoch() -> None:
    eastern = timezone(timedelta(hours=-5))
    assert clock.to_us(datetime(1969, 12, 31, 18, 59, 59, 999_999, tzinfo=eastern)) == -1
    assert clock.from_us(-1).year == 1969


WEEKS = ["2026-W48-3", "2026W483", "2026-W48", "2026-W48-3T10:00:00Z"]
ORDINALS = ["2026-337", "2026337"]


@pytest.mark.parametrize("text", WEEKS)
def test_a_week_is_no_instant(text: str) -> None:
    with pytest.raises(ValueError, match="week date"):
        clock.parse_instant(text)


@pytest.mark.parametrize("text", WEEKS[:3])
def test_a_week_is_no_day(text: str) -> None:
    with pytest.raises(ValueError, match="week date"):
        clock.parse_day(text)


@pytest.mark.parametrize("text", ORDINALS)
def test_the_day_of_a_year_is_no_instant(text: str) -> None:
    with pytest.raises(ValueError, match="not a timestamp"):
        clock.parse_instant(text)
