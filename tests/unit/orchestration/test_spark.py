"""What passes between Dagster and Spark's process, and what is said where there is none."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from detektor_pipelines.engine.materialize import DayResult, Materialization
from detektor_pipelines.errors import UserError
from detektor_pipelines.settings import Settings

NOON = datetime(2026, 5, 1, 12, 0, 0, 7, tzinfo=UTC)


def test_a_part_is_what_it_was_on_the_other_side() -> None:
    from detektor_pipelines.orchestration.spark import as_data, part_of

    case = {"agent_id": "a", "event_timestamp": "2026-05-01T12:00:00+00:00", "column": "x", "check": "at most 1", "value": 2.5}
    part = Materialization(
        (
            DayResult(date(2026, 5, 1), "published", 3, "abc", 3, {"x": 0.1, "y": 0.0}, None, 7, (NOON, NOON)),
            DayResult(date(2026, 5, 2), "failed", 1, "def", 0, None, [case]),
            DayResult(date(2026, 5, 3), "kept", 1, "0", 0, None),
        ),
        "3:4:",
        7,
        (NOON, NOON),
        1.5,
    )
    assert part_of(json.loads(json.dumps(as_data(part)))) == part
    empty = Materialization((), "", 0, None, 0.0)
    assert part_of(as_data(empty)) == empty


def test_an_environment_that_is_not_there_is_named() -> None:
    from detektor_pipelines.orchestration.spark import interpreter

    with pytest.raises(UserError) as caught:
        interpreter(Settings(spark_python=Path("/nowhere/python")))
    assert caught.value.where == "/nowhere/python"
    assert "make spark" in (caught.value.fix or "")


@pytest.mark.parametrize(("words", "said"), [(["flink"], "There is no engine flink."), (["spark"], "There is no environment with Spark.")])
def test_the_command_refuses_before_it_asks_a_server(monkeypatch: pytest.MonkeyPatch, words: list[str], said: str) -> None:
    from detektor_pipelines.cli import build_app

    monkeypatch.setenv("DETEKTOR_SPARK_PYTHON", "/nowhere/python")
    result = CliRunner().invoke(build_app(), ["backfill", "--engine", *words])
    assert isinstance(result.exception, UserError)
    assert result.exception.what == said
