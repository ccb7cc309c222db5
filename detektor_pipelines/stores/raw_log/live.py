"""Appending a few events at once to the raw log, in one statement and one commit: what live sources need.

`stores.raw_log.bulk` is for bulk: it copies whole tables, at some ten milliseconds a chunk whatever its size. Here a batch is one JSON
text, and one statement claims the identities and stores what is new. Both execute the statements of `stores.raw_log.statements` and write
what `stores.raw_log.duplicates` settles; the hashed text is the same.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast, get_args
from uuid import UUID

import orjson

from detektor_pipelines.clock import from_us, now_us, to_us
from detektor_pipelines.language.events import CATEGORIES, MEASURES
from detektor_pipelines.stores.raw_log import erased as erased_before
from detektor_pipelines.stores.raw_log import statements
from detektor_pipelines.stores.raw_log.duplicates import Judgement, Settlement, conflict, settle
from detektor_pipelines.stores.raw_log.erased import Erased
from detektor_pipelines.stores.raw_log.months import ensure_months
from detektor_pipelines.stores.raw_log.table import BODY, COLUMNS, INSTANTS, JSON, json_text, normalised_json
from detektor_pipelines.stores.retries import transactions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import psycopg

    from detektor_pipelines.language.records import AgentEvent, Rejection

Row: TypeAlias = "dict[str, Any]"
"""One event in the layout of `agent_events`: COLUMNS, instants as int µs, JSON as text."""

Status: TypeAlias = Literal["accepted", "known", "reread", "held", "rejected"]
ERASED: Final = "it belongs to what was erased, and is not stored"
"""Why an event was rejected that is not even kept among the rejected."""

ASK_AGAIN_S: Final = 1.0
"""How long a live writer goes by what it knows of erasures."""

STATUSES: Final[tuple[Status, ...]] = get_args(Status)
_STATUS: Final[Mapping[Judgement, Status]] = {"conflict": "rejected", "reread": "reread"}
"""Of a judgement; of all others it is `known`."""

_again: Final = transactions(first_pause=0.01)
_COLUMN_LIST: Final = ", ".join(COLUMNS)
_RECORDS: Final = """
WITH records AS (
    SELECT event.*, identity.body_hash
    FROM json_populate_recordset(NULL::ml_learning.agent_events, %(rows)s::json) AS event
    JOIN unnest(%(ids)s::text[], %(revisions)s::integer[], %(hashes)s::uuid[]) AS identity (event_id, revision, body_hash)
        USING (event_id, revision)
)
"""
_APPEND: Final = f"""
{_RECORDS},
incoming AS (
    SELECT records.* FROM records JOIN ml_learning.log_origin AS origin ON origin.mixed OR origin.simulated = records.simulated
),
claimed AS ({statements.CLAIM_IDENTITIES} RETURNING event_id),
stored AS (
    INSERT INTO ml_learning.agent_events ({_COLUMN_LIST})
    SELECT {_COLUMN_LIST} FROM incoming WHERE event_id IN (SELECT event_id FROM claimed)
)
SELECT event_id FROM claimed
"""
_KNOWN: Final = "SELECT event_id, body_hash FROM ml_learning.event_ids WHERE event_id = ANY(%s)"
_DIFFERING: Final = "WITH differing AS (SELECT unnest(%s::text[]) AS event_id)"
_LOCK: Final = f"{_DIFFERING} {statements.LOCK_DIFFERING}"
_STORED: Final = f"{_DIFFERING} {statements.SELECT_STORED}"
_REVISE: Final = f"""
{_RECORDS},
revised AS (SELECT event_id, body_hash, occurred_at, revision FROM records WHERE NOT retracted),
counting AS ({statements.UPDATE_IDENTITIES})
INSERT INTO ml_learning.agent_events ({_COLUMN_LIST}) SELECT {_COLUMN_LIST} FROM records
"""
_RETRACT: Final = f"""
{_RECORDS},
revised AS (SELECT event_id, body_hash, occurred_at, revision FROM records),
counting AS ({statements.UPDATE_IDENTITIES})
INSERT INTO ml_learning.agent_events ({_COLUMN_LIST}) SELECT {_COLUMN_LIST} FROM records
"""
_REJECT: Final = f"""
WITH refused AS (
    SELECT source, line, reason, excerpt, event_id, %(at)s::timestamptz AS rejected_at
    FROM unnest(%(source)s::text[], %(line)s::bigint[], %(reason)s::text[], %(excerpt)s::text[], %(event_id)s::text[])
        AS refused (source, line, reason, excerpt, event_id)
)
{statements.KEEP_REJECTIONS}
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one event.

    Attributes:
        event_id: Which.
        status: `accepted` is new; `known` was there and nothing contradicts it; `reread` was there and is read differently now, which
            only `reingest` writes; `held` waits for its instant; `rejected` is kept with its reason, not counted.
        reason: Why it was rejected, or what is read differently.
        judgement: How it stands to the record that was stored before, None where there was none.

    """

    event_id: str | None
    status: Status
    reason: str = ""
    judgement: Judgement | None = None


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
        self._erased = Erased()
        self._asked = -ASK_AGAIN_S

    def append(self, events: Sequence[AgentEvent]) -> list[Outcome]:
        """Store checked events, each once, and commit; returns an outcome for each, in order.

        `ingested_at` becomes the clock's instant, and so does `known_at` where an event has none.

        Raises:
            psycopg.Error: The server cannot be reached or refuses; what was committed before is found known when the same is repeated.

        """
        now, erased = now_us(), self._known_erasures()
        rows = [row_of(event, now) for event in events]
        if not erased:
            return self._append_all(rows)
        refused = [erased.covers(row) for row in rows]
        stored = iter(self._append_all([row for row, gone in zip(rows, refused, strict=True) if not gone]))
        return [Outcome(row["event_id"], "rejected", ERASED) if gone else next(stored) for row, gone in zip(rows, refused, strict=True)]

    def keep(self, rejections: Iterable[Rejection]) -> int:
        """Store rejections, each once however often it comes; returns how many are new."""
        erased = self._known_erasures()
        return keep_rejections(self._connection, [each for each in rejections if not _names_what_was_erased(each, erased)])

    def holds_simulated_events_only(self) -> bool:
        """Whether the log is one of simulated events, into which no real one may come."""
        return self._connection.execute(statements.SELECT_ORIGIN).fetchone() == (True, False)

    def retract(self, event_ids: Sequence[str]) -> int:
        """Take events back: from now on none of their revisions counts; returns how many counted until now.

        The log stays append-only: each gets one more revision that says so, known from now on.

        Raises:
            psycopg.Error: The server cannot be reached or refuses.

        """
        now, ids = now_us(), list(event_ids)
        with self._connection.transaction():
            self._connection.execute(_LOCK, (ids,))
            stored = [_row_of_stored(row) for row in self._connection.execute(_STORED, (ids,)).fetchall()]
            counting = [row for row in stored if not row["retracted"]]
            rows = [{**row, "revision": row["revision"] + 1, "retracted": True, "known_at": now, "ingested_at": now} for row in counting]
            if rows:
                self._connection.execute(_RETRACT, _parameters(rows, [body_hash(row) for row in rows]))
        return len(rows)

    def _append_all(self, rows: Sequence[Row]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for distinct in _without_repetitions(rows):
            outcomes += _again(self._append, distinct)
        return outcomes

    def _known_erasures(self) -> Erased:
        """Return what was erased, as it was known a second ago at most; what slips through in it, `detektor erase` looks for afterwards."""
        now = time.monotonic()
        if now >= self._asked + ASK_AGAIN_S:
            self._erased = Erased.of(self._connection.execute(erased_before.SELECT).fetchall())
            self._asked = now
        return self._erased

    def _append(self, rows: Sequence[Row]) -> list[Outcome]:
        self._ensure_months(rows)
        hashes = {row["event_id"]: body_hash(row) for row in rows}
        claimed = self._claim(rows, hashes)
        found = {event_id: Outcome(event_id, "accepted") for event_id in claimed}
        found |= self._of_known([row for row in rows if row["event_id"] not in found], hashes)
        found |= self._of_other_origin([row for row in rows if row["event_id"] not in found], hashes)
        return [found[row["event_id"]] for row in rows]

    def _claim(self, rows: Sequence[Row], hashes: Mapping[str, UUID]) -> set[str]:
        parameters = _parameters(rows, [hashes[row["event_id"]] for row in rows])
        return {row[0] for row in self._connection.execute(_APPEND, parameters, prepare=True).fetchall()}

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
        same = (event_id for event_id, stored in known.items() if stored == hashes[event_id])
        found = {event_id: Outcome(event_id, "known", judgement="same") for event_id in same}
        return found | self._compare([row for row in rows if row["event_id"] in known and row["event_id"] not in found])

    def _of_other_origin(self, rows: Sequence[Row], hashes: Mapping[str, UUID]) -> dict[str, Outcome]:
        """Settle what neither was claimed nor is known: the log is empty, or of the other kind."""
        if not rows:
            return {}
        with self._connection.transaction():
            first = min(row["simulated"] for row in rows)
            self._connection.execute(statements.first_origin(simulated=first))
            simulated, mixed = self._connection.execute(statements.SELECT_ORIGIN).fetchone() or (first, False)
            if not mixed and self._mix and any(row["simulated"] != simulated for row in rows):
                self._connection.execute(statements.MIX_ORIGINS)
                mixed = True
            fitting = [row for row in rows if mixed or row["simulated"] == simulated]
            claimed = self._claim(fitting, hashes) if fitting else set()
            there, here = statements.kinds(simulated=simulated)
            refused = f"the raw log holds {there} events and this one is {here}"
            self.keep([conflict(row, refused) for row in rows if not mixed and row["simulated"] != simulated])
        found = {row["event_id"]: Outcome(row["event_id"], "rejected", refused) for row in rows}
        found |= {event_id: Outcome(event_id, "accepted") for event_id in claimed}
        # What fitted and was not claimed was stored by another writer in this moment.
        return found | self._of_known([row for row in fitting if row["event_id"] not in claimed], hashes)

    def _compare(self, rows: Sequence[Row]) -> dict[str, Outcome]:
        """Judge records whose event was stored before with another body, and write what follows from it."""
        if not rows:
            return {}
        with self._connection.transaction():
            found = settle_differing(self._connection, rows)
            self.keep(found.conflicts)
        return {
            event_id: Outcome(event_id, _STATUS.get(verdict.judgement, "known"), verdict.reason, verdict.judgement)
            for event_id, verdict in found.verdicts.items()
        }


def settle_differing(connection: psycopg.Connection, rows: Sequence[Row], *, reingest: bool = False) -> Settlement:
    """Lock the stored records of events that are stored with another body than in `rows`, judge, and append the revisions that follow.

    Conflicts are the caller's to keep. To be called within a transaction.
    """
    ids = [row["event_id"] for row in rows]
    connection.execute(_LOCK, (ids,))
    stored = {row[0]: _row_of_stored(row) for row in connection.execute(_STORED, (ids,)).fetchall()}
    found = settle(stored, rows, reingest=reingest)
    if found.revised:
        connection.execute(_REVISE, _parameters(found.revised, [body_hash(row) for row in found.revised]))
    return found


def keep_rejections(connection: psycopg.Connection, rejections: Sequence[Rejection]) -> int:
    """Store rejections, each once however often it comes; returns how many are new."""
    if not rejections:
        return 0
    named = [(each.source, each.line, each.reason, each.excerpt, each.event_id) for each in rejections]
    names = ("source", "line", "reason", "excerpt", "event_id")
    columns = {name: [_storable(value) for value in values] for name, values in zip(names, zip(*named, strict=True), strict=True)}
    return connection.execute(_REJECT, {**columns, "at": from_us(now_us())}).rowcount


def row_of(event: AgentEvent, now: int) -> Row:
    """Lay an event out as a row of the log, stored at `now` (µs UTC)."""
    row: Row = dict.fromkeys(COLUMNS)
    row |= {name: getattr(event, name) for name in COLUMNS if name not in _ELSEWHERE}
    row |= event.measures
    row |= event.categories
    known_at = now if event.known_at is None else event.known_at
    row |= {name: json_text(getattr(event, name)) for name in JSON}
    return row | {"known_at": known_at, "ingested_at": now, "retracted": False}


def body_hash(row: Mapping[str, Any]) -> UUID:
    """Hash a row's body as `table.body_hashes` does."""
    said = "".join(f"\x1f{name}={_as_text(row[name])}" for name in BODY if row[name] is not None)
    return UUID(bytes=hashlib.md5(said.encode(), usedforsecurity=False).digest())


_ELSEWHERE: Final = frozenset({*MEASURES, *CATEGORIES, *JSON, "ingested_at", "known_at", "retracted"})


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


def _parameters(rows: Sequence[Row], hashes: Sequence[UUID]) -> dict[str, Any]:
    return {
        "rows": orjson.dumps([_json_row(row) for row in rows]).decode(),
        "ids": [row["event_id"] for row in rows],
        "revisions": [row["revision"] for row in rows],
        "hashes": list(hashes),
    }


def _json_row(row: Row) -> Row:
    said = {name: value for name, value in row.items() if value is not None}
    said |= {name: from_us(row[name]) for name in INSTANTS}
    return said | {name: orjson.Fragment(row[name]) for name in JSON if row[name]}


def _row_of_stored(values: Sequence[Any]) -> Row:
    row = dict(zip(COLUMNS, values, strict=True))
    row |= {name: to_us(row[name]) for name in INSTANTS}
    return row | {name: normalised_json(row[name]) for name in JSON}


def _names_what_was_erased(rejection: Rejection, erased: Erased) -> bool:
    said = (rejection.source, rejection.line, rejection.reason, rejection.excerpt, rejection.event_id)
    return erased.is_named_in(*(str(each) for each in said if each is not None))


def _storable(value: str | int | None) -> str | int | None:
    return statements.storable(value) if isinstance(value, str) else value
