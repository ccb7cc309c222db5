"""Observations of the raw log, with a fake engine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from detektor_pipelines.stores.raw_log.volume import CommittedTotals

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*is currently in beta")]

KNOWN = CommittedTotals("1/7711498557084967289/1", 771, {"code-reviewer": 1_234})


@pytest.fixture
def instance(dg: ModuleType) -> Iterator[Any]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def observe(engine: Any, instance: Any) -> Any:
    import dagster as dg

    from detektor_pipelines.orchestration.keys import RAW_LOG
    from detektor_pipelines.orchestration.raw_log import raw_log

    job = dg.Definitions([raw_log()], resources={"platform": engine}).get_repository_def().get_implicit_job_def_for_assets([RAW_LOG])
    assert job.execute_in_process(instance=instance).success
    (record,) = instance.fetch_observations(RAW_LOG, limit=1).records
    return record.asset_observation


def test_an_observation_tells_volume_and_age_of_each_agent(engine: Any, instance: Any) -> None:
    seen = observe(engine, instance)
    shown = {name: value.value for name, value in seen.metadata.items()}
    assert shown["agents"].splitlines()[2:] == [
        "| code-reviewer | 1,234 | 5 | 60 | 2026-05-09 11:20 | 40 min | 2026-05-09 11:30 |",
        "| pisarz | 0 | 0 | 0 | never |  |  |",
    ]
    plotted = ("events", "events_last_day", "events_last_7_days", "rejected_last_7_days", "newest_event_age_hours")
    assert [shown[name] for name in plotted] == [1234, 5, 60, 3, 0.67]
    assert shown["events_last_day/code-reviewer"] == 5
    assert shown["log_version"] == "771-1234"
    assert seen.data_version == "INITIAL"  # of what nobody has observed: no day of a view is out of date because the log grew


def test_the_next_observation_goes_on_from_the_totals_of_the_last_one(engine: Any, instance: Any) -> None:
    observe(engine, instance)
    observe(engine, instance)
    assert engine.asked == [None, KNOWN]


@pytest.mark.parametrize(
    "noted", [None, {}, {"life": "x"}, {"life": "x", "horizon": 2, "totals": [3]}, {"system_identifier": "1", "horizon": 2, "totals": {}}]
)
def test_totals_that_cannot_be_read_are_counted_anew(noted: object) -> None:
    from detektor_pipelines.orchestration.raw_log import totals_of

    assert totals_of(noted) is None


def test_totals_survive_a_trip_through_json() -> None:
    from detektor_pipelines.orchestration.raw_log import as_noted, totals_of

    assert totals_of(as_noted(KNOWN)) == KNOWN


@pytest.mark.parametrize(("ago", "said"), [(timedelta(minutes=5), "5 min"), (timedelta(hours=30), "30 h"), (timedelta(days=12), "12 d")])
def test_an_age_is_said_as_a_person_says_it(ago: timedelta, said: str) -> None:
    from detektor_pipelines.orchestration.raw_log import age, hours

    now = datetime(2026, 5, 9, tzinfo=UTC)
    assert age(hours(now, now - ago)) == said
    assert hours(now, now + ago) == 0
