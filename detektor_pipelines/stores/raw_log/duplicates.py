"""Two records of one event: which of them counts, or why neither can.

One event is often written more than once: the same record in two files, one of them cut short, or the same log read again by a better
reader. Nothing is lost and nothing counts twice:

- the same body: known;
- a copy of it in another session (a fork, a resumption): the same event. The contents are compared as if it stood in one session, and the
  session that saw more of it has the event, of two that saw as much the first by name;
- one was read while it went on (`attributes.status` is `open` or `launched`), the other later: the one that is further counts;
- one says all that the other says, and more: the longer one counts, whichever came first;
- an answer that still streamed and again later, its counts only grown; a run whose end is told of several times: the later one counts;
- another reader revision, agent or project: the log is read differently now, which only `reingest` writes;
- what was heard live of an event that is stored already: it adds nothing and contradicts nothing;
- anything else, two values of one measure above all: a conflict. The first stays and the second is kept as rejected.

All but the last three do not depend on which record came first (docs/decisions/identity.md says why).

Pure functions over rows (column → value, instants as int µs); `stores.raw_log.bulk` and `stores.raw_log.live` write what `settle` says.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from detektor_pipelines.language.events import MEASURES
from detektor_pipelines.language.records import Rejection
from detektor_pipelines.stores.raw_log.table import BODY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Row: TypeAlias = "Mapping[str, Any]"
Judgement: TypeAlias = Literal["same", "shorter", "longer", "reread", "heard", "conflict"]

LIVE_REVISION: Final = 0
"""`reader_revision` of an event that was heard live, before its log could be read. What the log says of it later is the fuller reading:
`reingest` writes it. And what is heard of an event that is stored already, by another ear or from its log, adds nothing and contradicts
nothing: two clocks never agree on when it was."""

MAPPED: Final = ("agent_type", "project")
"""Columns that come from tables and options rather than from the record itself."""

ATTRIBUTED: Final = ("project", "session_id", "task_id")
"""Columns that say where an event stood rather than what it was: a copy in another session has others."""

_TEXT: Final = "attributes"

_UNDER_WAY: Final = {"open": 0, "launched": 1, "told": 2}
"""`attributes.status` of what was read before all was known of it, in this order: it had begun, it went on by itself, another session told
how it ended."""

_ENDED: Final = 3
_TOLD_AGAIN: Final = frozenset({"own_records", "notification", "launch_to_notification"})
"""`attributes.duration_from` of a run that can be called again: its end is then told of once more."""

_STREAMED: Final = "chat"
"""The operation that logs write down several times while it goes on, with an outcome each time."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How an incoming record stands to the stored one.

    Attributes:
        judgement: In one word.
        reason: Where a conflict lies, or what is read differently.
        row: What counts from now on, where that is not the incoming record as it is.

    """

    judgement: Judgement
    reason: str = ""
    row: Row | None = None


@dataclass(frozen=True, slots=True)
class Settlement:
    """What follows from records of events that are stored with another body.

    Attributes:
        verdicts: Of each event_id.
        revised: Rows of higher revisions to append; of one event the retracted one first.
        conflicts: Rejections to keep.

    """

    verdicts: dict[str, Verdict] = field(default_factory=dict)
    revised: list[dict[str, Any]] = field(default_factory=list)
    conflicts: list[Rejection] = field(default_factory=list)


def settle(stored: Mapping[str, Row], incoming: Iterable[Row], *, reingest: bool = False) -> Settlement:
    """Judge records whose events are stored.

    Args:
        stored: event_id → the row that counts.
        incoming: Rows of those events, each event once.
        reingest: Write what is read differently now.

    """
    found = Settlement()
    for new in incoming:
        old = stored[new["event_id"]]
        verdict = judge(old, new)
        found.verdicts[new["event_id"]] = verdict
        if verdict.judgement == "longer" or (verdict.judgement == "reread" and reingest):
            found.revised.extend(revisions(old, verdict.row or new))
        elif verdict.judgement == "conflict":
            found.conflicts.append(conflict(new, verdict.reason))
    return found


def judge(stored: Row, incoming: Row) -> Verdict:
    """Compare an incoming record with the stored one of the same event_id."""
    differing = [name for name in BODY if stored[name] != incoming[name]]
    if not differing:
        return Verdict("same")
    if incoming["reader_revision"] == LIVE_REVISION:
        return Verdict("heard")
    if None in (stored["session_id"], incoming["session_id"]) or "session_id" not in differing:
        return _judge_contents(stored, incoming, differing)
    return _judge_copies(stored, incoming, [name for name in differing if name not in ATTRIBUTED])


def _judge_copies(stored: Row, incoming: Row, differing: list[str]) -> Verdict:
    """Compare records of two sessions: the contents as if they stood in one, then which session has the event.

    It is the one that saw more of it (its end rather than its beginning), of two that saw as much the first by name.
    """
    if differing == ["occurred_at"] and stored["operation"] != _STREAMED:
        # A session that was resumed by an old version writes what came before once more, with later instants.
        return Verdict("longer" if incoming["occurred_at"] < stored["occurred_at"] else "same")
    is_first = (-_progress(incoming), incoming["session_id"]) < (-_progress(stored), stored["session_id"])
    place = {name: (incoming if is_first else stored)[name] for name in ATTRIBUTED}
    verdict = _judge_contents(stored, {**incoming, **{name: stored[name] for name in ATTRIBUTED}}, differing) if differing else None
    if verdict is None or verdict.judgement == "shorter":
        if not is_first:
            return verdict or Verdict("same")
        return Verdict("longer", row={**stored, **place, "ingested_at": incoming["ingested_at"]})
    return Verdict(verdict.judgement, verdict.reason, {**incoming, **place})


def _judge_contents(stored: Row, incoming: Row, differing: list[str]) -> Verdict:
    # 1. One was read while it went on, and the other when it was further: nothing else is compared.
    before, now = _progress(stored), _progress(incoming)
    if before != now and stored["reader_revision"] != LIVE_REVISION:
        return Verdict("longer" if now > before else "shorter")
    # 2. Read by a better reader, or under another agent or project: contents are not compared either.
    if _is_read_differently(stored, incoming, differing):
        return Verdict("reread", f"stored before and read differently now ({', '.join(differing)}): `detektor reingest` writes it")
    # 3. `contradicting`: columns in which both have a value, and not the same; attributes (a text) may always differ. Unless they
    #    differ as two looks at an operation under way do, this is a conflict. From here on no column has two values, but for growth.
    contradicting = [name for name in differing if name != _TEXT and stored[name] is not None and incoming[name] is not None]
    growth = _growth(stored, incoming, contradicting)
    if contradicting and growth is None:
        return Verdict("conflict", _contradiction(stored, incoming, contradicting))
    if growth and _is_told_again(stored, incoming):
        return Verdict(growth)
    # 4. Columns that only one of them has. The longer record has some and lacks none; with growth the later look counts as longer
    #    whatever its attributes.
    added = [name for name in differing if stored[name] is None and not (growth and name == _TEXT)]
    absent = [name for name in differing if incoming[name] is None and not (growth and name == _TEXT)]
    says_more = bool(added) or growth == "longer"
    says_less = bool(absent) or growth == "shorter"
    if says_more and says_less:
        return Verdict("conflict", f"duplicate event_id with another body: each says what the other does not ({', '.join(differing)})")
    # 5. Only the attributes differ: the longer text counts (of two as long the greater), so that the order of arrival does not matter.
    is_longer = says_more or (not says_less and _weight(incoming) > _weight(stored))
    return Verdict("longer" if is_longer else "shorter")


def moves(stored: Row, incoming: Row) -> bool:
    """Tell whether the event leaves the agent, project or instant under which it was published."""
    return any(stored[name] != incoming[name] for name in (*MAPPED, "occurred_at"))


def revisions(stored: Row, incoming: Row) -> list[dict[str, Any]]:
    """Make the rows that put the incoming record in the stored one's place.

    An event that leaves its agent, project or instant first gets a retracted revision under the old ones: so whoever published them learns
    that they changed. Of a live event the platform learns what the new record says when it comes, so both are known from then on, and until
    then the stored one is what was served; of history that is read from files again every revision is known from when it happened.
    """
    learnt = {"ingested_at": incoming["ingested_at"]}
    if not (_is_history(stored) and _is_history(incoming)):
        learnt["known_at"] = incoming["ingested_at"]
    revision = stored["revision"] + 1
    if not moves(stored, incoming):
        return [{**incoming, **learnt, "revision": revision}]
    tombstone = {**stored, **learnt, "revision": revision, "retracted": True}
    return [tombstone, {**incoming, **learnt, "revision": revision + 1}]


def conflict(row: Row, reason: str) -> Rejection:
    """Make the rejection of a record that contradicts the stored one; its excerpt is the whole body, for nothing may be lost."""
    import orjson

    said = {name: row[name] for name in BODY if row[name] is not None}
    return Rejection(row["source"], None, reason, orjson.dumps(said).decode(), row["event_id"])


def _is_history(row: Row) -> bool:
    """Whether it counts as known from when it happened; a live record that came at that very instant does not."""
    return bool(row["known_at"] == row["occurred_at"] != row["ingested_at"])


def _is_read_differently(stored: Row, incoming: Row, differing: list[str]) -> bool:
    return incoming["reader_revision"] > stored["reader_revision"] or any(name in MAPPED for name in differing)


def _growth(stored: Row, incoming: Row, contradicting: list[str]) -> Literal["longer", "shorter"] | None:
    """Tell which of two records of one operation was written later, while it went on; None when that is not how they differ."""
    if "occurred_at" not in contradicting:
        return None
    if _is_told_again(stored, incoming):
        return "longer" if incoming["occurred_at"] > stored["occurred_at"] else "shorter"
    if not {*contradicting} <= {*MEASURES, "occurred_at"}:
        return None
    # Every count and the instant moved the same way: then one was written while the operation went on, the other when it was further.
    if all(incoming[name] > stored[name] for name in contradicting) and _went_on(stored, incoming):
        return "longer"
    return "shorter" if all(incoming[name] < stored[name] for name in contradicting) and _went_on(incoming, stored) else None


def _went_on(early: Row, late: Row) -> bool:
    """Whether the operation was under way in `early`: a streamed answer, or a call whose outcome only `late` knows."""
    return early["operation"] == _STREAMED or (early["outcome"] is None and late["outcome"] is not None)


def _progress(row: Row) -> int:
    """How far an operation was when it was read."""
    return _UNDER_WAY.get(str(_attributes(row).get("status")), _ENDED)


def _is_told_again(stored: Row, incoming: Row) -> bool:
    """Whether both are of one run that was told of twice: it still goes on, or it was called again after its end."""
    return stored["operation"] == incoming["operation"] and all(
        _progress(row) < _ENDED or said.get("background") is True or said.get("duration_from") in _TOLD_AGAIN
        for row in (stored, incoming)
        for said in [_attributes(row)]
    )


def _attributes(row: Row) -> dict[str, Any]:
    import orjson

    found = orjson.loads(row[_TEXT]) if row[_TEXT] else {}
    return found if isinstance(found, dict) else {}


def _weight(row: Row) -> tuple[int, str]:
    return len(row[_TEXT] or ""), row[_TEXT] or ""


def _contradiction(stored: Row, incoming: Row, names: list[str]) -> str:
    first = ", ".join(f"{name} {_short(stored[name])} is stored, {_short(incoming[name])} here" for name in names[:3])
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""  # noqa: PLR2004 - three are enough to see the kind
    return f"duplicate event_id with another body: {first}{more}"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else text[:40] + "…"  # noqa: PLR2004 - a line stays a line
