"""Rule 2: instants are int64 µs UTC, measures are int64, and ingest rejects a measure outside its range."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.log_rows import insert
from support.oracle import Event

from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.clock import from_us, parse_instant, to_us
from detektor_pipelines.compile.plan import plan
from detektor_pipelines.engine.compute import event_schema
from detektor_pipelines.ingest.run import ingest
from detektor_pipelines.language.events import MEASURES
from detektor_pipelines.stores.connections import connect, connect_arrow
from detektor_pipelines.stores.raw_log.reader import read_events

if TYPE_CHECKING:
    from pathlib import Path

    from detektor_pipelines.language.events import Measure
    from detektor_pipelines.settings import Settings

INSTANTS = (parse_instant("2026-03-05 10:00:00.000001"), parse_instant("2026-12-31 23:59:59.999999"), parse_instant("2026-03-29 01:30"))


def test_02_every_microsecond_comes_back_from_the_log(log: Settings) -> None:
    insert(log, [Event(str(at), at, at) for at in INSTANTS])
    with connect_arrow(log) as connection:
        table = read_events(connection, "code-reviewer", plan(VIEWS[0]).columns, 0, 2**52)

    assert sorted(table["ts"].to_pylist()) == sorted(INSTANTS)
    assert table["ts"].to_pylist() == table["known"].to_pylist() == [int(text) for text in table["event_id"].to_pylist()]


@pytest.mark.parametrize("instant", INSTANTS)
def test_02_instants_convert_exactly(instant: int) -> None:
    assert to_us(from_us(instant)) == instant


def test_02_the_engine_takes_integers_alone() -> None:
    for view in VIEWS:
        schema = event_schema(view)
        assert {str(schema.field(name).type) for name in ("ts", "known")} == {"int64"}
        assert {str(schema.field(name).type) for name in schema.names if name in MEASURES} <= {"int64"}


@pytest.mark.parametrize("measure", [MEASURES["issues_found"], MEASURES["review_round"]], ids=lambda measure: measure.name)
def test_02_ingest_rejects_what_is_outside_the_range(database: Settings, tmp_path: Path, measure: Measure) -> None:
    values = (measure.minimum - 1, measure.minimum, measure.maximum, measure.maximum + 1)
    lines = [
        {"agent": "reviewer", "operation": "review", "occurred_at": "2026-03-05T10:00:00Z", "event_id": f"e{value}", measure.name: value}
        for value in values
    ]
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    report = ingest(database, [path])
    with connect(database) as connection:
        kept = connection.execute(f"SELECT {measure.name} FROM ml_learning.agent_events ORDER BY 1").fetchall()

    assert [value for (value,) in kept] == [measure.minimum, measure.maximum]
    assert report.rejected == {
        f"{measure.name} is below its minimum {measure.minimum}": 1,
        f"{measure.name} is above its maximum {measure.maximum}": 1,
    }
