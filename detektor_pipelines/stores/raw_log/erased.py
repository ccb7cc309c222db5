"""What was erased and must not come back: asked of every event before it is stored.

    ml_learning.erasures       kind and keyed hash of each erasure, never the name itself
    ml_learning.erasure_key    the key: without it nobody can try names against the hashes

An erased session or user stays away for ever; of an agent_id or a project what happened up to the erasure does, for both may go on working.
Whoever stores events asks in the transaction that stores them, after the log's lock (`LOCK`): so no erasure falls between the two.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

Kind: TypeAlias = Literal["agent-id", "session", "project", "user"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

LOCK: Final = "LOCK TABLE ml_learning.agent_events IN ROW EXCLUSIVE MODE"
"""What an INSERT takes later anyway; erasing takes one that waits for it, and that it waits for."""

SELECT: Final = """
SELECT key, kind, digest, (extract(epoch FROM until) * 1000000)::bigint
FROM ml_learning.erasures CROSS JOIN ml_learning.erasure_key
"""
HOME: Final = re.compile(r"(?:/home|/Users|\\Users)[/\\]+([^/\\]+)")
"""Whose home directory a path lies in."""

ASKED: Final = ["agent_type", "project", "session_id", "attributes", "source", "occurred_at"]
"""Columns of an event that `covers` asks for."""

_FOREVER: Final = 2**62
_WORDS: Final = tuple(re.compile(pattern) for pattern in (r"[\w.@-]+", r"[\w.-]+", r"[\w-]+", r"\w+"))
"""Words of a text, in the wider and the narrower sense: a name may hold a dot, and be followed by one."""


def digest(key: str, kind: Kind, name: str) -> str:
    """Return the keyed hash by which an erasure is known."""
    return hmac.new(key.encode(), f"{kind}\0{name}".encode(), hashlib.sha256).hexdigest()


@dataclass(slots=True)
class Erased:
    """The erasures there were. `key`: of the hashes; `until`: (kind, digest) → µs UTC up to which events stay away."""

    key: str = ""
    until: dict[tuple[str, str], int] = field(default_factory=dict)
    _digests: dict[tuple[Kind, str], str] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Iterable[Sequence[Any]]) -> Erased:
        """Take the rows of SELECT."""
        found = cls()
        for key, kind, said, until in rows:
            found.key = key
            found.until[kind, said] = max(found.until.get((kind, said), 0), _FOREVER if until is None else int(until))
        return found

    def __bool__(self) -> bool:
        """Whether there was any."""
        return bool(self.until)

    def covers(self, row: Mapping[str, Any]) -> bool:
        """Whether an event, a row of `agent_events` with `occurred_at` in µs, is one of what was erased."""
        return any(self._until(kind, name) >= row["occurred_at"] for kind, name in self._names(row))

    def is_named_in(self, *texts: str) -> bool:
        """Whether texts hold the name of something erased as a word; of agents only those of a project, for the others' names are roles."""
        if not self:
            return False
        words = {word for text in texts for pattern in _WORDS for word in pattern.findall(text)}
        kinds = {kind for kind, _ in self.until}
        return any(
            (kind != "agent-id" or "@" in word) and (kind, self._digest(kind, word)) in self.until
            for kind in KINDS
            if kind in kinds
            for word in words
        )

    def _until(self, kind: Kind, name: str) -> int:
        return self.until.get((kind, self._digest(kind, name)), -_FOREVER)

    def _digest(self, kind: Kind, name: str) -> str:
        known = self._digests.get((kind, name))
        if known is None:
            known = self._digests[kind, name] = digest(self.key, kind, name)
        return known

    def _names(self, row: Mapping[str, Any]) -> Iterator[tuple[Kind, str]]:
        kinds = {kind for kind, _ in self.until}
        agent, project = row["agent_type"], row["project"]
        if "agent-id" in kinds:
            yield "agent-id", agent
            if project is not None:
                yield "agent-id", f"{agent}@{project}"
        if "project" in kinds and project is not None:
            yield "project", project
        if "session" in kinds and row["session_id"] is not None:
            yield "session", row["session_id"]
        if "user" in kinds:
            yield from (("user", name) for name in users_of(row))


def users_of(row: Mapping[str, Any]) -> Iterator[str]:
    """Yield what may be a person's name in an event: each text of its attributes, and whose home directory its source lies in."""
    import orjson

    attributes = row["attributes"]
    yield from _texts(orjson.loads(attributes) if isinstance(attributes, str) else attributes)
    yield from HOME.findall(row["source"])


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)
