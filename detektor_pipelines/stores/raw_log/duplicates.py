"""Two records of one event: which of them counts, or why neither can.

One event is often written more than once: the same record in two files, one of them cut short, or the same log read again by a better
reader. Nothing is lost and nothing counts twice:

- the same body: known;
- one says all that the other says, and more: the longer one counts, whichever came first;
- what was read while it still went on (a call without its outcome, an answer that still streamed) and again later, its counts only grown:
  the later one counts;
- another reader revision, agent or project: the log is read differently now, which only `reingest` writes;
- anything else, two values of one measure above all: a conflict. The first stays and the second is kept as rejected.

Pure functions over rows (column → value, instants as int µs); `stores.raw_log.bulk` applies them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from detektor_pipelines.language.events import MEASURES
from detektor_pipelines.stores.raw_log.table import BODY

if TYPE_CHECKING:
    from collections.abc import Mapping

Row: TypeAlias = "Mapping[str, Any]"
Judgement: TypeAlias = Literal["same", "shorter", "longer", "reread", "conflict"]

MAPPED: Final = ("agent_type", "project")
"""Columns that come from tables and options rather than from the record itself."""

_TEXT: Final = "attributes"

_STREAMED: Final = "chat"
"""The operation that logs write down several times while it goes on, with an outcome each time."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How an incoming record stands to the stored one; `reason` says where a conflict lies."""

    judgement: Judgement
    reason: str = ""


def judge(stored: Row, incoming: Row) -> Verdict:
    """Compare an incoming record with the stored one of the same event_id."""
    # 1. Word for word the same, or read by a better reader or under another agent or project: contents are not compared.
    differing = [name for name in BODY if stored[name] != incoming[name]]
    if not differing:
        return Verdict("same")
    if _is_read_differently(stored, incoming, differing):
        return Verdict("reread")
    # 2. `contradicting`: columns in which both have a value, and not the same; attributes (a text) may always differ. Unless they
    #    differ as two looks at an operation under way do, this is a conflict. From here on no column has two values, but for growth.
    contradicting = [name for name in differing if name != _TEXT and stored[name] is not None and incoming[name] is not None]
    growth = _growth(stored, incoming, contradicting)
    if contradicting and growth is None:
        return Verdict("conflict", _contradiction(stored, incoming, contradicting))
    # 3. Columns that only one of them has. The longer record has some and lacks none; with growth the later look counts as longer
    #    whatever its attributes.
    added = [name for name in differing if stored[name] is None and not (growth and name == _TEXT)]
    absent = [name for name in differing if incoming[name] is None and not (growth and name == _TEXT)]
    says_more = bool(added) or growth == "longer"
    says_less = bool(absent) or growth == "shorter"
    if says_more and says_less:
        return Verdict("conflict", f"duplicate event_id with another body: each says what the other does not ({', '.join(differing)})")
    if says_more or says_less:
        return Verdict("longer" if says_more else "shorter")
    # 4. Only the attributes differ: the longer text counts, so that the order of arrival does not matter.
    return Verdict("longer" if len(incoming[_TEXT]) > len(stored[_TEXT]) else "shorter")


def moves(stored: Row, incoming: Row) -> bool:
    """Tell whether the event leaves the agent, project or instant under which it was published."""
    return any(stored[name] != incoming[name] for name in (*MAPPED, "occurred_at"))


def _is_read_differently(stored: Row, incoming: Row, differing: list[str]) -> bool:
    return incoming["reader_revision"] > stored["reader_revision"] or any(name in MAPPED for name in differing)


def _growth(stored: Row, incoming: Row, contradicting: list[str]) -> Literal["longer", "shorter"] | None:
    """Tell which of two records of one operation was written later, while it went on; None when that is not how they differ."""
    if "occurred_at" not in contradicting or not {*contradicting} <= {*MEASURES, "occurred_at"}:
        return None
    # Every count and the instant moved the same way: then one was written while the operation went on, the other when it was further.
    if all(incoming[name] > stored[name] for name in contradicting) and _went_on(stored, incoming):
        return "longer"
    return "shorter" if all(incoming[name] < stored[name] for name in contradicting) and _went_on(incoming, stored) else None


def _went_on(early: Row, late: Row) -> bool:
    """Whether the operation was under way in `early`: a streamed answer, or a call whose outcome only `late` knows."""
    return early["operation"] == _STREAMED or (early["outcome"] is None and late["outcome"] is not None)


def _contradiction(stored: Row, incoming: Row, names: list[str]) -> str:
    first = ", ".join(f"{name} {_short(stored[name])} is stored, {_short(incoming[name])} here" for name in names[:3])
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""  # noqa: PLR2004 - three are enough to see the kind
    return f"duplicate event_id with another body: {first}{more}"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else text[:40] + "…"  # noqa: PLR2004 - a line stays a line
