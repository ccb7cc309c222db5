from __future__ import annotations

import itertools
import logging
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import pytest

from detektor_pipelines.errors import UserError
from detektor_pipelines.settings import Settings, get_settings

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

pytestmark = pytest.mark.slow


@pytest.fixture
def partitions() -> ModuleType:
    from detektor_pipelines.orchestration import partitions

    return partitions


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETEKTOR_NOW", "2026-05-09T12:00:00Z")


def days_from(first: str) -> Settings:
    return Settings(start_date=date.fromisoformat(first))


def test_today_is_the_last_partition_by_the_platforms_clock(partitions: ModuleType) -> None:
    keys = partitions.daily_partitions(days_from("2026-05-01")).get_partition_keys()
    assert (keys[0], keys[-1], len(keys)) == ("2026-05-01", "2026-05-09", 9)


def test_a_clock_ahead_of_the_real_one_has_partitions(partitions: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETEKTOR_NOW", "+3d")
    keys = partitions.daily_partitions(days_from("2026-05-01")).get_partition_keys()
    ahead = date.fromisoformat(keys[-1]) - datetime.now(UTC).date()
    assert ahead.days in {2, 3}  # 2: midnight went by in between


def test_definitions_that_are_loaded_at_midnight_have_the_day_that_begins(partitions: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each reading of the clock is a second later: the day changes between two of them."""
    for before in range(4):
        seconds = itertools.count(1_780_012_800 - before)
        monkeypatch.setattr(partitions.time, "time", lambda seconds=seconds: next(seconds))
        monkeypatch.setattr(partitions, "now_us", lambda seconds=seconds: next(seconds) * 1_000_000)
        days = partitions.daily_partitions(days_from("2026-05-01"))
        monkeypatch.undo()
        assert days.end_offset >= 1


def test_a_start_after_today_still_has_one_partition(partitions: ModuleType) -> None:
    assert partitions.daily_partitions(days_from("2026-06-01")).get_partition_keys() == ["2026-05-09"]


def test_without_a_database_the_partitions_go_back_six_months_and_the_log_says_so(
    partitions: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        keys = partitions.daily_partitions(get_settings().model_copy(update={"postgres_port": 1})).get_partition_keys()
    assert len(keys) == partitions.HISTORY_DAYS
    assert keys[-1] == "2026-05-09"
    assert "oldest event is not known" in caplog.text
    assert "detektor up" in caplog.text


def test_days_between_are_both_included(partitions: ModuleType) -> None:
    found = partitions.days_between(partitions.daily_partitions(days_from("2026-05-01")), date(2026, 5, 8), date(2026, 5, 9))
    assert list(found) == ["2026-05-08", "2026-05-09"]


@pytest.mark.parametrize(("first", "last"), [("2026-04-30", "2026-05-02"), ("2026-05-02", "2026-05-10")])
def test_a_day_outside_names_the_days_that_exist(partitions: ModuleType, first: str, last: str) -> None:
    with pytest.raises(UserError, match=r"no partition 2026") as error:
        partitions.days_between(partitions.daily_partitions(days_from("2026-05-01")), date.fromisoformat(first), date.fromisoformat(last))
    assert "from 2026-05-01 to 2026-05-09" in str(error.value)


def test_the_wrong_order_is_said(partitions: ModuleType) -> None:
    with pytest.raises(UserError, match="before the first"):
        partitions.days_between(partitions.daily_partitions(days_from("2026-05-01")), date(2026, 5, 9), date(2026, 5, 8))


@pytest.mark.parametrize(
    ("instant", "day"),
    [
        ("2026-05-05T00:00:00+00:00", "2026-05-04"),  # midnight belongs to the day that ends there
        ("2026-05-05T00:00:00.000001+00:00", "2026-05-05"),
        ("2026-05-05T01:00:00+02:00", "2026-05-04"),
    ],
)
def test_the_oldest_events_partition_owns_it(partitions: ModuleType, instant: str, day: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "_oldest_event", lambda _: datetime.fromisoformat(instant))
    assert partitions.first_day(get_settings()).isoformat() == day


def test_without_postgres_the_first_day_is_the_last_one_known(
    partitions: ModuleType, isolated_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(_: object) -> datetime:
        raise UserError("PostgreSQL does not answer.")

    settings = get_settings()
    monkeypatch.setattr(partitions, "_oldest_event", lambda _: datetime.fromisoformat("2024-02-03T10:00:00+00:00"))
    partitions.first_day(settings)  # without servers of ours nothing is remembered
    assert not isolated_environment.exists()
    (isolated_environment / "servers" / "dagster-code").mkdir(parents=True)
    partitions.first_day(settings)
    monkeypatch.setattr(partitions, "_oldest_event", down)
    assert partitions.first_day(settings) == date(2024, 2, 3)
