"""The page of ours beside the others says what the run's JSON says, and DuckDB by hand computes what the engine computes."""

from __future__ import annotations

import datetime as dt
import json
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"


@pytest.fixture(autouse=True)
def on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)


def run() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((BENCHMARKS / "results/side_by_side.json").read_text(encoding="utf-8"))
    return found


def test_the_page_is_made_of_the_figures() -> None:
    import performance_page

    assert performance_page.PAGE.read_text(encoding="utf-8") == performance_page.page(run())


def test_the_page_says_where_ours_is_slower() -> None:
    import performance_page

    figures = run()
    (size,) = [each for each in figures["windows"].values() if each["events"] == min(e["events"] for e in figures["windows"].values())]
    size["ways"]["duckdb"] = {name: value / 2 for name, value in size["ways"]["ours"].items()}
    text = performance_page.page(figures)
    assert f"{size['events']:,} events, wall time: ours takes more than others, by these factors: " in text
    assert "duckdb 2.0" in text


def test_duckdb_by_hand_computes_what_the_engine_computes() -> None:
    import duckdb
    import duckdb_peer
    from pandas_peer import differences

    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.compile.plan import plan
    from detektor_pipelines.engine.compute import compute, event_schema
    from detektor_pipelines.simulation.simulator import simulate_table

    end = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
    start = end - dt.timedelta(days=40)
    log = simulate_table(days=40, projects=2, seed=1, end=end.date(), events=4_000)
    view = VIEWS[0]
    with duckdb.connect() as engine:
        engine.execute("SET TimeZone = 'UTC'")
        engine.register("log", log)
        columns = ", ".join(["occurred_at", "event_id", "project", *plan(view).columns])
        events = engine.sql(f"SELECT {columns} FROM log WHERE agent_type = '{view.agent}'").to_arrow_table()
        engine.register("events", events)
        theirs = engine.sql(duckdb_peer.query(view, start, end)).to_arrow_table()
    instants = events["occurred_at"].cast(pa.int64())
    fields = {"ts": instants, "known": instants, "until": pa.nulls(len(events), pa.int64()), "live": pa.array([True] * len(events))}
    wanted = event_schema(view)
    given = pa.table({name: fields[name] if name in fields else events[name] for name in wanted.names}).cast(wanted)
    bounds = (int(start.timestamp()) * 1_000_000, int(end.timestamp()) * 1_000_000)
    ours = compute(view, given, start=bounds[0], end=bounds[1])
    assert len(ours) > 150
    assert differences(ours.to_pandas(), theirs.to_pandas())[0] == 0
