"""What is said of a feature's drift: by which method, how much of it chance does not explain, and what follows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final, Literal, TypeAlias, get_args

Level: TypeAlias = Literal["calm", "watch", "alert", "too_few"]
Method: TypeAlias = Literal["psi", "jensen_shannon", "chi_square", "null_share"]

METHODS: Final[tuple[Method, ...]] = get_args(Method)
CALM: Final = 0.1
ALERT: Final = 0.2
CONFIDENCE: Final = 0.9
"""Of the interval, both sides; its lower end is the score."""

WINDOW_DAYS: Final = 7
"""What is compared with the reference: one of each weekday."""


@dataclass(frozen=True, slots=True)
class Reference:
    """Which days a view's features are compared with.

    Attributes:
        view: Its name.
        data_hash: Of the definition that the rows are of.
        number: 1 is the first that was pinned; the highest counts.
        first: First day, UTC.
        last: Last day, included.
        rows_hash: SHA-256 over the hashes of those days as they were published then.
        pinned_at: When, by the platform's clock.
        pinned_by: Who.

    """

    view: str
    data_hash: str
    number: int
    first: date
    last: date
    rows_hash: str
    pinned_at: datetime
    pinned_by: str

    @property
    def words(self) -> str:
        """The reference in a few words."""
        return f"reference {self.number} ({self.first} to {self.last})"


@dataclass(frozen=True, slots=True)
class Result:
    """One feature by one method, of the seven days that end with `day`.

    Attributes:
        view: Its name.
        feature: Its name.
        method: One of `METHODS`.
        day: Last day of the window.
        score: How much of the difference chance does not explain: the lower end of the interval. `CALM` and `ALERT` are about this.
        observed: The difference as it is, with what chance adds to it.
        high: The interval's upper end.
        p_value: Of no difference at all.
        n_reference: Values of the reference, in days of an agent_id.
        n_current: The same of the window.
        level: What follows; `too_few` where the sample cannot tell.
        reference: Number of the reference.
        note: What else there is to say: agent_ids that are in one of the two only.

    """

    view: str
    feature: str
    method: Method
    day: date
    score: float
    observed: float
    high: float
    p_value: float
    n_reference: int
    n_current: int
    level: Level
    reference: int
    note: str = ""

    @property
    def interval(self) -> tuple[float, float]:
        """What the true difference lies between, with `CONFIDENCE`."""
        return self.score, self.high

    @property
    def window(self) -> tuple[date, date]:
        """First and last day of what is compared."""
        return self.day - timedelta(days=WINDOW_DAYS - 1), self.day
