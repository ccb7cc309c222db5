"""The capacity model predicts what simulated histories really make, and its page says what it says."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"
END = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
FACTOR = 1.5
"""docs/scaling.md names it."""


@pytest.fixture(autouse=True)
def on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)


def test_the_pages_tables_are_the_models() -> None:
    import capacity

    page = capacity.PAGE.read_text(encoding="utf-8")
    assert page == capacity.with_tables(page)


@pytest.mark.parametrize(("events", "projects", "days"), [(8_000, 3, 60), (20_000, 100, 120)])
def test_rows_are_predicted(events: int, projects: int, days: int) -> None:
    """Of sizes, lengths and numbers of projects that the constants do not come from."""
    import capacity

    rows, agent_ids = simulated(events, projects, days)
    predicted = capacity.rows_of(capacity.Load(events, days, agent_ids), capacity.read_constants())
    assert rows / FACTOR < predicted < rows * FACTOR


def test_a_thousand_times_as_much_needs_more_of_everything_but_not_of_what_does_not_grow() -> None:
    import capacity

    of = capacity.read_constants()
    one, many = (capacity.needs(capacity.times(capacity.load_of(1_000), factor), of) for factor in (1, 1_000))
    assert many.rows == pytest.approx(1_000 * one.rows)
    assert many.log_gb == pytest.approx(1_000 * one.log_gb, rel=0.01)
    assert 34e6 / FACTOR < capacity.load_of(1_000).events < 34e6 * FACTOR
    assert [factor for factor, _ in capacity.breaks(capacity.load_of(1_000), of)] == sorted(
        factor for factor, _ in capacity.breaks(capacity.load_of(1_000), of)
    )


def test_what_ends_first_is_at_its_limit_there() -> None:
    import capacity

    of, load = capacity.read_constants(), capacity.load_of(1_000)
    for factor, limit in capacity.breaks(load, of):
        just = capacity.needs(capacity.times(load, factor), of)
        assert limit.of(just, of) == pytest.approx(limit.most(of), rel=0.02), limit.what


def simulated(events: int, projects: int, days: int) -> tuple[int, int]:
    """Return the rows that a simulated history has in all views, and its agent_ids."""
    import duckdb
    import peers

    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.simulation.simulator import simulate_table

    log, rows, agents = simulate_table(days=days, projects=projects, seed=7, end=END.date(), events=events), 0, 0
    last = int(END.timestamp()) // 3_600
    hour = "(epoch_us(occurred_at) + 3_599_999_999) // 3_600_000_000"
    for view in VIEWS:
        with duckdb.connect() as engine:
            engine.register("log", log)
            engine.execute(f"""
                CREATE TABLE cells AS SELECT DISTINCT agent_id, {hour} AS h FROM (
                    SELECT '{view.agent}' AS agent_id, occurred_at FROM log WHERE agent_type = '{view.agent}' UNION ALL
                    SELECT project, occurred_at FROM log WHERE agent_type = '{view.agent}' AND project IS NOT NULL
                )
            """)
            instants = peers.instants_sql(view, "(h + {0} - 1) // {0} * {0}")
            inside = f"h > {last - 24 * days} AND h <= {last}"
            query = f"SELECT count(*), (SELECT count(DISTINCT agent_id) FROM cells) FROM ({instants}) WHERE {inside}"
            found = engine.execute(query).fetchall()[0]
        rows, agents = rows + found[0], agents + found[1]
    return rows, agents


def test_sizes_that_tell_nothing_of_each_other_make_no_negative_needs() -> None:
    """A quick run's small backfill may take longer than its large one."""
    import json

    import capacity

    quick, stream = (json.loads((capacity.RESULTS / name).read_text(encoding="utf-8")) for name in ("side_by_side.json", "stream.json"))
    sizes = sorted(quick["windows"].values(), key=lambda size: float(size["events"]))
    sizes[0]["ways"]["ours"]["cpu_s"] = 2 * sizes[-1]["ways"]["ours"]["cpu_s"]
    found = capacity.needs(capacity.load_of(1_000), capacity.constants(quick, stream))
    assert found.backfill_core_hours > 0
