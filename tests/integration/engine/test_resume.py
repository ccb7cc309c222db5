"""What a run may leave out, and what it publishes in parts: the rows are those of one undisturbed run."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from support.engine_cases import ORIGIN, comparable, crafted, everything, histories, side_by_side
from support.examples import examples
from support.log_rows import clear, insert, partition_log
from support.oracle import Event, rows

from detektor_pipelines import clock
from detektor_pipelines.engine import compute as engine
from detektor_pipelines.engine.materialize import Materialization, materialize
from detektor_pipelines.errors import UserError
from detektor_pipelines.language import days
from detektor_pipelines.language.windows import DAY, HOUR
from detektor_pipelines.stores.connections import connect, connect_arrow
from detektor_pipelines.stores.offline.rows import published_days, row_table
from detektor_pipelines.stores.offline.staleness import days_to_materialize
from detektor_pipelines.stores.raw_log.reader import events_by_day

if TYPE_CHECKING:
    import pyarrow as pa
    from support.oracle import Row

    from detektor_pipelines.settings import Settings

VIEW = replace(everything((days(1), days(7)), filters=("",)), name="resumed")
FIRST = dt.date(1970, 1, 1) + dt.timedelta(days=ORIGIN // DAY)
DAYS = [FIRST + dt.timedelta(days=number) for number in range(45)]
END = ORIGIN + len(DAYS) * DAY


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.fixture(scope="module")
def log(module_database: Settings) -> Settings:
    partition_log(module_database)
    return module_database


@pytest.fixture
def history(log: Settings) -> Settings:
    """Return settings of a log with the crafted history and an event every other day, nothing published."""
    forget(log)
    insert(log, [*crafted(), *(late(f"daily{number}", number) for number in range(0, len(DAYS), 2))])
    return log


def forget(settings: Settings) -> None:
    clear(settings)
    forget_rows(settings)


def forget_rows(settings: Settings) -> None:
    with connect(settings) as connection:
        connection.execute("TRUNCATE ml_learning.partition_state")
        connection.execute(f'DROP TABLE IF EXISTS feast."{row_table(VIEW)}" CASCADE')


def states(settings: Settings) -> dict[dt.date, tuple[int, str]]:
    with connect_arrow(settings) as connection:
        return {each.day: (each.rows, each.hash) for each in published_days(connection, VIEW)}


def stored(settings: Settings) -> list[Row]:
    names = ", ".join(engine.row_schema(VIEW).names)
    with connect_arrow(settings) as connection, connection.cursor() as cursor:
        cursor.execute(f'SELECT {names} FROM feast."{row_table(VIEW)}" ORDER BY agent_id, event_timestamp, created_at')
        return comparable(cursor.fetch_arrow_table().cast(engine.row_schema(VIEW)))


def due(settings: Settings, wanted: list[dt.date]) -> list[dt.date]:
    with connect(settings) as connection:
        return days_to_materialize(connection, VIEW, wanted)


def statuses(result: Materialization) -> dict[str, int]:
    found = [day.status for day in result.days]
    return {status: found.count(status) for status in dict.fromkeys(found)}


def late(name: str, day: int) -> Event:
    at = ORIGIN + day * DAY + HOUR
    return Event(name, at, at, "p", values={"operation": "review", "verdict": "approved", "issues_found": 2})


@pytest.mark.slow
@hypothesis_settings(max_examples=examples(3), deadline=None, suppress_health_check=list(HealthCheck))
@given(batches=st.lists(histories(size=10), min_size=1, max_size=3), limit=st.integers(1, 12))
def test_chunks_publish_what_one_run_publishes(log: Settings, batches: list[list[Event]], limit: int) -> None:
    forget(log)
    events = [replace(event, event_id=f"{event.event_id}.{number}") for number, batch in enumerate(batches) for event in batch]
    insert(log, events)
    materialize(log, VIEW, DAYS)
    undisturbed = states(log), stored(log)
    assert undisturbed[1] == sorted(rows(VIEW, events, start=ORIGIN, end=END))
    forget_rows(log)
    materialize(log, VIEW, DAYS, chunk_events=limit)
    assert (states(log), stored(log)) == undisturbed


@pytest.mark.slow
def test_the_crafted_history_in_chunks_of_every_size(history: Settings) -> None:
    materialize(history, VIEW, DAYS)
    undisturbed = states(history), stored(history)
    for limit in (4, 12):
        forget_rows(history)
        parts: list[Materialization] = []
        result = materialize(history, VIEW, DAYS, chunk_events=limit, on_part=parts.append)
        assert len(parts) > 1
        assert [day for part in parts for day in part.days] == list(result.days)
        assert (states(history), stored(history)) == undisturbed


def test_a_range_that_reaches_back_to_more_than_a_chunk_reads_it_in_slices(history: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    materialize(history, VIEW, DAYS[20:24])
    at_once = states(history)
    forget_rows(history)
    module, sizes = import_module("detektor_pipelines.engine.reading"), []
    read = module.reader.read_events

    def counted(*words: Any, **more: Any) -> pa.Table:
        table = read(*words, **more)
        sizes.append(table.num_rows)
        return table

    monkeypatch.setattr(module.reader, "read_events", counted)
    monkeypatch.setattr("detektor_pipelines.engine.materialize.InMemory.chunk_events", 2)
    materialize(history, VIEW, DAYS[20:24])
    assert states(history) == at_once
    assert len(sizes) > 2
    assert max(sizes) <= 2


def test_each_chunk_is_published_before_the_next_is_read_and_no_event_is_read_twice(history: Settings) -> None:
    parts: list[Materialization] = []

    def part(done: Materialization) -> None:
        parts.append(done)
        assert len(states(history)) == sum(len(each.days) for each in parts)

    result = materialize(history, VIEW, DAYS, chunk_events=3, on_part=part)
    assert len(parts) > 2
    assert all(len(each.days) == 1 or each.event_count <= 3 for each in parts[1:])
    assert result.event_count == materialize(history, VIEW, DAYS).event_count


@pytest.mark.parametrize("kind", ["late", "revision", "erasure"])
def test_a_chunk_knows_what_became_of_the_events_that_the_one_before_it_has_read(history: Settings, kind: str) -> None:
    read: list[int] = []

    def part(done: Materialization) -> None:
        last = (done.days[-1].day - FIRST).days
        if not read and last >= 20:
            read.append(last)
            change(history, kind, last // 2 * 2)

    materialize(history, VIEW, DAYS, chunk_events=3, on_part=part)
    after = DAYS[read[0] + 1 :]
    found = [states(history)[day] for day in after]
    forget_rows(history)
    materialize(history, VIEW, DAYS)
    assert [states(history)[day] for day in after] == found


def test_of_two_events_at_one_instant_the_one_with_the_greater_id_is_the_latest(log: Settings) -> None:
    forget(log)
    events = [replace(late(name, 0), values={"operation": "review", "issues_found": issues}) for name, issues in (("b", 2), ("a", 5))]
    insert(log, events)
    materialize(log, VIEW, DAYS[:2])
    assert stored(log) == sorted(rows(VIEW, events, start=ORIGIN, end=ORIGIN + 2 * DAY))


def change(settings: Settings, kind: str, day: int) -> None:
    """Change what the log says of a day that has been read."""
    if kind == "late":
        insert(settings, [late("meanwhile", day)])
    elif kind == "revision":
        insert(settings, [replace(late(f"daily{day}", day), revision=2, live=False)])
    else:
        with connect(settings) as connection:
            connection.execute("DELETE FROM ml_learning.agent_events WHERE event_id = %s", (f"daily{day}",))
            connection.execute(
                "INSERT INTO ml_learning.erasures (kind, digest, xid, requested_at, finished_at)"
                " VALUES ('project', 'p', pg_current_xact_id(), now(), now())"
            )


def test_a_killed_run_goes_on_with_the_days_that_are_missing(history: Settings) -> None:
    materialize(history, VIEW, DAYS)
    undisturbed = states(history), stored(history)
    forget_rows(history)
    begun: list[dt.date] = []

    def part(done: Materialization) -> None:
        begun.extend(day.day for day in done.days)
        if len(begun) > len(DAYS) // 3:
            raise Killed

    with pytest.raises(Killed):
        materialize(history, VIEW, DAYS, chunk_events=3, on_part=part)
    assert list(states(history)) == begun
    assert due(history, DAYS) == [day for day in DAYS if day not in begun]
    result = materialize(history, VIEW, DAYS, resume=True)
    assert [day.day for day in result.days if day.status == "kept"] == begun
    assert {day.day: (day.rows, day.hash) for day in result.days} == undisturbed[0]
    assert (states(history), stored(history)) == undisturbed


def test_a_run_that_is_not_a_resumption_computes_every_day(history: Settings) -> None:
    materialize(history, VIEW, DAYS)
    assert "kept" not in statuses(materialize(history, VIEW, DAYS))


def test_a_resumed_run_with_nothing_to_do_reads_nothing(history: Settings) -> None:
    materialize(history, VIEW, DAYS)
    parts: list[Materialization] = []
    again = materialize(history, VIEW, DAYS, resume=True, on_part=parts.append)
    assert statuses(again) == {"kept": len(DAYS)}
    assert again.event_count == 0
    assert len(parts) == 1


def test_stale_days_are_computed_again_with_the_rest_kept(history: Settings) -> None:
    materialize(history, VIEW, DAYS)
    insert(history, [late("late", 20)])
    reached = DAYS[20:28] + ([DAYS[28]] if DAYS[28] in due(history, DAYS) else [])  # the leave of seven days lies in one of them
    assert due(history, DAYS) == reached
    result = materialize(history, VIEW, DAYS, resume=True)
    assert [day.day for day in result.days if day.status != "kept"] == reached
    assert due(history, DAYS) == []
    repaired = states(history)
    forget_rows(history)
    materialize(history, VIEW, DAYS)
    assert states(history) == repaired


def test_a_day_that_was_published_while_it_was_open_is_computed_again(history: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETEKTOR_NOW", clock.from_us(ORIGIN + 5 * DAY + HOUR).isoformat())
    materialize(history, VIEW, DAYS[:6])
    assert due(history, DAYS[:6]) == [DAYS[5]]
    monkeypatch.setenv("DETEKTOR_NOW", clock.from_us(ORIGIN + 6 * DAY).isoformat())
    assert due(history, DAYS[:6]) == [DAYS[5]]
    again = materialize(history, VIEW, DAYS[:6], resume=True)
    assert [day.day for day in again.days if day.status != "kept"] == [DAYS[5]]
    assert due(history, DAYS[:6]) == []


def test_a_later_chunk_is_cut_off_when_it_is_read(history: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a long run would put back a day that others closed meanwhile to what it was when the run began."""
    monkeypatch.setenv("DETEKTOR_NOW", clock.from_us(ORIGIN + len(DAYS) * DAY - HOUR).isoformat())

    def midnight_strikes(_: Materialization) -> None:
        monkeypatch.setenv("DETEKTOR_NOW", clock.from_us(END + HOUR).isoformat())

    materialize(history, VIEW, DAYS, chunk_events=3, on_part=midnight_strikes)
    assert due(history, DAYS) == []


def raced(settings: Settings, monkeypatch: pytest.MonkeyPatch, times: int) -> list[int]:
    """Let another run publish the last day from newer events while the first `times` computations are under way."""
    module = import_module("detektor_pipelines.engine.materialize")
    compute, races = module.compute_days, []

    def computed(*words: Any, **more: Any) -> Any:
        if len(races) < times:
            races.append(1)
            insert(settings, [late(f"meanwhile {len(races)}", len(DAYS) - 1)])
            with monkeypatch.context() as undisturbed:
                undisturbed.setattr(module, "compute_days", compute)
                materialize(settings, VIEW, DAYS[-1:])
        return compute(*words, **more)

    monkeypatch.setattr(module, "compute_days", computed)
    return races


def test_a_run_that_another_one_overtakes_reads_again(history: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    races = raced(history, monkeypatch, 2)
    materialize(history, VIEW, DAYS)
    assert len(races) == 2
    assert due(history, DAYS) == []
    overtaken = states(history)
    forget_rows(history)
    materialize(history, VIEW, DAYS)
    assert states(history) == overtaken


def test_a_run_that_is_overtaken_for_ever_says_so(history: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    races = raced(history, monkeypatch, 9)
    with pytest.raises(UserError, match="newer knowledge"):
        materialize(history, VIEW, DAYS)
    assert len(races) == 3


def test_days_to_materialize_are_of_those_asked_for_in_order(history: Settings) -> None:
    assert due(history, []) == []
    assert due(history, [DAYS[9], DAYS[3], DAYS[9]]) == [DAYS[3], DAYS[9]]
    materialize(history, VIEW, DAYS[3:5])
    assert due(history, [DAYS[9], DAYS[3]]) == [DAYS[9]]


def test_a_failed_day_is_one_to_materialize(history: Settings) -> None:
    bound = [replace(each, within=(0, 1)) if each.name == "count_1d" else each for each in VIEW.features]
    strict: Any = replace(VIEW, features=tuple(bound))
    result = materialize(history, strict, DAYS, chunk_events=3)
    failed = [day.day for day in result.days if day.status == "failed"]
    assert failed
    assert due(history, DAYS) == failed
    again = materialize(history, strict, DAYS, resume=True)
    assert [day.day for day in again.days if day.status == "failed"] == failed
    assert statuses(again)["kept"] == len(DAYS) - len(failed)


def test_events_by_day_counts_the_midnight_event_to_the_day_before(log: Settings) -> None:
    forget(log)
    batch = side_by_side([[replace(late("a", 0), occurred_at=ORIGIN + DAY), replace(late("b", 0), occurred_at=ORIGIN + DAY + 1)]])[0]
    insert(log, batch)
    with connect_arrow(log) as connection:
        assert events_by_day(connection, "code-reviewer", ORIGIN, ORIGIN + 2 * DAY) == {DAYS[0]: 1, DAYS[1]: 1}
        assert events_by_day(connection, "code-reviewer", ORIGIN + DAY, ORIGIN + 2 * DAY) == {DAYS[1]: 1}
