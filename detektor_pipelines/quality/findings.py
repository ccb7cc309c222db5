"""What a check says, and what each check is for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

Severity: TypeAlias = Literal["error", "warn"]
Case: TypeAlias = Mapping[str, str]
Figure: TypeAlias = float | int | str

SHOWN: Final = 50
"""Cases that a finding lists: enough to see what is wrong, few enough for a page."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's verdict.

    Attributes:
        check: Its name.
        passed: Nothing is wrong, or nothing could be judged yet: `summary` says which.
        summary: One sentence.
        severity: What it means when it did not pass.
        fix: What a person does about it; empty for one that passed.
        cases: The rows or days it is about, at most `SHOWN`, all with the same keys.
        figures: Numbers worth a plot.

    """

    check: str
    passed: bool
    summary: str
    severity: Severity = "warn"
    fix: str = ""
    cases: tuple[Case, ...] = ()
    figures: Mapping[str, Figure] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Check:
    """A check: its name, what it looks at, and why it is an error or a warning."""

    name: str
    looks_at: str
    severity: str

    @property
    def description(self) -> str:
        """Both as a text."""
        return f"{self.looks_at}\n\n{self.severity}"


FRESH: Final = Check(
    "data_is_fresh",
    "How far the published rows are true: up to the end of the newest published day, or, while that day is open, up to the last whole"
    " hour before it was computed. This is the age of the data, not of a run. An agent that does nothing is fresh as long as its days are"
    " computed.",
    "WARN after three hours, since the open day is computed each hour; ERROR beyond the view's max_age, where reads of online values say"
    " OUTSIDE_MAX_AGE.",
)
LOG_FRESH: Final = Check(
    "data_is_fresh",
    "When something last arrived in the raw log, from whichever agent.",
    "WARN after three days: a weekend without work is usual, longer silence is more often a hook that no longer delivers.",
)
VOLUME: Final = Check(
    "volume_is_usual",
    "The agent's events of the seven days up to a day against the same sum in each of the eight weeks before. Too many is more than four"
    " times their median, too few less than a tenth of it, and either off by more than 300 events. Three earlier weeks are needed. A week"
    " that ends with the open day is judged for too many events only. Judged are the weeks up to the three newest published days.",
    "WARN: the rows are right either way, the agents' work or its logging may have changed.",
)
NULLS: Final = Check(
    "nulls_are_usual",
    "The share of nulls of each feature in a day's rows and in those of the published day before it, against the seven before these."
    " Unusual is more than 50 percentage points above the greatest of those, on both days; days with fewer than 12 rows are not judged.",
    "WARN: null is a value, but a jump usually means that a reader no longer finds a measure in the logs.",
)
UNIQUE: Final = Check(
    "rows_are_unique",
    "Each stored version of a row is there once: no two with the same agent_id, event_timestamp, created_at and written_at, so that one is"
    " the newest; and none says again what the version before it said at the same created_at.",
    "ERROR: of two newest versions a reader gets either, and training sets get both.",
)
BOUNDS: Final = Check(
    "values_are_in_bounds",
    "The newest versions in the table itself: values within the view's bounds, finite, null only where null means something, keys of this"
    " agent. The gate holds this before publication; here it also finds what an older gate let through or a hand wrote.",
    "ERROR: such values are served.",
)
SHRINK: Final = Check(
    "rows_did_not_shrink",
    "The number of rows a published day was recorded with against the rows its table holds, which nothing is ever deleted from. Events are"
    " append-only, so a day computed again has all rows that it ever had.",
    "ERROR: rows were lost, or rows are served that the log does not give.",
)
VERSION: Final = Check(
    "rows_are_of_this_version",
    "All days that were ever published have rows of the view's present definition, by its data hash.",
    "WARN, with the command of the backfill: earlier rows stay readable as what they are, and recomputing months is a person's decision.",
)

DRIFT: Final = Check(
    "values_have_not_drifted",
    "Each feature's values of the last seven published days against a pinned reference: population stability index, and what of it chance"
    " does not explain; the share of nulls is judged apart. It is looked at once a day, a publication says again what was found last."
    " `detektor drift` shows the figures.",
    "WARN above 0.2 beyond chance: the rows are right either way, but a model that learnt from the reference may no longer hold.",
)

BESIDE_THE_GATE: Final = (FRESH, VERSION, VOLUME, NULLS, DRIFT, UNIQUE, BOUNDS, SHRINK)
"""Computed after each publication, in this order."""


def not_computed(check: str, reason: str) -> Finding:
    """Return the verdict of a check that could not look: what is published stands, but nobody has judged it."""
    return Finding(
        check, passed=False, summary=f"Not computed: {reason}", fix="Fix that; the next materialization computes the check again."
    )


def listed(days: Iterable[object]) -> str:
    """Return at most ten of the days in words."""
    names = [str(day) for day in days]
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")  # noqa: PLR2004
