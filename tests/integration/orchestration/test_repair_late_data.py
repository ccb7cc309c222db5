"""The sensor `repair_late_data` tick by tick, with published days and events as rows: what it asks for, waits for, gives up on."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from support.automation import append, made, publish, span, start
from support.log_rows import partition_log

from detektor_pipelines.catalog import VIEWS, view_named
from detektor_pipelines.stores.connections import connect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detektor_pipelines.settings import Settings

pytestmark = pytest.mark.slow

REVIEWS, DEPLOYMENTS = view_named("code_review_features"), view_named("deployment_features")
FIRST, YESTERDAY, TODAY = date(2026, 3, 1), date(2026, 5, 19), date(2026, 5, 20)
HOUR = 3600.0


class Sensor:
    """The sensor with its cursor and instance, as the daemon keeps them; its clock can be moved on."""

    def __init__(self, settings: Settings, instance: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        from detektor_pipelines.orchestration.sensors import bounds, late_data

        self.settings, self.instance, self.cursor = settings, instance, None
        self.alerts: list[tuple[str, dict[str, Any]]] = []
        self._now = bounds._now()
        self._ended: dict[str, float] = {}
        monkeypatch.setattr(bounds, "_now", lambda: self._now)
        monkeypatch.setattr(bounds, "_ended", lambda record: self._ended[record.dagster_run.run_id])
        monkeypatch.setattr(late_data, "alert", lambda _, text, **more: self.alerts.append((text, more)))

    def tick(self, *, start: date = FIRST) -> Any:
        import dagster as dg

        from detektor_pipelines.orchestration.sensors import repair_late_data

        partitions = dg.DailyPartitionsDefinition(start_date=start.isoformat(), end_offset=1)
        result = repair_late_data(VIEWS, partitions, self.settings)(dg.build_sensor_context(instance=self.instance, cursor=self.cursor))
        self.cursor = getattr(result, "cursor", self.cursor)
        return result

    def asked(self, **more: Any) -> list[tuple[str, str, list[str]]]:
        """Return first day, last day and views of each request."""
        return [described(request) for request in self.tick(**more).run_requests or ()]

    def one(self) -> Any:
        (request,) = self.tick().run_requests
        return request

    def why(self) -> str:
        result = self.tick()
        assert not result.run_requests
        return str(result.skip_reason.skip_message)

    def later(self, seconds: float) -> None:
        self._now += seconds

    def start(self, request: Any, status: str = "FAILURE") -> str:
        """Make the run that the daemon would make, and let it end at once."""
        run_id = start(self.instance, request, status)
        self._ended[run_id] = self._now
        return run_id


def described(request: Any) -> tuple[str, str, list[str]]:
    first, last = (request.tags[f"dagster/asset_partition_range_{end}"] for end in ("start", "end"))
    return first, last, sorted({key.path[0] for key in request.asset_selection})


@pytest.fixture
def log(database: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return settings of a log in which all days of one view are published; it is noon."""
    monkeypatch.setenv("DETEKTOR_NOW", "2026-05-20T12:00:00Z")
    partition_log(database)
    publish(database, REVIEWS, span(FIRST, YESTERDAY))
    publish(database, REVIEWS, [TODAY], at="2026-05-20 11:05+00")
    return database


@pytest.fixture
def sensor(log: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sensor]:
    import dagster as dg

    with dg.DagsterInstance.ephemeral() as instance:
        yield Sensor(log, instance, monkeypatch)


def test_nothing_late_nothing_asked(sensor: Sensor) -> None:
    assert sensor.why() == "No late event reaches a day that is published."


def test_events_of_the_open_day_are_the_hourly_runs_business(sensor: Sensor) -> None:
    append(sensor.settings, REVIEWS, "2026-05-20 00:00:00.000001", "2026-05-20 11:50")
    assert "No late event" in sensor.why()


def test_late_events_take_the_open_day_along_when_they_reach_it(sensor: Sensor) -> None:
    append(sensor.settings, REVIEWS, "2026-05-17 10:30")
    assert sensor.asked() == [("2026-05-17", "2026-05-20", ["code_reviewer"])]


def test_the_open_day_stays_out_when_only_its_own_events_reach_it(sensor: Sensor) -> None:
    append(sensor.settings, REVIEWS, "2026-04-10 10:30", "2026-05-20 11:30")
    assert sensor.asked() == [("2026-04-10", "2026-05-10", ["code_reviewer"])]


def test_the_open_day_is_repaired_alone_when_the_closed_ones_are(sensor: Sensor) -> None:
    """By a backfill that ended with yesterday; the hourly run may be an hour away."""
    append(sensor.settings, REVIEWS, "2026-05-17 10:30")
    publish(sensor.settings, REVIEWS, span(date(2026, 5, 17), YESTERDAY))
    assert sensor.asked() == [("2026-05-20", "2026-05-20", ["code_reviewer"])]


def test_an_event_of_midnight_belongs_to_the_day_before(sensor: Sensor) -> None:
    append(sensor.settings, REVIEWS, "2026-05-20 00:00")
    assert sensor.asked() == [("2026-05-19", "2026-05-20", ["code_reviewer"])]


def test_each_contiguous_range_is_a_run_and_views_share_equal_ones(sensor: Sensor) -> None:
    publish(sensor.settings, DEPLOYMENTS, span(FIRST, YESTERDAY))
    append(sensor.settings, REVIEWS, "2026-03-05 10:30", "2026-05-17 10:30")
    append(sensor.settings, DEPLOYMENTS, "2026-03-05 12:30")
    assert sensor.asked() == [
        ("2026-03-05", "2026-04-04", ["code_reviewer", "deployment_specialist"]),
        ("2026-05-17", "2026-05-20", ["code_reviewer"]),
    ]


def test_days_without_rows_of_ours_are_no_ones_to_repair(sensor: Sensor) -> None:
    """A gap is for nightly_close or a person: the sensor repairs what was published."""
    append(sensor.settings, DEPLOYMENTS, "2026-05-17 10:30")
    assert "No late event" in sensor.why()


@pytest.mark.parametrize(("now", "asked"), [("00:10", []), ("00:29", []), ("00:31", [("2026-05-19", "2026-05-20", ["code_reviewer"])])])
def test_yesterday_is_left_to_the_nightly_run_at_first(sensor: Sensor, monkeypatch: pytest.MonkeyPatch, now: str, asked: list[Any]) -> None:
    monkeypatch.setenv("DETEKTOR_NOW", f"2026-05-20T{now}:00Z")
    append(sensor.settings, REVIEWS, "2026-05-19 22:30")
    assert sensor.asked() == asked


def test_days_before_yesterday_need_not_wait_after_midnight(sensor: Sensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETEKTOR_NOW", "2026-05-20T00:10:00Z")
    append(sensor.settings, REVIEWS, "2026-05-17 10:30")
    assert sensor.asked() == [("2026-05-17", "2026-05-18", ["code_reviewer"])]


def test_published_days_without_a_partition_are_left_out_and_said(sensor: Sensor) -> None:
    append(sensor.settings, REVIEWS, "2026-03-05 10:30")
    assert sensor.asked(start=date(2026, 3, 20)) == [("2026-03-20", "2026-04-04", ["code_reviewer"])]
    result = sensor.tick(start=date(2026, 5, 1))
    assert not result.run_requests
    why = result.skip_reason.skip_message
    assert why.startswith("code_review_features: 2026-03-05 to 2026-04-04, Dagster has no such partitions")


def test_a_log_that_was_moved_to_another_cluster_has_only_the_days_to_repair_that_it_had(sensor: Sensor) -> None:
    append(sensor.settings, REVIEWS, "2026-05-17 10:30")
    before = sensor.asked()
    with connect(sensor.settings) as connection:
        connection.execute("UPDATE ml_learning.log_cluster SET system_identifier = 1")
    assert sensor.asked() == before == [("2026-05-17", "2026-05-20", ["code_reviewer"])]


@pytest.mark.parametrize("status", ["QUEUED", "STARTED"])
def test_it_waits_for_a_run_over_the_same_view_and_says_so(sensor: Sensor, status: str) -> None:
    import dagster as dg

    append(sensor.settings, REVIEWS, "2026-05-17 10:30")
    run_id = made(sensor.instance, status, keys=[dg.AssetKey(["code_reviewer", "features"])])
    assert sensor.why() == f"code_review_features: 2026-05-17 to 2026-05-20, run {run_id[:8]} is under way"


def test_it_waits_for_a_backfill_that_has_not_made_its_runs_yet(sensor: Sensor) -> None:
    import dagster as dg
    from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

    append(sensor.settings, REVIEWS, "2026-05-17 10:30")
    backfill = PartitionBackfill(
        backfill_id="b",
        status=BulkActionStatus.REQUESTED,
        from_failure=False,
        tags={},
        backfill_timestamp=0.0,
        asset_selection=[dg.AssetKey(["code_reviewer", "features"])],
        partition_names=["2026-05-17"],
    )
    sensor.instance.add_backfill(backfill)
    assert "backfill b is under way" in sensor.why()
    sensor.instance.update_backfill(backfill.with_status(BulkActionStatus.COMPLETED_SUCCESS))
    assert sensor.asked()


def test_a_run_of_another_view_is_not_waited_for(sensor: Sensor) -> None:
    import dagster as dg

    made(sensor.instance, "STARTED", keys=[dg.AssetKey(["deployment_specialist", "features"])])
    append(sensor.settings, REVIEWS, "2026-05-17 10:30")
    assert sensor.asked()


def test_a_request_that_never_became_a_run_is_made_again(sensor: Sensor) -> None:
    """The daemon was killed before it wrote the tick down: no cursor, no run key and no run says that anything was asked for."""
    append(sensor.settings, REVIEWS, "2026-05-17 10:30")
    before = sensor.one()
    assert described(sensor.one()) == described(before)


@pytest.mark.parametrize("status", ["FAILURE", "CANCELED"])
def test_a_failed_repair_is_asked_for_again_after_a_pause(sensor: Sensor, status: str) -> None:
    append(sensor.settings, REVIEWS, "2026-05-17 10:30")
    sensor.start(sensor.one(), status)
    assert "the next is asked for in" in sensor.why()
    sensor.later(61)
    assert described(sensor.one()) == ("2026-05-17", "2026-05-20", ["code_reviewer"])


def test_after_three_runs_it_gives_up_and_says_once_what_to_do(sensor: Sensor) -> None:
    append(sensor.settings, REVIEWS, "2026-05-17 10:30")
    last = ""
    for _ in range(3):
        last = sensor.start(sensor.one())
        sensor.later(HOUR)
    assert sensor.alerts == []
    assert "given up after 3 runs" in sensor.why()
    sensor.later(1000 * HOUR)
    assert "given up after 3 runs" in sensor.why()
    ((text, details),) = sensor.alerts
    assert "`detektor backfill --view code_review_features --from 2026-05-17 --to 2026-05-20`" in text
    assert details["link"].endswith(f"/runs/{last}")


def test_a_repair_that_succeeds_without_repairing_is_bounded_too(sensor: Sensor) -> None:
    append(sensor.settings, REVIEWS, "2026-05-17 10:30")
    for _ in range(3):
        sensor.start(sensor.one(), "SUCCESS")
    assert "given up" in sensor.why()


def test_a_new_late_event_for_the_same_days_is_repaired_after_giving_up(sensor: Sensor) -> None:
    append(sensor.settings, REVIEWS, "2026-05-17 10:30")
    for _ in range(3):
        sensor.start(sensor.one())
        sensor.later(HOUR)
    assert "given up" in sensor.why()
    append(sensor.settings, REVIEWS, "2026-05-17 11:30")
    assert described(sensor.one()) == ("2026-05-17", "2026-05-20", ["code_reviewer"])


def test_events_of_the_open_day_are_no_new_cause(sensor: Sensor) -> None:
    """Else an agent at work would make every failed repair start again for ever."""
    append(sensor.settings, REVIEWS, "2026-05-17 10:30")
    for _ in range(3):
        sensor.start(sensor.one())
        sensor.later(HOUR)
    append(sensor.settings, REVIEWS, "2026-05-20 11:45")
    assert "given up" in sensor.why()


def test_late_events_by_the_minute_onto_a_bad_day_start_a_run_an_hour_at_most(sensor: Sensor) -> None:
    """Each is another cause with three runs of its own; failures in a row make the pauses longer."""
    started = []
    for minute in range(0, 12 * 60, 15):
        append(sensor.settings, REVIEWS, f"2026-05-17 10:{minute // 60:02}:{minute % 60:02}")
        requests = sensor.tick().run_requests
        if requests:
            started.append(minute)
            sensor.start(requests[0])
        sensor.later(15 * 60)
    assert started == [0, 15, 30, 60, *range(120, 12 * 60, 60)]  # pauses of 1, 4, 16 and 60 minutes, by ticks of 15


def test_a_success_ends_the_pauses(sensor: Sensor) -> None:
    append(sensor.settings, REVIEWS, "2026-05-17 10:30")
    sensor.start(sensor.one())
    sensor.later(61)
    sensor.start(sensor.one(), "SUCCESS")
    publish(sensor.settings, REVIEWS, span(date(2026, 5, 17), TODAY))
    assert "No late event" in sensor.why()
    append(sensor.settings, REVIEWS, "2026-05-17 12:30")
    sensor.start(sensor.one())
    assert "the next is asked for in 60 s" in sensor.why()


def test_what_is_too_much_for_one_tick_is_the_next_ones(sensor: Sensor, monkeypatch: pytest.MonkeyPatch) -> None:
    from detektor_pipelines.orchestration.sensors import late_data

    monkeypatch.setattr(late_data, "_RUNS_A_TICK", 1)
    append(sensor.settings, REVIEWS, "2026-03-05 10:30", "2026-05-17 10:30")
    assert sensor.asked() == [("2026-03-05", "2026-04-04", ["code_reviewer"])]


def test_another_definition_is_another_cause() -> None:
    from detektor_pipelines.orchestration.sensors.late_data import _cause

    days, late = (YESTERDAY, TODAY), {TODAY: 700}
    assert _cause(replace(REVIEWS, features=REVIEWS.features[:-1]), days, late) != _cause(REVIEWS, days, late)


def test_a_view_that_gave_up_does_not_keep_another_from_its_repair(sensor: Sensor) -> None:
    publish(sensor.settings, DEPLOYMENTS, span(FIRST, YESTERDAY))
    append(sensor.settings, REVIEWS, "2026-05-10 10:30")
    for _ in range(3):
        sensor.start(sensor.one())
        sensor.later(HOUR)
    publish(sensor.settings, DEPLOYMENTS, [TODAY], at="2026-05-20 11:05+00")
    append(sensor.settings, DEPLOYMENTS, "2026-05-10 10:30")
    assert sensor.asked() == [("2026-05-10", "2026-05-20", ["deployment_specialist"])]


def test_without_a_database_the_tick_says_so(sensor: Sensor, monkeypatch: pytest.MonkeyPatch) -> None:
    from detektor_pipelines.settings import Settings

    sensor.settings = Settings(external_postgres_url="postgresql://x@127.0.0.1:1/x")
    assert sensor.tick().skip_message.startswith("PostgreSQL does not answer.")
