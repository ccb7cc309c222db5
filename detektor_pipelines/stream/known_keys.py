"""Which keys ought to be online, to be looked at in turns: a Redis that evicts says nothing when it lets a value go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

LOOK_S: Final = 0.2
"""Between two looks, each together with what is said of how far the values are complete."""

TURN_S: Final = 3.0
"""In which all keys are looked at, unless there are too many of them."""

AT_LEAST: Final = 100
AT_MOST: Final = 1_000
"""Keys a look: half a millisecond of the worker."""

View = TypeVar("View")


class KnownKeys(Generic[View]):
    """The keys of some views that were seen online, or written."""

    def __init__(self) -> None:
        self._known: dict[View, set[str]] = {}
        self._turn: list[tuple[View, list[str]]] = []

    def add(self, view: View, keys: Iterable[str]) -> None:
        """Take note of keys; they are looked at from the next turn on."""
        self._known.setdefault(view, set()).update(keys)

    def clear(self) -> None:
        """Know none."""
        self._known.clear()
        self._turn.clear()

    def some(self) -> tuple[View, list[str]] | None:
        """Return the keys of a view that are to be looked at now; None when there are none."""
        if not self._turn:
            total = sum(map(len, self._known.values()))
            size = min(max(-(-int(total * LOOK_S) // int(TURN_S)), AT_LEAST), AT_MOST)
            for view, known in self._known.items():
                keys = list(known)
                self._turn += [(view, keys[start : start + size]) for start in range(0, len(keys), size)]
        return self._turn.pop() if self._turn else None
