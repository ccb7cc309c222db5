"""Two records of one event: which of them counts, or why neither can.

One event is often written more than once: the same record in two files, one of them cut short, or the same log read again by a better
reader. Nothing is lost and nothing counts twice:

- the same body: known;
- one says all that the other says, and more: the longer one counts, whichever came first;
- another reader revision, agent or project: the log is read differently now, which only `reingest` writes;
- anything else, two values of one measure above all: a conflict. The first stays and the second is kept as rejected.

Pure functions over rows (column → value, instants as int µs); `stores.events` applies them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from detektor_pipelines.stores.event_table import BODY

if TYPE_CHECKING:
    from collections.abc import Mapping

Row: TypeAlias = "Mapping[str, Any]"
Judgement: TypeAlias = Literal["same", "shorter", "longer", "reread", "conflict"]

MAPPED: Final = ("agent_type", "project")
"""Columns that come from tables and options rather than from the record itself."""

_TEXT: Final = "attributes"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How an incoming record stands to the stored one; `reason` says where a conflict lies."""

    judgement: Judgement
    reason: str = ""


def judge(stored: Row, incoming: Row) -> Verdict:
    """Compare an incoming record with the stored one of the same event_id."""
    differing = [name for name in BODY if stored[name] != incoming[name]]
    if not differing:
        return Verdict("same")
    if _is_read_differently(stored, incoming, differing):
        return Verdict("reread")
    contradicting = [name for name in differing if name != _TEXT and stored[name] is not None and incoming[name] is not None]
    if contradicting:
        return Verdict("conflict", _contradiction(stored, incoming, contradicting))
    added = [name for name in differing if stored[name] is None]
    absent = [name for name in differing if incoming[name] is None]
    if added and absent:
        reason = f"only the stored one has {', '.join(absent)}, only this one {', '.join(added)}"
        return Verdict("conflict", f"duplicate event_id with another body: {reason}")
    if added or absent:
        return Verdict("longer" if added else "shorter")
    return Verdict("longer" if len(incoming[_TEXT]) > len(stored[_TEXT]) else "shorter")


def moves(stored: Row, incoming: Row) -> bool:
    """Tell whether the event leaves the agent, project or instant under which it was published."""
    return any(stored[name] != incoming[name] for name in (*MAPPED, "occurred_at"))


def _is_read_differently(stored: Row, incoming: Row, differing: list[str]) -> bool:
    return incoming["reader_revision"] > stored["reader_revision"] or any(name in MAPPED for name in differing)


def _contradiction(stored: Row, incoming: Row, names: list[str]) -> str:
    first = ", ".join(f"{name} {_short(stored[name])} is stored, {_short(incoming[name])} here" for name in names[:3])
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""  # noqa: PLR2004 - three are enough to see the kind
    return f"duplicate event_id with another body: {first}{more}"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else text[:40] + "…"  # noqa: PLR2004 - a line stays a line
