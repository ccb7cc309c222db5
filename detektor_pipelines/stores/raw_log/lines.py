"""Events as the lines of text that COPY reads, without Arrow: for some thousand events at once, as ingest of logs has them.

The hashed text of a body is that of `table.body_hashes` and of `live.body_hash`; the three are held against each other by a test.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta
from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from detektor_pipelines.clock import EPOCH
from detektor_pipelines.language.events import CATEGORIES, MEASURES, OPERATIONS
from detektor_pipelines.stores.raw_log.table import BODY, json_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from detektor_pipelines.language.records import AgentEvent

NULL: Final = "\\N"
"""What COPY reads as null."""

_MINUTE_US: Final = 60_000_000
_ESCAPED: Final = {ord("\\"): "\\\\", ord("\t"): "\\t", ord("\n"): "\\n", ord("\r"): "\\r"}
_FLAG: Final = {False: "false", True: "true"}
_ALWAYS: Final = ("agent_type", "raw_name", "operation", "occurred_at", "derived", "simulated")
_OPTIONAL: Final = ("project", "session_id", "task_id", "attributes", "extra")
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


@lru_cache(maxsize=64)
def _names(operation: str) -> tuple[str, ...]:
    """The columns of an operation's lines behind _BEFORE, in the order in which they are hashed."""
    declared = OPERATIONS[operation]
    own = {*declared.measures, *declared.categories}
    return tuple(name for name in BODY if name in own or not (name in MEASURES or name in CATEGORIES))


class _Form(NamedTuple):
    """How events of one form are written: those of one operation with the same measures, categories and optional parts.

    Attributes:
        given: Takes the values of the columns that such an event has, in their order, out of all its values.
        body: The hashed text, with a place for each of them.
        row: The line's end behind _BEFORE, with a place for each of them.
        at: Which of them is `occurred_at`.

    """

    given: Callable[[tuple[object, ...]], tuple[object, ...]]
    body: str
    row: str
    at: int


@lru_cache(maxsize=4096)
def _form(operation: str, measures: tuple[str, ...], categories: tuple[str, ...], optional: tuple[bool, ...]) -> _Form:
    """Lay out one form; `optional` tells which of _OPTIONAL its events have.

    Raises:
        KeyError: The operation has no such measure or category.

    """
    values = (*_ALWAYS, *_OPTIONAL, *measures, *categories)
    absent = {name for name, there in zip(_OPTIONAL, optional, strict=True) if not there}
    place = {name: number for number, name in enumerate(values) if name not in absent}
    names = _names(operation)
    for name in (*measures, *categories):
        if name not in names:
            raise KeyError(name)
    there = [name for name in names if name in place]
    return _Form(
        itemgetter(*(place[name] for name in there)),
        "".join(f"\x1f{name}=%s" for name in there),
        "\t".join("%s" if name in place else NULL for name in names) + "\n",
        there.index("occurred_at"),
    )


def columns_of(operation: str) -> tuple[str, ...]:
    """Return the columns of an operation's lines, in their order; all others of an event of it are null."""
    return (*_BEFORE, *_names(operation))


def lines_of(events: Sequence[AgentEvent], now: int) -> list[Line]:
    """Lay checked events out as lines, stored at `now` (µs UTC), which is also when those without `known_at` became known.

    Raises:
        ValueError: An event has a measure or category that its operation has not.

    """
    stored_at = _instant(now)
    return [_line(event, stored_at) for event in events]


def _line(event: AgentEvent, stored_at: str) -> Line:
    measures, categories, occurred_at = event.measures, event.categories, event.occurred_at
    attributes, extra, session_id, task_id, project = event.attributes, event.extra, event.session_id, event.task_id, event.project
    try:
        form = _form(
            event.operation,
            tuple(measures),
            tuple(categories),
            (project is not None, session_id is not None, task_id is not None, bool(attributes), bool(extra)),
        )
    except KeyError as error:
        message = f"{event.event_id}: {event.operation} has no {error}"
        raise ValueError(message) from None
    said = form.given(
        (
            *(event.agent_type, event.raw_name, event.operation, occurred_at, _FLAG[event.derived], _FLAG[event.simulated]),
            *(project, session_id, task_id, json_text(attributes) if attributes else None, json_text(extra) if extra else None),
            *measures.values(),
            *categories.values(),
        )
    )
    body = form.body % said
    digest = hashlib.md5(body.encode(), usedforsecurity=False).hexdigest()
    instant, known_at = _instant(occurred_at), event.known_at
    known = instant if known_at == occurred_at else stored_at if known_at is None else _instant(known_at)
    event_id, source = event.event_id, event.source
    if _is_special(f"{event_id}{source}{body}"):
        said = tuple(each.translate(_ESCAPED) if isinstance(each, str) else each for each in said)
        event_id, source = event_id.translate(_ESCAPED), source.translate(_ESCAPED)
    row = form.row % (*said[: form.at], instant, *said[form.at + 1 :])
    return Line(
        event,
        f"{event_id}\t{event.revision}\t{instant}\t{digest}\n",
        f"{event_id}\t{event.revision}\t{source}\t{event.reader_revision}\t{known}\t{stored_at}\tfalse\t{row}",
    )


def _instant(us: int) -> str:
    minute, rest = divmod(us, _MINUTE_US)
    return f"{_minute(minute)}{rest // 1_000_000:02d}.{rest % 1_000_000:06d}+00:00"


@lru_cache(maxsize=65_536)
def _minute(number: int) -> str:
    """The beginning of an instant's text, for most events share theirs with others."""
    return f"{EPOCH + timedelta(0, number * 60):%Y-%m-%dT%H:%M:}"


def _is_special(text: str) -> bool:
    return "\\" in text or "\n" in text or "\t" in text or "\r" in text
