"""Rule 7: simulated and real events do not share a database unless somebody asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from detektor_pipelines.clock import parse_instant
from detektor_pipelines.errors import UserError
from detektor_pipelines.language.records import AgentEvent
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.raw_log.bulk import IngestCounts, append

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings


def event(*, simulated: bool) -> AgentEvent:
    at = parse_instant("2026-03-05 10:00")
    return AgentEvent(f"simulated {simulated}", "code-reviewer", "reviewer", "review", at, "test", simulated=simulated)


@pytest.mark.parametrize("first", [True, False], ids=["simulated first", "real first"])
def test_07_simulated_and_real_are_refused_beside_each_other(database: Settings, *, first: bool) -> None:
    append(database, [event(simulated=first)])
    with pytest.raises(UserError) as caught:
        append(database, [event(simulated=not first)])

    assert "--mix" in str(caught.value)
    with connect(database) as connection:
        assert connection.execute("SELECT simulated FROM ml_learning.agent_events").fetchall() == [(first,)]


def test_07_they_mix_when_asked_to(database: Settings) -> None:
    append(database, [event(simulated=False)])

    assert append(database, [event(simulated=True)], mix=True) == IngestCounts(added=1)
