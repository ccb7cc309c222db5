"""The sensor `definition_changed` and its check, with published days of two versions as rows."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from support.automation import publish, span

from detektor_pipelines.catalog import VIEWS, view_named
from detektor_pipelines.language.hashes import data_hash, short_hash
from detektor_pipelines.stores.offline.row_tables import ensure_tables

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings

pytestmark = pytest.mark.slow

REVIEWS = view_named("code_review_features")
OLD = "0" * 64
DAYS = span(date(2026, 5, 1), date(2026, 5, 10))
COMMAND = "detektor backfill --view code_review_features --from 2026-05-01 --to 2026-05-10"


class Sensor:
    def __init__(self, settings: Settings, instance: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        from detektor_pipelines.orchestration.sensors import versions

        self.settings, self.instance, self.cursor = settings, instance, None
        self.alerts: list[tuple[str, dict[str, Any]]] = []
        monkeypatch.setattr(versions, "alert", lambda _, text, **more: self.alerts.append((text, more)))

    def tick(self, views: Sequence[FeatureView] = VIEWS) -> Any:
        """Evaluate and do with the events what the daemon does; returns those of the one view."""
        import dagster as dg

        from detektor_pipelines.orchestration.sensors import definition_changed

        result = definition_changed(views, self.settings)(dg.build_sensor_context(instance=self.instance, cursor=self.cursor))
        self.cursor = result.cursor
        for event in result.asset_events:
            self.instance.report_runless_asset_event(event)
        return [event for event in result.asset_events if event.asset_key.path[0] == "code_reviewer"]


@pytest.fixture
def sensor(database: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sensor]:
    import dagster as dg

    with dg.DagsterInstance.ephemeral() as instance:
        yield Sensor(database, instance, monkeypatch)


def test_days_that_only_an_older_version_has_are_a_warning_with_the_command(sensor: Sensor) -> None:
    import dagster as dg

    publish(sensor.settings, REVIEWS, DAYS, digest=OLD)
    (event,) = sensor.tick()
    assert (event.check_name, event.passed, event.severity) == ("rows_are_of_this_version", False, dg.AssetCheckSeverity.WARN)
    metadata = {name: value.value for name, value in event.metadata.items()}
    assert metadata == {
        "data_hash": data_hash(REVIEWS),
        "old_data_hash": OLD,
        "days": 10,
        "first_day": "2026-05-01",
        "last_day": "2026-05-10",
        "what_to_do": f"`{COMMAND}` computes them.",
    }
    ((text, details),) = sensor.alerts
    assert COMMAND in text
    assert details["views"] == ["code_review_features"]
    assert details["link"] == "http://127.0.0.1:3000/assets/code_reviewer/features?view=partitions"
    assert details["days"] == "2026-05-01 to 2026-05-10"


def test_it_is_evaluated_when_something_changes_and_told_once(sensor: Sensor) -> None:
    publish(sensor.settings, REVIEWS, DAYS, digest=OLD)
    assert [event.passed for event in sensor.tick()] == [False]
    assert sensor.tick() == []
    publish(sensor.settings, REVIEWS, DAYS[:4])  # the backfill is under way
    (event,) = sensor.tick()
    assert event.metadata["days"].value == 6
    publish(sensor.settings, REVIEWS, DAYS[4:])
    assert [event.passed for event in sensor.tick()] == [True]
    assert sensor.tick() == []
    assert len(sensor.alerts) == 1


def test_the_next_change_is_told_too_while_the_first_waits(sensor: Sensor) -> None:
    publish(sensor.settings, REVIEWS, DAYS, digest=OLD)
    sensor.tick()
    changed_again = (replace(REVIEWS, features=REVIEWS.features[:-1]),)
    sensor.tick(changed_again)
    sensor.tick(changed_again)
    assert len(sensor.alerts) == 2


def test_days_that_both_versions_have_are_no_gap(sensor: Sensor) -> None:
    publish(sensor.settings, REVIEWS, DAYS, digest=OLD)
    publish(sensor.settings, REVIEWS, [*DAYS, date(2026, 5, 11)])
    assert [event.passed for event in sensor.tick()] == [True]
    assert sensor.alerts == []


def on_disk(monkeypatch: pytest.MonkeyPatch, view: FeatureView) -> None:
    """Let the files hold that definition: a process may have another one loaded."""
    from detektor_pipelines.quality import versions

    assert versions._on_disk(REVIEWS) == short_hash(REVIEWS)
    monkeypatch.setattr(versions, "_on_disk", lambda _: short_hash(view))


def test_who_is_behind_the_files_is_told_so_whatever_the_registry_holds(sensor: Sensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody edited a file and ran `detektor backfill`: the registered definition is the earlier one, and the server has it loaded."""
    from detektor_pipelines.stores.feast import registry as feast_repo

    later = replace(REVIEWS, version="2.0.0", features=REVIEWS.features[:-1])
    for view in (REVIEWS, later):
        ensure_tables(sensor.settings, (view,))
    feast_repo.apply(sensor.settings)
    publish(sensor.settings, later, DAYS)
    on_disk(monkeypatch, later)
    (event,) = sensor.tick()
    assert event.metadata["later_data_hash"].value == data_hash(later)
    assert "detektor restart" in event.metadata["what_to_do"].value
    assert sensor.alerts[0][1]["reason"] == "an earlier definition is loaded"


def test_which_of_two_versions_is_the_later_one_is_said_right(sensor: Sensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways round: a process that still has the earlier definition loaded, and one that has the later one."""
    later = replace(REVIEWS, version="2.0.0", features=REVIEWS.features[:-1])
    for view in (REVIEWS, later):
        ensure_tables(sensor.settings, (view,))
    publish(sensor.settings, later, DAYS)
    (event,) = sensor.tick()
    assert event.metadata["later_data_hash"].value == data_hash(later)
    assert "detektor restart" in event.metadata["what_to_do"].value
    ((text, details),) = sensor.alerts
    assert f"rows of a later version ({data_hash(later)[:12]}) than the one that is loaded here, {REVIEWS.version}" in text
    assert details["reason"] == "an earlier definition is loaded"

    publish(sensor.settings, REVIEWS, [*DAYS, date(2026, 5, 11)])
    on_disk(monkeypatch, later)
    (event,) = sensor.tick((later, *VIEWS[1:]))
    assert event.metadata["old_data_hash"].value == data_hash(REVIEWS)
    text, details = sensor.alerts[-1]
    assert "only have rows of an earlier version" in text
    assert details["reason"] == "the definition has changed"


def test_the_registered_version_is_the_present_one_even_if_another_was_made_later(sensor: Sensor) -> None:
    from detektor_pipelines.stores.feast import registry as feast_repo

    later = replace(REVIEWS, version="2.0.0", features=REVIEWS.features[:-1])
    for view in (REVIEWS, later):
        ensure_tables(sensor.settings, (view,))
    feast_repo.apply(sensor.settings)
    publish(sensor.settings, later, DAYS)
    (event,) = sensor.tick()
    assert event.metadata["old_data_hash"].value == data_hash(later)
    assert COMMAND in event.metadata["what_to_do"].value


def test_several_older_versions_are_one_proposal(sensor: Sensor) -> None:
    publish(sensor.settings, REVIEWS, DAYS[:6], digest=OLD, at="2026-05-20 00:00+00")
    publish(sensor.settings, REVIEWS, DAYS[4:], digest="1" * 64, at="2026-05-21 00:00+00")
    (event,) = sensor.tick()
    assert event.metadata["days"].value == 10
    assert COMMAND in event.metadata["what_to_do"].value
    assert event.metadata["old_data_hash"].value == f"{'1' * 64}, {OLD}"


def test_nothing_published_is_nothing_to_say(sensor: Sensor) -> None:
    assert [event.passed for event in sensor.tick()] == [True]
    assert sensor.tick() == []
