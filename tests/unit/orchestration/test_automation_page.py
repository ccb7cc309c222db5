from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

from detektor_pipelines.settings import Settings

pytestmark = pytest.mark.slow

PAGE = Path(__file__).resolve().parents[3] / "docs/automation.md"


def test_the_page_names_exactly_the_schedules_and_sensors_there_are() -> None:
    import dagster as dg

    from detektor_pipelines.orchestration.build import build_definitions

    repository = build_definitions(settings=Settings(start_date=date(2026, 5, 1), backup_url="memory://backups")).get_repository_def()
    there = {each.name for each in (*repository.schedule_defs, *repository.sensor_defs)}
    assert set(re.findall(r"^\| `(\w+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)) == there
    assert {each.default_status for each in repository.schedule_defs} == {dg.DefaultScheduleStatus.RUNNING}
    assert {each.default_status for each in repository.sensor_defs} == {dg.DefaultSensorStatus.RUNNING}


def test_the_times_on_the_page_are_those_of_the_definitions() -> None:
    from detektor_pipelines.orchestration.build import build_definitions

    repository = build_definitions(settings=Settings(start_date=date(2026, 5, 1))).get_repository_def()
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    for sensor in repository.sensor_defs:
        seconds = sensor.minimum_interval_seconds
        assert rows[sensor.name] == ("every minute" if seconds == 60 else f"every {seconds} s")
