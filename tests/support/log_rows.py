"""Puts the engine tests' events into the raw log as they are: revisions, knowledge and all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from detektor_pipelines import clock
from detektor_pipelines.stores.connections import connect

if TYPE_CHECKING:
    from collections.abc import Iterable

    from detektor_pipelines.settings import Settings
    from support.oracle import Event

FIXED = (
    "event_id",
    "revision",
    "agent_type",
    "raw_name",
    "project",
    "occurred_at",
    "known_at",
    "ingested_at",
    "derived",
    "simulated",
    "retracted",
)


def partition_log(settings: Settings) -> None:
    """One partition for all time: the tests' instants need no months."""
    with connect(settings) as connection:
        connection.execute("CREATE TABLE ml_learning.agent_events_all PARTITION OF ml_learning.agent_events DEFAULT")


def clear(settings: Settings, *tables: str) -> None:
    """Empty the log, the partition state and the named tables."""
    with connect(settings) as connection:
        connection.execute(f"TRUNCATE ml_learning.agent_events, ml_learning.partition_state{''.join(f', {each}' for each in tables)}")


def insert(settings: Settings, events: Iterable[Event], agent: str = "code-reviewer") -> None:
    """Append events in one transaction, as `oracle.resolved` has not seen them: one that is not live is retracted."""
    with connect(settings) as connection, connection.cursor() as cursor:
        for event in events:
            instants = clock.from_us(event.occurred_at), clock.from_us(event.known_at)
            row = dict(
                zip(
                    FIXED,
                    (event.event_id, event.revision, agent, agent, event.project, *instants, instants[1], False, False, not event.live),
                    strict=True,
                )
            )
            row |= {"source": "test", "reader_revision": 1, **event.values}
            row.setdefault("operation", "review")
            marks = ", ".join(f"%({name})s" for name in row)
            cursor.execute(f"INSERT INTO ml_learning.agent_events ({', '.join(row)}) VALUES ({marks})", row)
