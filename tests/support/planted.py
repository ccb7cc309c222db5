"""Wrong values in Redis, planted by hand: what tests of parity share."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any, Self

from detektor_pipelines import clock
from detektor_pipelines.engine.materialize import materialize
from detektor_pipelines.engine.online import publish_online
from detektor_pipelines.language import count, days
from detektor_pipelines.quality.parity.check import Mismatch, check
from detektor_pipelines.stores.online import read_log
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.stores.online.packing import pack, unpack
from detektor_pipelines.stream.worker import Worker
from support.rule_views import AGENT, happened, view_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

    from detektor_pipelines.settings import Settings
    from support.oracle import Event

VIEW = view_of(day=(count(), days(1)), week=(count(), days(7)))
KEY = f"{AGENT}@p"
LAYOUT = online.stored_view(VIEW).layout


def at(monkeypatch: pytest.MonkeyPatch, instant: str) -> None:
    """Stop the clock at an instant."""
    monkeypatch.setenv("DETEKTOR_NOW", instant)


def reviews(event_id: str, occurred: str, *, known: str | None = None, project: str | None = None) -> list[Event]:
    """One review."""
    return [happened(occurred, event_id=event_id, known=known, project=project)]


def states(settings: Settings, view: Any = VIEW, **options: Any) -> dict[str, int]:
    """How many agent_ids are in each state."""
    counts: Counter[str] = Counter()
    for each in check(settings, [view], **options):
        counts.update(each.states)
    return dict(counts)


class Planting:
    """A worker that is ticked by hand, and a hand in Redis. `KEY` is what is tampered with."""

    def __init__(self, settings: Settings, monkeypatch: pytest.MonkeyPatch, view: Any = VIEW) -> None:
        self.settings, self.view = settings, view
        self._monkeypatch = monkeypatch
        self._worker = Worker(settings, [view])
        self.client = online.redis_client(settings)
        self._kept: dict[str, dict[str, bytes | None]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.close()
        self.client.close()

    def tick(self) -> None:
        """Let the worker come to rest."""
        for _ in range(4):
            self._worker._moved = 0
            self._worker.tick()

    def key(self, agent_id: str = KEY) -> str:
        return online.value_key(self.settings.project, self.view, agent_id)

    def keep(self, name: str) -> None:
        """Remember what stands online."""
        ids = online.agent_ids(self.client, self.settings.project, self.view, 10_000)
        self._kept[name] = {agent_id: self.client.get(self.key(agent_id)) for agent_id in ids}

    def kept(self, name: str) -> dict[str, bytes | None]:
        """What `keep` remembered."""
        return self._kept[name]

    def put_back(self, name: str, agent_id: str = KEY) -> None:
        """Put an agent_id's value of then back: what is online has forgotten what came after."""
        self.client.set(self.key(agent_id), self._kept[name][agent_id])

    def plant(self, agent_id: str = KEY, **changes: Any) -> None:
        """Change features and stamps of a value."""
        layout = online.stored_view(self.view).layout
        row = unpack(layout, self.client.get(self.key(agent_id)))
        stamps = {name: changes.pop(name) for name in ("as_of", "snapshot", "epoch", "writer") if name in changes}
        self.client.set(self.key(agent_id), pack(layout, replace(row, values=row.values | changes, **stamps)))

    def remove(self, agent_id: str = KEY) -> None:
        """Delete a value, as an eviction does."""
        self.client.delete(self.key(agent_id))

    def empty_redis(self) -> None:
        self.client.flushall()

    def move(self, instant: int) -> None:
        """Move `valid_through` of all shards."""
        online.move_valid_through(self.client, self.settings.project, self.view, instant)

    @contextmanager
    def moving(self) -> Iterator[None]:
        """Have `valid_through` of all shards move on from the clock's instant, as a worker does that has nothing to write."""
        ended, instant = threading.Event(), clock.now_us()

        def move() -> None:
            moved = 0
            while not ended.wait(0.01):
                moved += 1
                self.move(instant + moved)

        mover = threading.Thread(target=move)
        mover.start()
        try:
            yield
        finally:
            ended.set()
            mover.join()

    def remember_read(self, agent_id: str = KEY) -> None:
        """Keep a read as the servers do."""
        packed = self.client.get(self.key(agent_id))
        for command in read_log.commands(self.settings.project, [(online.stored_view(self.view).version, agent_id, packed)]):
            self.client.execute_command(*command)

    def publish(self, *published: str) -> None:
        """Publish days offline and online."""
        materialize(self.settings, self.view, [date.fromisoformat(day) for day in published])
        publish_online(self.settings, self.view)

    def states(self) -> dict[str, int]:
        return states(self.settings, self.view)

    def errors(self) -> list[Mismatch]:
        (found,) = check(self.settings, [self.view])
        assert found.errors == len({each.agent_id for each in found.mismatches})
        return found.mismatches
