"""Appending a few events at once to the raw log, in one statement and one commit: what live sources need.

`stores.raw_log.bulk` is for bulk: it copies whole tables, at some ten milliseconds a chunk whatever its size. Here a batch is one JSON
text, and one statement claims the identities and stores what is new. The rules are the same (`stores.raw_log.duplicates`), and so is the
hashed text.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast
from uuid import UUID

import orjson

from detektor_pipelines.clock import from_us, now_us, to_us
from detektor_pipelines.language.events import CATEGORIES, MEASURES
from detektor_pipelines.stores.connections import sqlstate
from detektor_pipelines.stores.raw_log.duplicates import judge
from detektor_pipelines.stores.raw_log.months import ensure_months
from detektor_pipelines.stores.raw_log.statements import conflict, revisions
from detektor_pipelines.stores.raw_log.table import BODY, COLUMNS, INSTANTS, json_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import psycopg

    from detektor_pipelines.language.records import AgentEvent, Rejection

Row: TypeAlias = "dict[str, Any]"
"""One event in the layout of `agent_events`: COLUMNS, instants as int µs, attributes as JSON text."""

Status: TypeAlias = Literal["accepted", "known", "rejected"]

HEARD: Final = 0
"""`reader_revision` of an event that was heard live, before its log could be read. What the log says of it later is the fuller reading:
`reingest` writes it. And what is heard of an event that is stored already, by another ear or from its log, adds nothing and contradicts
nothing: two clocks never agree on when it was."""

_ATTEMPTS: Final = 5
_TRANSIENT: Final = ("40001", "40P01")  # serialization failure, deadlock
_COLUMN_LIST: Final = ", ".join(COLUMNS)
_INCOMING: Final = """
WITH incoming AS (
    SELECT event.*, identity.body_hash
    FROM json_populate_recordset(NULL::ml_learning.agent_events, %(rows)s::json) AS event
    JOIN unnest(%(ids)s::text[], %(hashes)s::uuid[]) AS identity (event_id, body_hash) USING (event_id)
    JOIN ml_learning.log_origin AS origin ON origin.mixed OR origin.simulated = event.simulated
)
"""
_APPEND: Final = f"""
{_INCOMING},
claimed AS (
    INSERT INTO ml_learning.event_ids (event_id, revision, body_hash, occurred_at)
    SELECT event_id, revision, body_hash, occurred_at FROM incoming ORDER BY event_id
    ON CONFLICT DO NOTHING RETURNING event_id
),
stored AS (
    INSERT INTO ml_learning.agent_events ({_COLUMN_LIST})
    SELECT {_COLUMN_LIST} FROM incoming WHERE event_id IN (SELECT event_id FROM claimed)
)
SELECT event_id FROM claimed
"""
_KNOWN: Final = "SELECT event_id, body_hash FROM ml_learning.event_ids WHERE event_id = ANY(%s)"
_LOCK: Final = "SELECT event_id FROM ml_learning.event_ids WHERE event_id = ANY(%s) ORDER BY event_id FOR UPDATE"
_STORED: Final = f"""
SELECT {", ".join("event.attributes::text" if name == "attributes" else f"event.{name}" for name in COLUMNS)}
FROM ml_learning.event_ids AS identity
JOIN ml_learning.agent_events AS event
  ON event.event_id = identity.event_id AND event.revision = identity.revision AND event.occurred_at = identity.occurred_at
WHERE identity.event_id = ANY(%s)
"""
_REVISE: Final = f"""
{_INCOMING},
revised AS (
    UPDATE ml_learning.event_ids AS identity
    SET revision = incoming.revision, body_hash = incoming.body_hash, occurred_at = incoming.occurred_at
    FROM incoming WHERE identity.event_id = incoming.event_id AND NOT incoming.retracted
)
INSERT INTO ml_learning.agent_events ({_COLUMN_LIST}) SELECT {_COLUMN_LIST} FROM incoming
"""
_REJECT: Final = """
INSERT INTO ml_learning.rejected_events (source, line, reason, excerpt, event_id, rejected_at, fingerprint)
SELECT source, line, reason, excerpt, event_id, %(at)s,
    md5(jsonb_build_array(source, line, CASE WHEN line IS NOT NULL OR event_id IS NULL THEN reason END, event_id, excerpt)::text)::uuid
FROM unnest(%(source)s::text[], %(line)s::bigint[], %(reason)s::text[], %(excerpt)s::text[], %(event_id)s::text[])
    AS refused (source, line, reason, excerpt, event_id)
ON CONFLICT DO NOTHING
"""
_ORIGIN: Final = "SELECT simulated, mixed FROM ml_learning.log_origin"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one event.

    Attributes:
        event_id: Which.
        status: `accepted` is new; `known` was there and nothing contradicts it; `rejected` is kept with its reason, not counted.
        reason: Why it was rejected.

    """

    event_id: str | None
    status: Status
    reason: str = ""


class LiveLog:
    """Appends to the log over one psycopg connection in autocommit mode; not for several threads at once.

    Args:
        connection: Whose; the caller closes it.
        mix: Let simulated and real events share the database.

    """

    def __init__(self, connection: psycopg.Connection, *, mix: bool = False) -> None:
        self._connection = connection
        self._mix = mix
        self._months: set[str] = set()

    def append(self, events: Sequence[AgentEvent]) -> list[Outcome]:
        """Store checked events, each once, and commit; returns an outcome for each, in order.

        `ingested_at` becomes the clock's instant, and so does `known_at` where an event has none.

        Raises:
            psycopg.Error: The server cannot be reached or refuses; what was committed before is found known when the same is repeated.

        """
        now = now_us()
        outcomes: list[Outcome] = []
        for distinct in _without_repetitions([row_of(event, now) for event in events]):
            outcomes += self._retried(distinct)
        return outcomes

    def keep(self, rejections: Iterable[Rejection]) -> int:
        """Store rejections, each once however often it comes; returns how many are new."""
        kept = [(each.source, each.line, each.reason, each.excerpt, each.event_id) for each in rejections]
        if not kept:
            return 0
        names = ("source", "line", "reason", "excerpt", "event_id")
        columns = {name: [_storable(value) for value in values] for name, values in zip(names, zip(*kept, strict=True), strict=True)}
        return self._connection.execute(_REJECT, {**columns, "at": from_us(now_us())}).rowcount

    def _retried(self, rows: Sequence[Row]) -> list[Outcome]:
        for attempt in range(_ATTEMPTS):
            try:
                return self._append(rows)
            except Exception as error:
                if sqlstate(error) not in _TRANSIENT or attempt == _ATTEMPTS - 1:
                    raise
                time.sleep(0.01 * 2**attempt)
        raise AssertionError  # unreachable: the last attempt returns or raises

    def _append(self, rows: Sequence[Row]) -> list[Outcome]:
        self._ensure_months(rows)
        hashes = {row["event_id"]: body_hash(row) for row in rows}
        claimed = self._claim(rows, hashes)
        if len(claimed) == len(rows):
            return [Outcome(row["event_id"], "accepted") for row in rows]
        found = dict.fromkeys(claimed, Outcome("", "accepted"))
        found |= self._of_known([row for row in rows if row["event_id"] not in found], hashes)
        found |= self._of_other_origin([row for row in rows if row["event_id"] not in found], hashes)
        return [Outcome(row["event_id"], found[row["event_id"]].status, found[row["event_id"]].reason) for row in rows]

    def _claim(self, rows: Sequence[Row], hashes: Mapping[str, UUID]) -> set[str]:
        return {row[0] for row in self._connection.execute(_APPEND, _parameters(rows, hashes), prepare=True).fetchall()}

    def _ensure_months(self, rows: Sequence[Row]) -> None:
        missing = {f"{from_us(row['occurred_at']):%Y-%m}" for row in rows} - self._months
        if missing:
            self._connection.autocommit = False
            try:
                ensure_months(cast("Any", self._connection), missing)
            except Exception:
                if not self._connection.closed:
                    self._connection.rollback()
                raise
            finally:
                if not self._connection.closed:
                    self._connection.autocommit = True
            self._months |= missing

    def _of_known(self, rows: Sequence[Row], hashes: Mapping[str, UUID]) -> dict[str, Outcome]:
        """Settle what was stored before; says nothing of the others."""
        if not rows:
            return {}
        known: dict[str, UUID] = dict(self._connection.execute(_KNOWN, ([row["event_id"] for row in rows],)).fetchall())
        found = {event_id: Outcome("", "known") for event_id, stored in known.items() if stored == hashes[event_id]}
        return found | self._compare([row for row in rows if row["event_id"] in known and row["event_id"] not in found])

    def _of_other_origin(self, rows: Sequence[Row], hashes: Mapping[str, UUID]) -> dict[str, Outcome]:
        """Settle what neither was claimed nor is known: the log is empty, or of the other kind."""
        if not rows:
            return {}
        with self._connection.transaction():
            first = min(row["simulated"] for row in rows)
            self._connection.execute("INSERT INTO ml_learning.log_origin (simulated) VALUES (%s) ON CONFLICT DO NOTHING", (first,))
            simulated, mixed = self._connection.execute(_ORIGIN).fetchone() or (first, False)
            if not mixed and self._mix and any(row["simulated"] != simulated for row in rows):
                self._connection.execute("UPDATE ml_learning.log_origin SET mixed = true")
                mixed = True
            fitting = [row for row in rows if mixed or row["simulated"] == simulated]
            claimed = self._claim(fitting, hashes) if fitting else set()
            there, here = ("simulated", "real") if simulated else ("real", "simulated")
            refused = f"the raw log holds {there} events and this one is {here}"
            self.keep([conflict(row, refused) for row in rows if not mixed and row["simulated"] != simulated])
        found = {row["event_id"]: Outcome("", "rejected", refused) for row in rows} | dict.fromkeys(claimed, Outcome("", "accepted"))
        # What fitted and was not claimed was stored by another writer in this moment.
        return found | self._of_known([row for row in fitting if row["event_id"] not in claimed], hashes)

    def _compare(self, rows: Sequence[Row]) -> dict[str, Outcome]:
        """Judge records whose event was stored before with another body, and write what follows from it."""
        if not rows:
            return {}
        ids = [row["event_id"] for row in rows]
        found: dict[str, Outcome] = {}
        revised: list[Row] = []
        conflicts: list[Rejection] = []
        with self._connection.transaction():
            self._connection.execute(_LOCK, (ids,))
            stored = {row[0]: _row_of_stored(row) for row in self._connection.execute(_STORED, (ids,)).fetchall()}
            for new in rows:
                old = stored[new["event_id"]]
                verdict = judge(old, new)
                found[new["event_id"]] = Outcome("", "known")
                if verdict.judgement == "longer" and new["reader_revision"] != HEARD:
                    revised += revisions(old, new)
                elif verdict.judgement == "conflict" and new["reader_revision"] != HEARD:
                    conflicts.append(conflict(new, verdict.reason))
                    found[new["event_id"]] = Outcome("", "rejected", verdict.reason)
            # A retracted revision first, then the one that counts: one statement each, for an event_id may stand in both.
            for part in ([row for row in revised if row["retracted"]], [row for row in revised if not row["retracted"]]):
                if part:
                    self._connection.execute(_REVISE, _parameters(part, {row["event_id"]: body_hash(row) for row in part}))
            self.keep(conflicts)
        return found


def row_of(event: AgentEvent, now: int) -> Row:
    """Lay an event out as a row of the log, stored at `now` (µs UTC)."""
    row: Row = dict.fromkeys(COLUMNS)
    row |= {name: getattr(event, name) for name in COLUMNS if name not in _ELSEWHERE}
    row |= event.measures
    row |= event.categories
    known_at = now if event.known_at is None else event.known_at
    return row | {"attributes": json_text(event.attributes), "known_at": known_at, "ingested_at": now, "retracted": False}


def body_hash(row: Mapping[str, Any]) -> UUID:
    """Hash a row's body as `table.body_hashes` does."""
    said = "".join(f"\x1f{name}={_as_text(row[name])}" for name in BODY if row[name] is not None)
    return UUID(bytes=hashlib.md5(said.encode(), usedforsecurity=False).digest())


_ELSEWHERE: Final = frozenset({*MEASURES, *CATEGORIES, "attributes", "ingested_at", "known_at", "retracted"})


def _as_text(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _without_repetitions(rows: Sequence[Row]) -> Iterable[list[Row]]:
    """Cut a batch where it repeats an event_id, so that the second is compared with the first."""
    part: list[Row] = []
    seen: set[str] = set()
    for row in rows:
        if row["event_id"] in seen:
            yield part
            part, seen = [], set()
        part.append(row)
        seen.add(row["event_id"])
    if part:
        yield part


def _parameters(rows: Sequence[Row], hashes: Mapping[str, UUID]) -> dict[str, Any]:
    ids = [row["event_id"] for row in rows]
    return {"rows": orjson.dumps([_json_row(row) for row in rows]).decode(), "ids": ids, "hashes": [hashes[each] for each in ids]}


def _json_row(row: Row) -> Row:
    said = {name: value for name, value in row.items() if value is not None}
    said |= {name: from_us(row[name]) for name in INSTANTS}
    if row["attributes"]:
        said["attributes"] = orjson.Fragment(row["attributes"])
    return said


def _row_of_stored(values: Sequence[Any]) -> Row:
    row = dict(zip(COLUMNS, values, strict=True))
    row |= {name: to_us(row[name]) for name in INSTANTS}
    attributes = row["attributes"]
    return row | {"attributes": orjson.dumps(orjson.loads(attributes), option=orjson.OPT_SORT_KEYS).decode() if attributes else None}


def _storable(value: Any) -> Any:
    """Replace what PostgreSQL's text cannot hold: U+0000 and lone surrogates."""
    return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8") if isinstance(value, str) else value
