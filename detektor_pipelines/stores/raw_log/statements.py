"""The statements by which events come into the raw log: one text each, for both transports.

Belongs here: SQL that writes, and what of it decides which record counts; no connection. A statement reads its input from a relation of a
fixed name, and who executes it gives it one: `stores.raw_log.chunk` temporary tables that are filled by COPY, `stores.raw_log.live` common
table expressions over parameters.

    incoming   event_id, revision, body_hash, occurred_at     identities of records that may be new
    differing  event_id                                       events that are stored with another body
    revised    event_id, revision, body_hash, occurred_at     identities of the revisions that count from now on
    refused    source, line, reason, excerpt, event_id, rejected_at
"""

from __future__ import annotations

from typing import Final

from detektor_pipelines.errors import UserError
from detektor_pipelines.stores.raw_log.table import COLUMNS, JSON

SCHEMA: Final = "ml_learning"

CLAIM_IDENTITIES: Final = """
INSERT INTO ml_learning.event_ids (event_id, revision, body_hash, occurred_at)
SELECT event_id, revision, body_hash, occurred_at FROM incoming ORDER BY event_id
ON CONFLICT DO NOTHING
"""
"""Enter what is new; the primary key decides between concurrent writers. In its order: they wait for each other and do not deadlock."""

LOCK_DIFFERING: Final = """
SELECT event_id FROM ml_learning.event_ids WHERE event_id IN (SELECT event_id FROM differing) ORDER BY event_id FOR UPDATE
"""
"""Hold the events whose records are compared, so that nobody revises them meanwhile."""

SELECT_STORED: Final = f"""
SELECT {", ".join(f"event.{name}::text AS {name}" if name in JSON else f"event.{name}" for name in COLUMNS)}
FROM differing
JOIN ml_learning.event_ids AS identity USING (event_id)
JOIN ml_learning.agent_events AS event
  ON event.event_id = identity.event_id AND event.revision = identity.revision AND event.occurred_at = identity.occurred_at
"""
"""The revision that counts of each event, COLUMNS in their order."""

UPDATE_IDENTITIES: Final = """
UPDATE ml_learning.event_ids AS identity
SET revision = revised.revision, body_hash = revised.body_hash, occurred_at = revised.occurred_at
FROM revised WHERE identity.event_id = revised.event_id
"""

KEEP_REJECTIONS: Final = """
INSERT INTO ml_learning.rejected_events (source, line, reason, excerpt, event_id, rejected_at, fingerprint)
SELECT source, line, reason, excerpt, event_id, rejected_at,
    md5(jsonb_build_array(source, line, CASE WHEN line IS NOT NULL OR event_id IS NULL THEN reason END, event_id, excerpt)::text)::uuid
FROM refused ORDER BY source, line
ON CONFLICT DO NOTHING
"""
"""Each rejection once, however often it is read. A conflict (an event_id without a line) is known by its record alone: its reason tells of
the stored one, which may change."""

SELECT_ORIGIN: Final = "SELECT simulated, mixed FROM ml_learning.log_origin"
MIX_ORIGINS: Final = "UPDATE ml_learning.log_origin SET mixed = true"


def first_origin(*, simulated: bool) -> str:
    """Return the statement that says of an empty log whether it is simulated; of one that is not empty it changes nothing."""
    return f"INSERT INTO ml_learning.log_origin (simulated) VALUES ({simulated}) ON CONFLICT DO NOTHING"


def kinds(*, simulated: bool) -> tuple[str, str]:
    """Return what a log holds, and what an event of the other kind is, in words."""
    return ("simulated", "real") if simulated else ("real", "simulated")


def other_origin(*, simulated: bool) -> UserError:
    """Return the refusal of events of the other kind than the log holds."""
    there, here = kinds(simulated=simulated)
    return UserError(
        f"The raw log holds {there} events and these are {here}: features over both would say nothing about either.",
        where="ml_learning.agent_events",
        fix="Use another database (DETEKTOR_HOME=…), or repeat with --mix to store them together.",
    )


def storable(text: str) -> str:
    """Replace what PostgreSQL's text cannot hold: U+0000 and lone surrogates."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")
