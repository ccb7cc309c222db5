"""What a check found: parts that passed, failed or could not be checked, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from detektor_pipelines.settings import Settings

State: TypeAlias = Literal["passed", "failed", "not checked"]
_WORST: Final[tuple[State, ...]] = ("failed", "not checked", "passed")


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that was looked at: what it was found to be, and, unless it passed, what to do."""

    state: State
    text: str
    fix: str = ""


Say: TypeAlias = "Callable[[str], None]"
"""Tells a person what is under way, while it lasts."""

Check: TypeAlias = "Callable[[Settings, Say], Iterator[Part]]"
"""Looks at one row. May raise: that is a part that failed."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the list; `title` says in a few words what has to work."""

    name: str
    title: str
    check: Check


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a row."""

    row: Row
    parts: tuple[Part, ...]
    seconds: float

    @property
    def state(self) -> State:
        """The worst of its parts; a row without any was not checked."""
        return min((part.state for part in self.parts), key=_WORST.index, default="not checked")

    def as_data(self) -> dict[str, Any]:
        """Return it for JSON."""
        parts = [{"state": part.state, "found": part.text, "what_to_do": part.fix} for part in self.parts]
        return {"row": self.row.name, "title": self.row.title, "state": self.state, "seconds": round(self.seconds, 2), "parts": parts}


def passed(text: str) -> Part:
    """Say that something is as it has to be."""
    return Part("passed", text)


def failed(text: str, fix: str) -> Part:
    """Say that something is not, and what to do."""
    return Part("failed", text, fix)


def unchecked(text: str, fix: str) -> Part:
    """Say that something could not be looked at, and what it takes."""
    return Part("not checked", text, fix)


def judged(good: object, text: str, fix: str) -> Part:
    """Return the part of a condition: what was found, and what to do when it is not good."""
    return passed(text) if good else failed(text, fix)
