"""What a validation says: how much was compared, and what is wrong, where, and what to do."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Final

SHOWN: Final = 20
"""Problems that an outcome lists: enough to see what is wrong."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong."""

    what: str
    where: str
    fix: str


@dataclass(slots=True)
class Outcome:
    """What one check found.

    Attributes:
        check: Its name.
        looks_at: What it looks at, one sentence.
        unit: Of what it compared.
        compared: How many of these.
        wrong: How many problems there are.
        problems: The first of them.
        note: What was left out of account and why; empty where nothing was.
        seconds: How long it took.

    """

    check: str
    looks_at: str
    unit: str
    compared: int = 0
    wrong: int = 0
    problems: list[Problem] = field(default_factory=list)
    note: str = ""
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Something was compared, and nothing was wrong."""
        return self.compared > 0 and not self.wrong

    def add(self, what: str, where: str, fix: str) -> None:
        """Note a problem."""
        self.wrong += 1
        if len(self.problems) < SHOWN:
            self.problems.append(Problem(what, where, fix))

    def conclude(self, fix: str) -> None:
        """End the check: one that compared nothing has not passed, and `fix` says what gives it something to compare."""
        if not self.compared and not self.wrong:
            self.add("Compared nothing, which is no success.", f"no {self.unit} to compare", fix)

    def as_data(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self) | {"passed": self.passed, "seconds": round(self.seconds, 3)}
