"""Events as the lines of text that COPY reads, without Arrow: for some thousand events at once, as ingest of logs has them.

The hashed text of a body is that of `table.body_hashes` and of `live.body_hash`; the three are held against each other by a test.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from detektor_pipelines.clock import EPOCH
from detektor_pipelines.language.events import CATEGORIES, IDENTITIES, MEASURES, OPERATIONS
from detektor_pipelines.stores.raw_log.table import BODY, json_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detektor_pipelines.language.records import AgentEvent

NULL: Final = "\\N"
"""What COPY reads as null."""

_ESCAPED: Final = {ord("\\"): "\\\\", ord("\t"): "\\t", ord("\n"): "\\n", ord("\r"): "\\r"}
_FLAG: Final = {False: "false", True: "true"}
_TEXTS: Final = ("agent_type", "raw_name", "operation", *IDENTITIES)
_texts_of: Final = attrgetter(*_TEXTS)
_BEFORE: Final = ("event_id", "revision", "source", "reader_revision", "known_at", "ingested_at", "retracted")


class Line(NamedTuple):
    """One event as COPY reads it.

    Attributes:
        event: What it says.
        identity: Its line of `ml_learning.event_ids`, columns IDENTITY.
        row: Its line of `ml_learning.agent_events`, columns `columns_of` its operation.

    """

    event: AgentEvent
    identity: str
    row: str


IDENTITY: Final = ("event_id", "revision", "occurred_at", "body_hash")


@dataclass(frozen=True, slots=True)
class _Layout:
    """The columns of one operation's lines behind _BEFORE, in the order in which they are hashed.

    Attributes:
        names: The columns.
        marks: What stands before each in the hashed text.
        empty: A null for each.
        texts: Where the columns _TEXTS stand.
        at: Where each other column stands, by name.
        own: The same of the operation's measures and categories.

    """

    names: tuple[str, ...]
    marks: tuple[str, ...]
    empty: list[str | None]
    texts: tuple[int, ...]
    at: dict[str, int]
    own: dict[str, int]


@lru_cache(maxsize=64)
def _layout(operation: str) -> _Layout:
    declared = OPERATIONS[operation]
    own = {*declared.measures, *declared.categories}
    names = tuple(name for name in BODY if name in own or not (name in MEASURES or name in CATEGORIES))
    at = {name: number for number, name in enumerate(names)}
    return _Layout(
        names,
        tuple(f"\x1f{name}=" for name in names),
        [None] * len(names),
        tuple(at[name] for name in _TEXTS),
        {name: number for name, number in at.items() if name not in own and name not in _TEXTS},
        {name: number for name, number in at.items() if name in own},
    )


def columns_of(operation: str) -> tuple[str, ...]:
    """Return the columns of an operation's lines, in their order; all others of an event of it are null."""
    return (*_BEFORE, *_layout(operation).names)


def lines_of(events: Sequence[AgentEvent], now: int) -> list[Line]:
    """Lay checked events out as lines, stored at `now` (µs UTC), which is also when those without `known_at` became known.

    Raises:
        ValueError: An event has a measure or category that its operation has not.

    """
    stored_at = _instant(now)
    return [_line(event, stored_at) for event in events]


def _line(event: AgentEvent, stored_at: str) -> Line:
    layout = _layout(event.operation)
    said = layout.empty.copy()
    for place, text in zip(layout.texts, _texts_of(event), strict=True):
        said[place] = text
    own = layout.own
    try:
        for name, value in event.measures.items():
            said[own[name]] = str(value)
        for name, category in event.categories.items():
            said[own[name]] = category
    except KeyError as error:
        message = f"{event.event_id}: {event.operation} has no {error}"
        raise ValueError(message) from None
    at, occurred_at, known_at = layout.at, event.occurred_at, event.known_at
    said[at["occurred_at"]] = str(occurred_at)
    said[at["derived"]] = _FLAG[event.derived]
    said[at["simulated"]] = _FLAG[event.simulated]
    if event.attributes:
        said[at["attributes"]] = json_text(event.attributes)
    if event.extra:
        said[at["extra"]] = json_text(event.extra)
    body = "".join([mark + text for mark, text in zip(layout.marks, said, strict=True) if text is not None])
    digest = hashlib.md5(body.encode(), usedforsecurity=False).hexdigest()
    instant = said[at["occurred_at"]] = _instant(occurred_at)
    known = instant if known_at == occurred_at else stored_at if known_at is None else _instant(known_at)
    event_id, source = event.event_id, event.source
    if _is_special(body) or _is_special(event_id) or _is_special(source):
        said = [None if text is None else text.translate(_ESCAPED) for text in said]
        event_id, source = event_id.translate(_ESCAPED), source.translate(_ESCAPED)
    before = f"{event_id}\t{event.revision}\t{source}\t{event.reader_revision}\t{known}\t{stored_at}\tfalse\t"
    row = before + "\t".join([NULL if text is None else text for text in said]) + "\n"
    return Line(event, f"{event_id}\t{event.revision}\t{instant}\t{digest}\n", row)


def _instant(us: int) -> str:
    return (EPOCH + timedelta(0, 0, us)).isoformat()


def _is_special(text: str) -> bool:
    return "\\" in text or "\n" in text or "\t" in text or "\r" in text
