"""One value, four ways to it, equal to the bit: served live, in a training set, in the offline row of its instant, computed again.

A live run is recorded: events come while a worker runs, some late and some read better afterwards, and at each stop of the clock what a
reader gets is written down. When all is over, a training set is made with a decision a microsecond after each of those moments.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from support.log_rows import partition_log

from detektor_pipelines import clock
from detektor_pipelines.catalog import view_named
from detektor_pipelines.clock import parse_instant
from detektor_pipelines.engine.as_of import read_values
from detektor_pipelines.engine.explain import read_row
from detektor_pipelines.engine.materialize import materialize
from detektor_pipelines.ingest.live.writer import LiveWriter
from detektor_pipelines.language.records import AgentEvent
from detektor_pipelines.language.windows import HOUR, MINUTE, SECOND
from detektor_pipelines.stores.connections import connect_arrow
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.stream.worker import Worker
from detektor_pipelines.training.sets import training_set

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings
    from detektor_pipelines.training.sets import TrainingSet

VIEW = view_named("code-reviewer")
CODER = view_named("detektor-coder")
KEYS = ("code-reviewer", "code-reviewer@p", "code-reviewer@q")
CODER_OF = {key: key.replace("code-reviewer", "detektor-coder") for key in KEYS}
START = parse_instant("2026-03-05T08:00:00Z")
HOURS = 30


@dataclass(frozen=True)
class Served:
    """What a reader got of an agent_id at an instant (µs UTC)."""

    agent_id: str
    at: int
    values: dict[str, Any]


@dataclass
class Run:
    """A live run, and what was served in it."""

    settings: Settings
    reviews: list[Served]
    codings: list[Served]


def review(number: int, at: int, chance: random.Random) -> AgentEvent:
    measures = {"issues_found": chance.randrange(12), "duration_ms": chance.randrange(1, 4_000_000), "review_round": chance.randrange(1, 4)}
    categories = {"verdict": chance.choice(("approved", "rejected"))}
    project, task = chance.choice(("p", "q")), f"t{chance.randrange(8)}"
    fields: dict[str, Any] = {"project": project, "task_id": task, "measures": measures, "categories": categories}
    return AgentEvent(f"r{number}", VIEW.agent, VIEW.agent, "review", at, "hook", **fields)


def implementation(number: int, at: int, chance: random.Random) -> AgentEvent:
    measures = {"lines_added": chance.randrange(900), "duration_ms": chance.randrange(1, 4_000_000), "review_round": chance.randrange(1, 4)}
    categories = {"outcome": chance.choice(("success", "failure"))}
    fields: dict[str, Any] = {
        "project": chance.choice(("p", "q")),
        "task_id": f"u{number % 9}",
        "measures": measures,
        "categories": categories,
    }
    return AgentEvent(f"i{number}", CODER.agent, CODER.agent, "implement", at, "hook", **fields)


@pytest.fixture
def run(servers: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Record thirty hours: the clock stops at every full hour and twice in between."""
    partition_log(servers)
    chance, recorded, number = random.Random(11), Run(servers, [], []), 0
    stops = sorted(START + hour * HOUR + offset for hour in range(HOURS) for offset in (0, chance.randrange(HOUR), chance.randrange(HOUR)))
    written: list[AgentEvent] = []
    monkeypatch.setenv("DETEKTOR_NOW", clock.to_text(START - MINUTE))
    worker, client = Worker(servers, [VIEW, CODER]), online.redis_client(servers)
    try:
        for before, stop in pairwise([START - MINUTE, *stops]):
            for at in sorted({max(each, before + 1) for each in (stop - chance.randrange(1, 20 * MINUTE), stop - SECOND, stop)}):
                number += 1
                monkeypatch.setenv("DETEKTOR_NOW", clock.to_text(at))
                happened = at - chance.choice((0, 0, 0, SECOND, 5 * HOUR))
                event = review(number, happened, chance) if chance.random() < 0.6 else implementation(number, happened, chance)
                if written and chance.random() < 0.15:
                    fuller = written.pop(chance.randrange(len(written)))
                    event = replace(fuller, measures={**fuller.measures, "issues_critical": 1, "tool_errors": 3})
                elif event.operation == "review" and chance.random() < 0.3:
                    written.append(event)
                with LiveWriter(servers) as writer:
                    writer.write([event])
            for _ in range(3):
                worker.tick()
            for view, keys, into in ((VIEW, KEYS, recorded.reviews), (CODER, CODER_OF.values(), recorded.codings)):
                rows = online.read(client, servers.project, view, list(keys))
                into += [Served(row.agent_id, stop, dict(row.values)) for row in rows if row is not None]
    finally:
        worker.close()
        client.close()
    monkeypatch.setenv("DETEKTOR_NOW", clock.to_text(START + 3 * 24 * HOUR))
    return recorded


def decided_after(settings: Settings, served: list[Served], features: list[str] | None = None) -> TrainingSet:
    """Return a set with a decision of the code-reviewer a microsecond after each moment."""
    instants = pa.array([each.at + 1 for each in served], pa.int64()).cast(pa.timestamp("us", "UTC"))
    agents = [each.agent_id.replace(CODER.agent, VIEW.agent) for each in served]
    table = pa.table({"agent_id": agents, "decided_at": instants, "label": [True] * len(served)})
    return training_set(settings, agent=VIEW.agent, label=table, features=features)


def exact(values: dict[str, Any]) -> dict[str, str]:
    return {name: repr(clock.to_us(value) if hasattr(value, "tzinfo") else value) for name, value in values.items()}


def in_set(made: TrainingSet) -> dict[tuple[str, int], dict[str, str]]:
    names = [each.rpartition(":")[2] for each in made.references]
    return {
        (row["agent_id"], clock.to_us(row["decided_at"]) - 1): exact(
            {name: row[column] for name, column in zip(names, made.feature_columns, strict=True)}
        )
        for row in made.table.to_pylist()
    }


@pytest.mark.slow
def test_what_was_served_is_in_the_set_in_the_row_and_in_the_log(run: Run) -> None:
    found = in_set(decided_after(run.settings, run.reviews))
    assert len(found) == len(run.reviews) > 200
    assert {(each.agent_id, each.at): exact(each.values) for each in run.reviews} == found
    days = sorted({clock.from_us(each.at - 1).date() for each in run.reviews})
    materialize(run.settings, VIEW, days)
    names = [each.name for each in VIEW.features]
    hourly = 0
    with connect_arrow(run.settings) as connection:
        for at in sorted({each.at for each in run.reviews})[::4]:
            again = read_values(connection, VIEW, at, known=at)
            of_then = {agent_id: exact(dict(zip(names, values, strict=True))) for agent_id, values in again.items()}
            assert of_then == {agent_id: values for (agent_id, instant), values in found.items() if instant == at}
        for each in [each for each in run.reviews if each.at % HOUR == 0]:
            row = read_row(connection, VIEW, each.agent_id, clock.from_us(each.at))
            assert row is not None
            assert exact({name: row.values[name] for name in names}) == found[each.agent_id, each.at]
            hourly += clock.to_us(row.event_timestamp) == each.at
    assert hourly > 60  # rows of the very instant, not older ones that still hold
    _another_agents_features_are_what_was_served_of_that_agent(run)


def _another_agents_features_are_what_was_served_of_that_agent(run: Run) -> None:
    served = {(each.agent_id.replace(CODER.agent, VIEW.agent), each.at): exact(each.values) for each in run.codings}
    assert len(served) > 200
    assert in_set(decided_after(run.settings, run.codings, [CODER.name])) == served
