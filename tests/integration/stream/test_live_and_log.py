"""What was served live, and what the log says of that moment afterwards: the same number, to the bit.

The rows of the offline store do not say it: they have the full hours only.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.examples import examples
from support.log_rows import clear, partition_log

from detektor_pipelines import clock
from detektor_pipelines.catalog import view_named
from detektor_pipelines.clock import parse_instant
from detektor_pipelines.engine.as_of import read_values, values_of_nothing
from detektor_pipelines.engine.explain import read_row
from detektor_pipelines.engine.materialize import materialize
from detektor_pipelines.ingest.live.writer import LiveWriter
from detektor_pipelines.language.records import AgentEvent
from detektor_pipelines.language.windows import DAY, HOUR, MINUTE, SECOND
from detektor_pipelines.stores.connections import connect_arrow
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.stream.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redis import Redis

    from detektor_pipelines.settings import Settings

VIEW = view_named("code-reviewer")
KEYS = [VIEW.agent, f"{VIEW.agent}@p", f"{VIEW.agent}@q"]
START = parse_instant("2026-03-05T10:00:00Z")
STEPS = st.lists(
    st.tuples(
        st.sampled_from(("review", "fuller", "nothing", "late")),
        st.one_of(st.integers(1, 20 * MINUTE), st.sampled_from((SECOND, HOUR, DAY))),
        st.sampled_from(("p", "q", None)),
        st.integers(0, 40),
        st.sampled_from(("approved", "rejected")),
    ),
    min_size=3,
    max_size=20,
)


@pytest.fixture
def stack(servers: Settings) -> Settings:
    partition_log(servers)
    return servers


@pytest.fixture
def client(stack: Settings) -> Iterator[Redis]:
    client = online.redis_client(stack)
    yield client
    client.close()


def review(number: int, at: int, project: str | None, **fields: Any) -> AgentEvent:
    measures = {name: value for name, value in fields.items() if isinstance(value, int)}
    categories = {name: value for name, value in fields.items() if isinstance(value, str)}
    return AgentEvent(f"e{number}", VIEW.agent, VIEW.agent, "review", at, "hook", project=project, measures=measures, categories=categories)


@pytest.mark.slow
@settings(
    max_examples=examples(5), deadline=None, suppress_health_check=list(HealthCheck), phases=(Phase.explicit, Phase.reuse, Phase.generate)
)
@given(STEPS)
def test_whatever_was_served_the_log_says_the_same_of_that_moment(
    stack: Settings, client: Redis, monkeypatch: pytest.MonkeyPatch, steps: list[tuple[str, int, str | None, int, str]]
) -> None:
    """Live events, fuller records of them and late ones; every value that stood online is computed again when all is over."""
    clear(stack, "ml_learning.event_ids")
    client.flushall()
    now, written, served = START, [], []
    monkeypatch.setenv("DETEKTOR_NOW", clock.to_text(now))
    worker = Worker(stack, [VIEW])
    try:
        for number, (what, amount, project, issues, verdict) in enumerate(steps):
            now += amount
            monkeypatch.setenv("DETEKTOR_NOW", clock.to_text(now))
            with LiveWriter(stack) as writer:
                if what == "review":
                    written.append(review(number, now - SECOND, project, issues_found=issues))
                    writer.write([written[-1]])
                elif what == "fuller" and written:
                    whole = written.pop(issues % len(written))
                    writer.write([replace(whole, categories={"verdict": verdict}, measures={**whole.measures, "duration_ms": issues})])
                elif what == "late":
                    writer.write([review(number, now - 3 * HOUR - issues * MINUTE, project, issues_found=issues, verdict=verdict)])
            for _ in range(3):
                worker.tick()
            served += [row for row in online.read(client, stack.project, VIEW, KEYS) if row is not None]
    finally:
        worker.close()
    names = [each.name for each in VIEW.features]
    with connect_arrow(stack) as connection:
        for row in {(row.agent_id, row.as_of): row for row in served}.values():
            found = read_values(connection, VIEW, row.as_of, known=row.as_of).get(row.agent_id, values_of_nothing(VIEW))
            assert dict(zip(names, map(repr, found), strict=True)) == {name: repr(row.values[name]) for name in names}, row.agent_id


def test_the_hours_row_says_less_than_what_was_served_at_a_label_inside_it(
    stack: Settings, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = [review(number, START + minute * MINUTE, "p", issues_found=number) for number, minute in enumerate((0, 12, 31, 55))]
    label = START + 40 * MINUTE
    worker = None
    for event in events:
        monkeypatch.setenv("DETEKTOR_NOW", clock.to_text(event.occurred_at))
        with LiveWriter(stack) as writer:
            writer.write([event])
        if event is events[2]:
            monkeypatch.setenv("DETEKTOR_NOW", clock.to_text(label))
            worker = Worker(stack, [VIEW])
            for _ in range(3):
                worker.tick()
            worker.close()
            (live,) = online.read(client, stack.project, VIEW, [VIEW.agent])
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-06T00:30:00Z")
    materialize(stack, VIEW, [clock.from_us(START).date()])
    with connect_arrow(stack) as connection:
        row = read_row(connection, VIEW, VIEW.agent, clock.from_us(label))
        exact = dict(zip((each.name for each in VIEW.features), read_values(connection, VIEW, label, known=label)[VIEW.agent], strict=True))

    assert worker is not None
    assert live is not None
    assert row is not None
    assert (row.values["recent_reviews_count"], live.values["recent_reviews_count"]) == (1, 3)
    assert {name: repr(value) for name, value in exact.items()} == {name: repr(live.values[name]) for name in exact}
