"""What a report says, as data: what `--json` prints and the page shows."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Final, TypeAlias

Point: TypeAlias = "float | None"

NULL: Final = "null"
MISSING: Final = "not computed"


@dataclass(frozen=True, slots=True)
class Period:
    """The UTC days that the report is about, both included."""

    first: date
    last: date

    @property
    def length(self) -> int:
        """How many they are."""
        return (self.last - self.first).days + 1

    @property
    def days(self) -> list[date]:
        """All of them."""
        return [self.first + timedelta(days=number) for number in range(self.length)]


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of some work; of one task the larger of what its answers add up to and what its summary says."""

    sent: int = 0
    produced: int = 0
    cache_read: int = 0
    cache_written: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.sent + self.produced + self.cache_read + self.cache_written

    def __add__(self, other: Tokens) -> Tokens:
        """Return the sums."""
        return Tokens(
            self.sent + other.sent,
            self.produced + other.produced,
            self.cache_read + other.cache_read,
            self.cache_written + other.cache_written,
        )


@dataclass(slots=True)
class Did:
    """What one agent did: `name` is one of the eight, or the name in the logs of one that maps to none of them.

    `work` and `failed` are its own work's events by day of the period (for an agent of no own work, all its events).
    """

    name: str
    mapped: bool
    names: tuple[str, ...] = ()
    events: int = 0
    operations: dict[str, int] = field(default_factory=dict)
    projects: dict[str, int] = field(default_factory=dict)
    sessions: int = 0
    tasks: int = 0
    work_name: str = "events"
    work: list[int] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)
    tokens: Tokens = field(default_factory=Tokens)
    tokens_by_day: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Series:
    """One feature of an agent over the period, a value a day: the one at the day's end, or `NULL` or `MISSING`.

    `values` of an instant are days since it, at the day's end.
    """

    feature: str
    unit: str
    description: str
    null_means: str
    value_type: str
    values: tuple[float | int | str, ...]

    @property
    def known(self) -> list[float]:
        """The values that are numbers."""
        return [float(each) for each in self.values if not isinstance(each, str)]


@dataclass(frozen=True, slots=True)
class ViewSeries:
    """The features of a view for its agent across all projects."""

    view: str
    version: str
    agent: str
    decides: str
    description: str
    rows: int
    series: tuple[Series, ...]


@dataclass(frozen=True, slots=True)
class EventBehind:
    """One event that a statement rests on."""

    event_id: str
    occurred_at: datetime
    agent_id: str
    said: str
    source: str


@dataclass(frozen=True, slots=True)
class StandsOut:
    """One thing that stands out.

    `tested`: it passed the test against chance; otherwise it is a record, and something always is the most. `chance`: how often chance
    alone gives as much, over everything that was looked at together; None for a record.
    """

    headline: str
    detail: str
    tested: bool
    agent: str
    events: tuple[EventBehind, ...]
    events_in_all: int
    chance: float | None = None
    before: tuple[float, ...] = ()
    split: date | None = None


@dataclass(frozen=True, slots=True)
class Looked:
    """How the things that stand out were looked for."""

    measures: int
    units: int
    unit_days: int
    shuffles: int
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Quality:
    """One view's state."""

    view: str
    rows: int
    published: int
    due: int
    missing: tuple[date, ...]
    stale: tuple[date, ...]
    fresh: bool
    freshness: str
    nulls: float | None
    parity: str
    fix: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """One reason for which records were not taken, how many, and the latest of them."""

    reason: str
    records: int
    example: str
    excerpt: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read and what was not."""

    sources: tuple[tuple[str, int], ...]
    sources_in_all: int
    unmapped: tuple[tuple[str, int], ...]
    main_thread: int
    rejected: tuple[Rejected, ...]
    derived: int
    last: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Drifted:
    """One feature's distance from its reference window."""

    view: str
    feature: str
    method: str
    score: float | None
    level: str
    n_reference: int
    n_current: int
    interval: str
    window: str


@dataclass(frozen=True, slots=True)
class Report:
    """All of it. `drift` is None when it was not computed, and `drift_note` says what computes it."""

    period: Period
    made_at: datetime
    clock_set: bool
    simulated: bool | None
    definitions: str
    sessions: int
    did: tuple[Did, ...]
    idle: tuple[str, ...]
    views: tuple[ViewSeries, ...]
    stands_out: tuple[StandsOut, ...]
    looked: Looked
    quality: tuple[Quality, ...]
    reading: Reading
    drift: tuple[Drifted, ...] | None
    drift_note: str = ""

    @property
    def events(self) -> int:
        """Events of the period."""
        return sum(each.events for each in self.did)

    @property
    def tokens(self) -> Tokens:
        """Tokens of the period."""
        return sum((each.tokens for each in self.did), Tokens())

    def as_data(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self) | {"days": [str(day) for day in self.period.days]}
