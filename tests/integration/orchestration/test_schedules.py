"""The schedules, evaluated as the daemon does, with published days as rows."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from support.automation import append, made, publish, span
from support.log_rows import partition_log

from detektor_pipelines.catalog import VIEWS, view_named

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detektor_pipelines.settings import Settings

pytestmark = pytest.mark.slow

REVIEWS = view_named("code_review_features")
OTHERS = [view for view in VIEWS if view is not REVIEWS]
FIRST, YESTERDAY = date(2026, 5, 1), date(2026, 5, 19)


@pytest.fixture
def log(database: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return settings of a log with one event; a quarter of an hour after midnight."""
    monkeypatch.setenv("DETEKTOR_NOW", "2026-05-20T00:15:00Z")
    monkeypatch.setenv("DETEKTOR_START_DATE", FIRST.isoformat())
    partition_log(database)
    append(database, REVIEWS, "2026-05-10 10:30")
    return database


@pytest.fixture(scope="module")
def instance() -> Iterator[Any]:
    import dagster as dg

    with dg.DagsterInstance.local_temp() as instance:
        yield instance


@pytest.fixture(autouse=True)
def no_runs(instance: Any) -> None:
    instance.wipe()


def partitions() -> Any:
    from detektor_pipelines.orchestration.partitions import daily_partitions
    from detektor_pipelines.settings import get_settings

    get_settings.cache_clear()
    return daily_partitions(get_settings())


def evaluate(name: str, settings: Settings, instance: Any, views: Any = VIEWS, days: Any = None) -> Any:
    import dagster as dg

    from detektor_pipelines.orchestration import schedules

    schedule = getattr(schedules, name)(views, days or partitions(), settings)
    with dg.build_schedule_context(instance=instance) as context:
        return schedule.evaluate_tick(context)


def described(result: Any) -> list[tuple[str, str, int]]:
    """Return first day, last day and number of views of each request."""
    return [
        (
            request.tags["dagster/asset_partition_range_start"],
            request.tags["dagster/asset_partition_range_end"],
            len({key.path[0] for key in request.asset_selection}),
        )
        for request in result.run_requests
    ]


def test_the_hour_computes_the_open_day_of_all_views_offline_and_online(log: Settings, instance: Any) -> None:
    result = evaluate("hourly_open_day", log, instance)
    assert described(result) == [("2026-05-20", "2026-05-20", len(VIEWS))]
    (request,) = result.run_requests
    assert len(request.asset_selection) == 2 * len(VIEWS)
    assert (request.tags["detektor/reason"], request.tags["dagster/priority"]) == ("hourly", "10")


@pytest.mark.parametrize("name", ["hourly_open_day", "nightly_close"])
def test_an_empty_log_is_a_reason_to_skip(database: Settings, instance: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETEKTOR_NOW", "2026-05-20T00:15:00Z")
    result = evaluate(name, database, instance)
    assert result.run_requests == []
    assert "log holds no event yet" in result.skip_message


@pytest.mark.parametrize("name", ["hourly_open_day", "nightly_close"])
def test_a_database_that_is_down_is_a_reason_to_skip(instance: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from detektor_pipelines.settings import Settings

    monkeypatch.setenv("DETEKTOR_START_DATE", FIRST.isoformat())
    result = evaluate(name, Settings(external_postgres_url="postgresql://x@127.0.0.1:1/x"), instance)
    assert result.skip_message.startswith("PostgreSQL does not answer.")


def test_the_hour_waits_for_the_hour_before(log: Settings, instance: Any) -> None:
    """Behind a long queue one hourly run is enough: it computes the day as it is when it starts."""
    made(instance, "QUEUED", {"detektor/reason": "nightly"})
    assert described(evaluate("hourly_open_day", log, instance))
    run_id = made(instance, "QUEUED", {"detektor/reason": "hourly"})
    result = evaluate("hourly_open_day", log, instance)
    assert result.run_requests == []
    assert run_id[:8] in result.skip_message


def test_the_hour_of_another_day_by_the_platforms_clock(log: Settings, instance: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETEKTOR_NOW", "2026-05-12T10:00:00Z")
    assert described(evaluate("hourly_open_day", log, instance)) == [("2026-05-12", "2026-05-12", len(VIEWS))]


def test_the_hour_of_a_day_without_partition_says_what_to_do(log: Settings, instance: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The platform's clock went ahead since the definitions were loaded."""
    loaded = partitions()
    monkeypatch.setenv("DETEKTOR_NOW", "2026-05-22T10:00:00Z")
    result = evaluate("hourly_open_day", log, instance, days=loaded)
    assert result.run_requests == []
    assert result.skip_message == "There is no partition 2026-05-22: reload the definitions."


def test_the_night_closes_yesterday(log: Settings, instance: Any) -> None:
    for view in VIEWS:
        publish(log, view, span(FIRST, date(2026, 5, 18)))
        publish(log, view, [YESTERDAY], at="2026-05-19 23:05+00")  # by the hourly run: open still
    result = evaluate("nightly_close", log, instance)
    assert described(result) == [("2026-05-19", "2026-05-19", len(VIEWS))]
    (request,) = result.run_requests
    assert (request.tags["detektor/reason"], request.tags["dagster/priority"]) == ("nightly", "10")


def test_the_night_closes_what_the_platform_missed_while_it_was_down(log: Settings, instance: Any) -> None:
    for view in VIEWS:
        publish(log, view, [*span(FIRST, date(2026, 5, 14)), date(2026, 5, 17)])
        publish(log, view, [date(2026, 5, 15)], at="2026-05-15 18:05+00")
    assert described(evaluate("nightly_close", log, instance)) == [
        ("2026-05-15", "2026-05-16", len(VIEWS)),
        ("2026-05-18", "2026-05-19", len(VIEWS)),
    ]


def test_views_that_lack_other_days_are_other_runs_with_keys_of_their_own(log: Settings, instance: Any) -> None:
    publish(log, REVIEWS, span(FIRST, date(2026, 5, 16)))
    for view in OTHERS:
        publish(log, view, span(FIRST, date(2026, 5, 18)))
    result = evaluate("nightly_close", log, instance)
    assert described(result) == [("2026-05-17", "2026-05-19", 1), ("2026-05-19", "2026-05-19", len(OTHERS))]
    assert len({request.run_key for request in result.run_requests}) == 2


def test_the_night_goes_back_seven_days_and_no_further(log: Settings, instance: Any) -> None:
    """An older gap is a person's decision."""
    assert described(evaluate("nightly_close", log, instance, views=(REVIEWS,))) == [("2026-05-13", "2026-05-19", 1)]


def test_the_night_does_not_go_back_before_the_first_partition(log: Settings, instance: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETEKTOR_START_DATE", "2026-05-18")
    assert described(evaluate("nightly_close", log, instance)) == [("2026-05-18", "2026-05-19", len(VIEWS))]


def test_on_the_first_day_there_is_nothing_to_close(log: Settings, instance: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETEKTOR_START_DATE", "2026-05-20")
    result = evaluate("nightly_close", log, instance)
    assert result.run_requests == []
    assert result.skip_message == "None of the 7 days before today has a partition."


def test_the_night_of_a_day_that_has_no_partition_yet(log: Settings, instance: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The platform's clock went ahead since the definitions were loaded."""
    loaded = partitions()
    for view in VIEWS:
        publish(log, view, span(FIRST, YESTERDAY), at="2026-05-20 00:05+00")
    monkeypatch.setenv("DETEKTOR_NOW", "2026-05-23T00:15:00Z")
    assert described(evaluate("nightly_close", log, instance, days=loaded)) == [("2026-05-20", "2026-05-20", len(VIEWS))]


def test_what_is_closed_already_is_a_reason_to_skip(log: Settings, instance: Any) -> None:
    for view in VIEWS:
        publish(log, view, span(FIRST, YESTERDAY), at="2026-05-20 00:05+00")
    result = evaluate("nightly_close", log, instance)
    assert result.run_requests == []
    assert result.skip_message == "All days from 2026-05-13 to 2026-05-19 are closed. `detektor status` shows older gaps."
