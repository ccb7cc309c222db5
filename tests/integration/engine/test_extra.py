"""Measures and categories of one's own: batch, stream and exact read give what the oracle says, to the bit, whatever the log holds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.engine_cases import ORIGIN, comparable, event_table
from support.log_rows import insert, partition_log
from support.oracle import Event, rows, values
from support.rule_views import view_of

from detektor_pipelines.compile.fold import fold
from detektor_pipelines.compile.plan import plan
from detektor_pipelines.compile.sql import reach_back
from detektor_pipelines.engine import compute as engine
from detektor_pipelines.engine.as_of import values_at
from detektor_pipelines.language import count, days, distinct, event, hours, last, maximum, mean, minimum, quantile, rate, std, total
from detektor_pipelines.language.events import extra_category_column, extra_measure_column
from detektor_pipelines.language.expressions import extra_category, extra_measure
from detektor_pipelines.language.windows import DAY, HOUR
from detektor_pipelines.stores.connections import connect_arrow
from detektor_pipelines.stores.raw_log.known import EVERYTHING, read_known
from detektor_pipelines.stores.raw_log.reader import read_events
from detektor_pipelines.stores.raw_log.tail import FIXED, LogTail, Snapshot
from detektor_pipelines.stream.state import ViewState

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings

LOW, HIGH = -5, 1_000
STEPS, TONE = extra_measure("steps", LOW, HIGH), extra_category("tone", ("dry", "warm"))
STEPS_COLUMN, TONE_COLUMN = extra_measure_column("steps"), extra_category_column("tone")
WARM = TONE == "warm"

VIEW = view_of(
    {
        "sum": (total(STEPS), days(2)),
        "mean": (mean(STEPS), days(2), WARM),
        "spread": (std(STEPS), days(1)),
        "least": (minimum(STEPS), hours(6)),
        "most": (maximum(STEPS * 2 + event.issues_found), days(2)),
        "latest": (last(STEPS), days(1)),
        "different": (distinct(STEPS), days(2)),
        "tones": (distinct(TONE), days(2)),
        "share": (rate(STEPS > 10), days(2), TONE.is_known()),
        "unknown": (count(), days(2), STEPS.is_null()),
        "median": (quantile(STEPS, "0.5", edges=(0, 10, 100)), days(2)),
    }
)

numbers = st.one_of(st.none(), st.integers(LOW, HIGH), st.sampled_from([LOW - 1, LOW, HIGH, HIGH + 1, 2**62, -(2**62)]))


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    found = []
    for number in range(draw(st.integers(1, 12))):
        at = ORIGIN + draw(st.integers(0, 3 * DAY))
        said = {
            STEPS_COLUMN: draw(numbers),
            TONE_COLUMN: draw(st.sampled_from([None, "dry", "warm"])),
            "issues_found": draw(st.integers(0, 9)),
        }
        project = draw(st.sampled_from([None, "p"]))
        found.append(Event(f"e{number}", at, at + draw(st.sampled_from([0, 0, HOUR, DAY])), project, values=said))
    return found


def expected(events: list[Event]) -> list[Any]:
    return rows(VIEW, events, start=ORIGIN - DAY, end=ORIGIN + 6 * DAY)


def streamed(events: list[tuple[int, str | None, str, dict[str, Any]]], instant: int) -> dict[str, Any]:
    compiled = fold(plan(VIEW))
    state = ViewState(compiled, instant)
    for at, project, event_id, row in events:
        contribution = compiled.contribution(at, project, *(row.get(name) for name in compiled.columns))
        if contribution is not None and at <= instant:
            for key in [VIEW.agent, *([f"{VIEW.agent}@{project}"] if project else [])]:
                state.add(key, at, event_id, contribution)
    return {key: state.values(key) for key in (VIEW.agent, f"{VIEW.agent}@p")}


@settings(max_examples=12)
@given(histories(), st.integers(0, 4 * DAY))
def test_batch_the_stream_and_an_exact_read_give_the_oracles_values(events: list[Event], moved: int) -> None:
    instant = ORIGIN + moved
    assert comparable(engine.compute(VIEW, event_table(VIEW, events), start=ORIGIN - DAY, end=ORIGIN + 6 * DAY)) == expected(events)
    past = [each for each in events if each.occurred_at <= instant]
    found = streamed([(each.occurred_at, each.project, each.event_id, each.row()) for each in past], instant)
    exact = values_at(VIEW, event_table(VIEW, events), instant)
    for key, own in {VIEW.agent: past, f"{VIEW.agent}@p": [each for each in past if each.project == "p"]}.items():
        wanted = values(VIEW, own, instant, as_served=False)
        assert tuple(found[key]) == tuple(wanted), key
        if own:
            assert tuple(exact[key]) == tuple(wanted), key


@given(st.lists(numbers, max_size=20))
def test_a_stored_value_outside_the_declared_range_is_unknown(stored: list[int | None]) -> None:
    """By hand, without the language's own arithmetic: what the range proves holds whatever somebody stored before it was narrowed."""
    events = [Event(f"e{number}", ORIGIN + number, ORIGIN + number, values={STEPS_COLUMN: each}) for number, each in enumerate(stored)]
    inside = [each for each in stored if each is not None and LOW <= each <= HIGH]
    found = streamed([(each.occurred_at, None, each.event_id, each.row()) for each in events], ORIGIN + DAY)[VIEW.agent]
    by_name = dict(zip((each.name for each in VIEW.features), found, strict=True))

    assert by_name["sum"] == sum(inside)
    assert by_name["unknown"] == len(stored) - len(inside)
    assert by_name["different"] == len(set(inside))


STORED: tuple[dict[str, Any] | None, ...] = (
    {"steps": 7, "tone": "warm"},
    {"steps": HIGH + 1, "tone": "dry"},  # stored when the range was wider
    {"steps": "seven", "tone": 3},  # stored when each was of the other kind
    {"steps": None},
    {"other": 1},
    {},
    None,
    {"steps": LOW, "tone": "warm"},
)


def as_read(stored: dict[str, Any] | None) -> dict[str, Any]:
    """What a reader of the log has to make of it."""
    steps, tone = (stored or {}).get("steps"), (stored or {}).get("tone")
    return {STEPS_COLUMN: steps if isinstance(steps, int) else None, TONE_COLUMN: tone if isinstance(tone, str) else None}


@pytest.fixture(scope="module")
def log(module_database: Settings) -> tuple[Settings, list[Event]]:
    partition_log(module_database)
    events = []
    for number, stored in enumerate(STORED):
        at = ORIGIN + number * HOUR
        events.append(Event(f"e{number}", at, at, "p" if number % 2 else None, values={**as_read(stored), "issues_found": number}))
        extra = {"extra": None if stored is None else json.dumps(stored), "issues_found": number}
        insert(module_database, [Event(f"e{number}", at, at, "p" if number % 2 else None, values=extra)])
    return module_database, events


def test_the_log_is_read_the_same_by_batch_parity_and_the_stream(log: tuple[Settings, list[Event]]) -> None:
    place, events = log
    columns = plan(VIEW).columns
    wanted = sorted((each.event_id, *(each.values.get(name) for name in columns)) for each in events)
    span = (ORIGIN - 1, ORIGIN + DAY)
    with connect_arrow(place) as connection:
        for table in (
            read_events(connection, VIEW.agent, columns, *span),
            read_known(connection, VIEW.agent, columns, *span, EVERYTHING),
        ):
            assert sorted(zip(*(table[name].to_pylist() for name in ("event_id", *columns)), strict=True)) == wanted
    import psycopg

    with psycopg.connect(place.postgres_dsn) as connection:
        polled = LogTail(columns, Snapshot(3)).poll(connection).rows
    assert sorted((row[FIXED.index("event_id")], *row[len(FIXED) :]) for row in polled) == wanted


def test_what_the_log_holds_comes_out_of_batch_as_the_oracle_says(log: tuple[Settings, list[Event]]) -> None:
    place, events = log
    compiled = plan(VIEW)
    end = ORIGIN + 6 * DAY
    with connect_arrow(place) as connection:
        table = read_events(connection, VIEW.agent, compiled.columns, ORIGIN - DAY - reach_back(compiled), end)
    assert comparable(engine.compute(VIEW, table, start=ORIGIN - DAY, end=end)) == expected(events)
