"""Feast's historical reads over days that were not published: no label gets a number that is not known to be true."""

from __future__ import annotations

import logging
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pandas as pd
import psycopg
import pytest

from detektor_pipelines.catalog import view_named
from detektor_pipelines.clock import parse_instant
from detektor_pipelines.engine.materialize import materialize
from detektor_pipelines.language.records import AgentEvent
from detektor_pipelines.stores.raw_log.bulk import append

if TYPE_CHECKING:
    from feast import FeatureStore

    from detektor_pipelines.settings import Settings

pytestmark = pytest.mark.slow

VIEW = view_named("documentation-keeper")
UPDATED, WEEKLY = (f"{VIEW.name}:{name}" for name in ("docs_updated_total", "docs_checked_total"))


@pytest.fixture
def log(store: FeatureStore, module_store: tuple[FeatureStore, Settings], monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return settings of an empty log in the store's database; the clock stands at 2026-03-08 00:30."""
    settings = module_store[1]
    with psycopg.connect(store.config.offline_store.dsn) as connection:
        connection.execute("TRUNCATE ml_learning.agent_events, ml_learning.event_ids, ml_learning.log_origin, ml_learning.partition_state")
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-08T00:30:00Z")
    return settings


def documented(at: str, project: str, updated: int = 1) -> AgentEvent:
    instant = parse_instant(f"2026-{at}")
    return AgentEvent(
        f"{at} {project}",
        VIEW.agent,
        VIEW.agent,
        "document",
        instant,
        "t",
        project=project,
        known_at=instant,
        measures={"docs_updated": updated},
    )


def days_of(*numbers: int) -> list[date]:
    return [date(2026, 3, number) for number in numbers]


def read(store: FeatureStore, *asked: tuple[str, str]) -> list[int | None]:
    frame = pd.DataFrame([(f"{VIEW.agent}{project}", at) for project, at in asked], columns=["agent_id", "event_timestamp"])
    frame["event_timestamp"] = pd.to_datetime("2026-" + frame["event_timestamp"], utc=True)
    return store.get_historical_features(frame, [UPDATED]).to_arrow().column("docs_updated_total").to_pylist()


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]


def test_labels_that_a_missing_day_hides_have_no_value_and_one_warning_says_so(
    store: FeatureStore, log: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    append(log, [documented("03-02 20:00", "was", 5), documented("03-03 09:00", "was", 7), documented("03-04 09:00", "new")])
    append(log, [documented(f"03-0{day} 08:00", "busy") for day in range(1, 8)])
    materialize(log, VIEW, days_of(1, 2, 5, 6, 7))

    found = read(
        store,
        ("@was", "03-02 23:00"),  # before the gap
        ("@was", "03-03 08:00"),  # in it
        ("@was", "03-05 12:00"),  # after it, and no row since
        ("@new", "03-07 12:00"),
        ("@busy", "03-05 07:00"),  # the first row after the gap is one of 08:00
        ("@busy", "03-05 08:00"),
        ("@nobody", "03-05 12:00"),
    )

    assert found == [5, None, None, None, None, 5, None]
    (text,) = warned(caplog)
    assert f"{VIEW.name}: 4 labels have no value, for it is not known" in text
    assert "not published, or not to its end, is 2026-03-03 to 2026-03-04" in text
    assert f"detektor backfill --view {VIEW.name} --from 2026-03-03 --to 2026-03-04" in text


def test_what_the_backfill_said_computes_makes_them_whole(store: FeatureStore, log: Settings, caplog: pytest.LogCaptureFixture) -> None:
    append(log, [documented("03-02 20:00", "was", 5), documented("03-03 09:00", "was", 7)])
    materialize(log, VIEW, days_of(1, 2, 5))
    asked = (("@was", "03-03 08:00"), ("@was", "03-05 12:00"), ("", "03-05 12:00"))
    assert read(store, *asked) == [None, None, None]
    materialize(log, VIEW, days_of(3, 4))
    caplog.clear()

    assert read(store, *asked) == [5, 12, 12]
    assert warned(caplog) == []


def test_an_agent_to_which_nothing_happened_in_a_gap_keeps_its_row(
    store: FeatureStore, log: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its windows are empty since long before; what others did in the gap is nothing to it."""
    monkeypatch.setenv("DETEKTOR_NOW", "2026-06-08T00:30:00Z")
    append(log, [documented("03-02 20:00", "idle", 5), documented("06-03 09:00", "busy")])
    early = [each.date() for each in pd.date_range("2026-03-02", "2026-05-20")]
    materialize(log, VIEW, [*early, date(2026, 6, 6)])

    assert read(store, ("@idle", "06-06 12:00"), ("@busy", "06-06 12:00")) == [0, None]
    assert "1 label has no value" in warned(caplog)[0]


def test_the_first_days_of_a_log_are_no_gap(store: FeatureStore, log: Settings, caplog: pytest.LogCaptureFixture) -> None:
    append(log, [documented("03-05 08:00", "p")])
    materialize(log, VIEW, days_of(5, 6, 7))

    assert read(store, ("@p", "03-05 07:00"), ("@p", "03-05 08:00"), ("@p", "03-07 12:00")) == [None, 1, 1]
    assert warned(caplog) == []


def test_agents_of_before_the_first_published_day_are_not_known(
    store: FeatureStore, log: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    append(log, [documented("03-01 20:00", "idle", 5), documented("03-01 08:00", "busy"), documented("03-06 08:00", "busy")])
    materialize(log, VIEW, days_of(5, 6, 7))

    assert read(store, ("@idle", "03-07 23:00"), ("@busy", "03-05 12:00"), ("@busy", "03-06 08:00")) == [None, None, 2]
    (text,) = warned(caplog)
    assert f"{VIEW.name}: 2 labels" in text
    assert "2026-03-01 to 2026-03-04" in text


def test_after_the_last_publication_only_those_to_whom_something_happened_are_not_known(
    store: FeatureStore, log: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A day published while it was open is true up to its cut-off."""
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-07T10:05:00Z")
    append(log, [documented("03-07 09:30", "p")])
    materialize(log, VIEW, days_of(7))
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-08T00:30:00Z")

    assert read(store, ("@p", "03-07 10:30"), ("@p", "03-07 11:00"), ("@q", "03-07 23:00")) == [1, None, None]
    (text,) = warned(caplog)
    assert f"{VIEW.name}: 1 label has" in text
    assert "is 2026-03-07." in text


def test_a_query_of_labels_is_told_the_same(store: FeatureStore, log: Settings, caplog: pytest.LogCaptureFixture) -> None:
    append(log, [documented("03-02 20:00", "was", 5)])
    materialize(log, VIEW, days_of(2, 4))
    query = f"""SELECT '{VIEW.agent}@was' AS agent_id, * FROM (VALUES (timestamptz '2026-03-02 23:00Z', 1), ('2026-03-04 12:00Z', 2))
                AS given(event_timestamp, y)"""
    table: Any = store.get_historical_features(query, [UPDATED, WEEKLY]).to_arrow()

    assert table.column_names == ["agent_id", "event_timestamp", "y", "docs_updated_total", "docs_checked_total"]
    assert table.column("docs_updated_total").to_pylist() == [5, None]
    assert table.column("event_timestamp")[0].as_py() == datetime(2026, 3, 2, 23, tzinfo=UTC)
    assert len(warned(caplog)) == 1
