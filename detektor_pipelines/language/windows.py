"""Sawtooth windows: an exact head, a tail rounded down to the hop. All instants are int µs UTC.

With `leave = ceil(occurred_at / hop) * hop + size` an event is present at t while `enter <= t < leave`.
"""

from dataclasses import dataclass
from typing import Final

from detektor_pipelines.language.expressions import DefinitionError

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

MAXIMUM_SIZE: Final = 3_650 * DAY
"""The longest window, ten years: each day's run reads as much of the log, and the stream keeps it in memory day by day."""


def floor_to(instant: int, step: int) -> int:
    """The greatest multiple of `step` that is not after `instant`."""
    return instant - instant % step


def ceil_to(instant: int, step: int) -> int:
    """The least multiple of `step` that is not before `instant`."""
    return -(-instant // step) * step


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """A window of `size` µs; its hop follows from the size: 5 min below 12 h, 1 h below 12 d, else 1 d.

    Raises:
        DefinitionError: when the size is not a positive multiple of the hop, or longer than ten years.

    """

    size: int

    def __post_init__(self) -> None:
        if not isinstance(self.size, int) or self.size <= 0 or self.size % self.hop:
            message = f"a window of {self.size} µs is not a positive multiple of its hop ({self.hop} µs)"
            raise DefinitionError(message)
        if self.size > MAXIMUM_SIZE:
            longest = f"the longest is {MAXIMUM_SIZE // DAY:,}, as every run reads so much of the log"
            message = f"a window of {self.size // DAY:,} days: {longest}"
            raise DefinitionError(message)

    @property
    def hop(self) -> int:
        """Resolution of the tail in µs."""
        if self.size < 12 * HOUR:
            return 5 * MINUTE
        return HOUR if self.size < 12 * DAY else DAY

    @property
    def label(self) -> str:
        """Short name: `1d`, `12h`, `45m`."""
        for unit, length in (("d", DAY), ("h", HOUR)):
            if self.size % length == 0:
                return f"{self.size // length}{unit}"
        return f"{self.size // MINUTE}m"

    def leave(self, occurred_at: int) -> int:
        """The instant at which an event of `occurred_at` is no longer in the window."""
        return ceil_to(occurred_at, self.hop) + self.size


def days(n: int) -> Window:
    """A window of n days."""
    return Window(_whole(n, "days") * DAY)


def hours(n: int) -> Window:
    """A window of n hours."""
    return Window(_whole(n, "hours") * HOUR)


def minutes(n: int) -> Window:
    """A window of n minutes (a multiple of 5)."""
    return Window(_whole(n, "minutes") * MINUTE)


def _whole(n: object, unit: str) -> int:
    if type(n) is not int:
        message = f"{unit}({n!r}): a window is a whole number of {unit}"
        raise DefinitionError(message)
    return n
