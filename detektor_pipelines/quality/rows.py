"""Checks of the published rows as such: unique, in bounds, none lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from detektor_pipelines import clock
from detektor_pipelines.compile.plan import plan
from detektor_pipelines.compile.sql import reach_back
from detektor_pipelines.engine.materialize import compute_days
from detektor_pipelines.errors import UserError
from detektor_pipelines.language.calendar import end_us, start_us
from detektor_pipelines.quality.findings import BOUNDS, SHOWN, SHRINK, UNIQUE, Finding, listed
from detektor_pipelines.quality.published import keys_of, repeated_rows, wrong_values
from detektor_pipelines.stores.connections import connect_arrow
from detektor_pipelines.stores.raw_log.reader import begin_snapshot, read_events

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime

    import psycopg

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.quality.findings import Case
    from detektor_pipelines.quality.published import DayFacts, DayState
    from detektor_pipelines.settings import Settings

_COMPARED: Final = 3
"""Days that are computed again to name the rows that are lost or left over: it takes a second each."""


def unique(connection: psycopg.Connection, view: FeatureView, facts: Mapping[date, DayFacts]) -> Finding:
    """Judge whether each version of a row is there once."""
    suspects = [day for day, each in facts.items() if each.repeated]
    cases = repeated_rows(connection, view, suspects) if suspects else []
    figures = {"rows": sum(each.rows for each in facts.values()), "days": len(facts)}
    if not cases:
        return Finding(UNIQUE.name, passed=True, summary="Each version of a row is there once.", severity="error", figures=figures)
    days = sorted({case["day"] for case in cases})
    return Finding(
        UNIQUE.name,
        passed=False,
        severity="error",
        summary=f"{_many(cases)} versions of rows are there twice, on {listed(days)}.",
        fix=f'Something else than `publish` wrote to feast."{view.name}__…", or its primary key is gone (\\d shows it). Delete one of each'
        " pair, restore the key, then materialize those days again.",
        cases=tuple(cases),
        figures=figures,
    )


def in_bounds(connection: psycopg.Connection, view: FeatureView, facts: Mapping[date, DayFacts]) -> Finding:
    """Judge the newest versions by the view's bounds."""
    days = sorted(day for day, each in facts.items() if each.wrong)
    wrong = sum(each.wrong for each in facts.values())
    figures = {"rows": sum(each.rows for each in facts.values()), "rows_out_of_bounds": wrong}
    if not days:
        return Finding(BOUNDS.name, passed=True, summary="All values are in bounds.", severity="error", figures=figures)
    return Finding(
        BOUNDS.name,
        passed=False,
        severity="error",
        summary=f"{wrong} published rows break a bound, on {listed(days)}.",
        fix="`detektor features explain` shows the events behind a value. If the log is right and the bound too narrow, correct `within` in"
        f" detektor_pipelines/catalog/{view.group}.py; if the rows are wrong, materialize those days again: rows of the log replace them.",
        cases=tuple(wrong_values(connection, view, days)),
        figures=figures,
    )


def not_shrunk(
    settings: Settings,
    connection: psycopg.Connection,
    view: FeatureView,
    states: Mapping[date, DayState],
    facts: Mapping[date, DayFacts],
) -> Finding:
    """Judge whether each day still has the rows it was recorded with, and no others."""
    held = {day: facts[day].rows if day in facts else 0 for day in states}
    differing = sorted(day for day, state in states.items() if held[day] != state.rows)
    figures = {"rows": sum(held.values()), "rows_recorded": sum(state.rows for state in states.values())}
    if not differing:
        return Finding(SHRINK.name, passed=True, summary="Each day has the rows it ever had.", severity="error", figures=figures)
    lost = [day for day in differing if held[day] < states[day].rows]
    left = [day for day in differing if held[day] > states[day].rows]
    said = [
        f"rows are gone from the table on {listed(lost)}" if lost else "",
        f"the newest computation lacks rows that were published before on {listed(left)}" if left else "",
    ]
    return Finding(
        SHRINK.name,
        passed=False,
        severity="error",
        summary="; ".join(each for each in said if each).capitalize() + ".",
        fix="Rows gone: restore them, or materialize those days again. Rows lacking: events were deleted from the log, or the clock"
        " (DETEKTOR_NOW) was set back. Restore the events or the clock, then materialize those days again.",
        cases=tuple(_differences(settings, connection, view, differing, states, held)),
        figures=figures,
    )


def _differences(
    settings: Settings,
    connection: psycopg.Connection,
    view: FeatureView,
    days: Sequence[date],
    states: Mapping[date, DayState],
    held: Mapping[date, int],
) -> list[Case]:
    """Name the rows of the first days, and the counts of all."""
    cases: list[Case] = []
    for position, day in enumerate(days[:SHOWN]):
        counts = {"day": str(day), "recorded": str(states[day].rows), "held": str(held[day])}
        rows = _rows(settings, view, day, states[day].published_at, keys_of(connection, view, day)) if position < _COMPARED else []
        cases += [counts | row for row in rows] or [counts | {"agent_id": "", "event_timestamp": "", "what": "not compared row by row"}]
    return cases[:SHOWN]


def _rows(settings: Settings, view: FeatureView, day: date, cutoff: datetime, held: set[tuple[str, datetime]]) -> list[dict[str, str]]:
    with connect_arrow(settings) as arrow:
        begin_snapshot(arrow)
        compiled = plan(view)
        until = min(end_us(day), clock.to_us(cutoff))
        try:
            events = read_events(arrow, view.agent, compiled.columns, start_us(day) - reach_back(compiled), until)
        except UserError:  # events of then went by retention
            return []
    computed = compute_days(view, events, [day], cutoff=clock.to_us(cutoff))
    keys = set(zip(computed["agent_id"].to_pylist(), computed["event_timestamp"].to_pylist(), strict=True))
    whats = dict.fromkeys(keys - held, "computed, but gone from the table") | dict.fromkeys(
        held - keys, "in the table, but no longer computed"
    )
    return [
        {"agent_id": agent, "event_timestamp": f"{at:%Y-%m-%d %H:%M:%S}", "what": whats[agent, at]}
        for agent, at in sorted(whats, key=lambda key: (key[1], key[0]))
    ]


def _many(cases: Sequence[Case]) -> str:
    return f"{len(cases)} or more" if len(cases) == SHOWN else str(len(cases))
