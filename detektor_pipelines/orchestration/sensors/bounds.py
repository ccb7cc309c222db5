"""How often a sensor may ask for the same: three runs for one cause, with a pause after each failure, then a person is told once.

The cause is in the run's tags, so that what counts is the runs there are: nothing else has to be remembered, and a run that Dagster itself
retried counts too.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import dagster as dg

from detektor_pipelines.orchestration.requests import REASON_TAG, writes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.orchestration.requests import Reason

RUNS: Final = 3
"""Runs for the same cause."""

CAUSE_TAG: Final = "detektor.cause"
"""Prefix of the run tag that holds, for each view of a run, the digest of why it was asked for."""

_PAUSES: Final = (60, 240, 960, 3600)
"""Seconds after the first, second, … failure in a row of one view, whatever the causes: causes may come by the minute (an agent that logs
late, day after day, onto a day that fails the gate)."""
_LOOKED_AT: Final = 40
_NAMED: Final = 3
_BAD: Final = (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether to ask for a run; if not, why, and after the last attempt for this cause the run that it was."""

    allowed: bool
    why: str = ""
    last_run: str | None = None


def digest(*parts: object) -> str:
    """Return 16 hex digits that stand for a cause."""
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:16]


def cause(view: FeatureView, value: str) -> dict[str, str]:
    """Return the tag of a run that is asked for because of `value`."""
    return {f"{CAUSE_TAG}/{view.name}": value}


class Attempts:
    """What was tried already for one reason; made for one tick."""

    def __init__(self, instance: dg.DagsterInstance, reason: Reason) -> None:
        self._instance = instance
        self._recent = instance.get_run_records(dg.RunsFilter(tags={REASON_TAG: reason}), limit=_LOOKED_AT)

    def verdict(self, view: FeatureView, value: str) -> Verdict:
        """Say whether another run of `view` because of `value` may be asked for now."""
        made = self._instance.get_run_records(dg.RunsFilter(tags=cause(view, value)), limit=RUNS)
        if len(made) >= RUNS:
            return Verdict(allowed=False, why=f"given up after {RUNS} runs", last_run=made[0].dagster_run.run_id)
        failures = self._failures_in_a_row(view)
        if failures:
            pause = _PAUSES[min(len(failures), len(_PAUSES)) - 1]
            left = pause - (_now() - _ended(failures[0]))
            if 0 < left <= 2 * pause:  # more: the clock was put back since
                return Verdict(allowed=False, why=f"the last run failed, the next is asked for in {left:.0f} s")
        return Verdict(allowed=True)

    def _failures_in_a_row(self, view: FeatureView) -> list[dg.RunRecord]:
        """Return the newest runs of the view up to its last success, the newest first."""
        failures = []
        for record in self._recent:
            if writes(record.dagster_run, view):
                if record.dagster_run.status not in _BAD:
                    break
                failures.append(record)
        return failures


class WaitingViews:
    """Why nothing is asked for, as a person reads it: views that wait for the same are named together."""

    def __init__(self) -> None:
        self._views: dict[str, list[str]] = {}

    def add(self, view: FeatureView, why: str) -> None:
        """Note that the view waits."""
        self._views.setdefault(why, []).append(view.name)

    def __str__(self) -> str:
        """Give one sentence for each reason."""
        return "; ".join(f"{_named(views)}: {why}" for why, views in self._views.items())


class Reported:
    """What people were told already, out of a sensor's cursor and into the next one; what no longer matters drops out."""

    def __init__(self, cursor: str | None) -> None:
        self._before = _read(cursor)
        self._now: set[str] = set()

    def first_time(self, mark: str) -> bool:
        """Keep `mark`; say whether it is new."""
        self._now.add(mark)
        return mark not in self._before

    @property
    def cursor(self) -> str:
        """What to hand to the next tick."""
        return json.dumps(sorted(self._now))


def _named(views: Sequence[str]) -> str:
    more = len(views) - _NAMED
    return ", ".join(views[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _read(cursor: str | None) -> frozenset[str]:
    try:
        return frozenset(map(str, json.loads(cursor or "[]")))
    except (ValueError, TypeError):
        return frozenset()


def _ended(record: dg.RunRecord) -> float:
    return record.end_time or record.update_timestamp.timestamp()


def _now() -> float:
    return time.time()
