"""What is kept of an erasure: when, how much of what, and a keyed hash in the place of the name. And what is left to do after a crash."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines import clock
from detektor_pipelines.stores.raw_log.erased import digest

if TYPE_CHECKING:
    import psycopg

    from detektor_pipelines.erasure.subject import Subject

_KEY: Final = "SELECT key FROM ml_learning.erasure_key"
_OPEN: Final = "SELECT id, requested_at, todo, removed FROM ml_learning.erasures WHERE kind = %s AND digest = %s AND finished_at IS NULL"
_BEGIN: Final = """
INSERT INTO ml_learning.erasures (kind, digest, until, requested_at) VALUES (%s, %s, %s, %s)
ON CONFLICT (kind, digest) WHERE finished_at IS NULL DO NOTHING
"""
_NUMBER: Final = """
UPDATE ml_learning.erasures SET xid = (pg_current_xact_id()::text::bigint + (SELECT shift FROM ml_learning.log_cluster))::text::xid8
WHERE id = %s
"""


@dataclass
class Record:
    """One erasure. `removed`: how many of what went, by store; `todo`: agent_ids and days by view to compute again."""

    id: int
    requested_at: str
    todo: dict[str, Any] = field(default_factory=dict)
    removed: dict[str, int] = field(default_factory=dict)

    def went(self, what: str, number: int) -> None:
        """Add what a step removed; a step that is done again adds what it still found."""
        if number:
            self.removed[what] = self.removed.get(what, 0) + number

    def number(self, connection: psycopg.Connection) -> None:
        """Say that the transaction under way removes events: no run that does not see it publishes any more."""
        connection.execute(_NUMBER, (self.id,))

    def save(self, connection: psycopg.Connection) -> None:
        """Keep what was done and what is left."""
        connection.execute(
            "UPDATE ml_learning.erasures SET todo = %s, removed = %s WHERE id = %s",
            (json.dumps(self.todo), json.dumps(self.removed), self.id),
        )

    def finish(self, connection: psycopg.Connection) -> None:
        """Say that it is done; which agent_ids and days there were is forgotten too."""
        self.todo = {}
        self.save(connection)
        connection.execute("UPDATE ml_learning.erasures SET finished_at = %s WHERE id = %s", (clock.from_us(clock.now_us()), self.id))


def begin(connection: psycopg.Connection, subject: Subject) -> Record:
    """Begin an erasure, or go on with one of the same that was interrupted. From the commit on nothing of it is taken in."""
    known = digest_of(connection, subject)
    now = clock.from_us(clock.now_us())
    connection.execute(_BEGIN, (subject.kind, known, now if subject.stays_at_work else None, now))
    row = connection.execute(_OPEN, (subject.kind, known)).fetchone()
    if row is None:
        message = "the erasure that was just begun is gone"
        raise RuntimeError(message)
    return Record(row[0], row[1].isoformat(), row[2], row[3])


def is_open(connection: psycopg.Connection, subject: Subject) -> bool:
    """Whether an erasure of the same was interrupted."""
    return connection.execute(_OPEN, (subject.kind, digest_of(connection, subject))).fetchone() is not None


def digest_of(connection: psycopg.Connection, subject: Subject) -> str:
    """Return the keyed hash of its name."""
    row = connection.execute(_KEY).fetchone()
    if row is None:
        message = "ml_learning.erasure_key is empty"
        raise RuntimeError(message)
    return digest(str(row[0]), subject.kind, subject.name)
