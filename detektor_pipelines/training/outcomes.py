"""Predictions beside what came: how often they were right, how far off, by week, and whether the model is behind its baseline.

Two kinds are never added up. *Ahead*: written before the outcome was known, the only fair judgement. *Retrospective*: written afterwards,
from the features of the decision's own instant; whoever chose the model may have seen the outcome.

    agreement      share of predictions on the right side of one half
    log loss       mean of −ln of the probability given to what came (nats)
    calibration    how far the mean probability is from the share that came true

Belongs here: the comparison, a function of arrays. Does not belong here: reading the log and writing predictions (`training.shadow`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from detektor_pipelines import clock
from detektor_pipelines.language.windows import DAY
from detektor_pipelines.training.learning.metrics import Estimate, difference, draws, log_loss

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    import numpy as np
    from numpy.typing import NDArray

    Kind = Literal["ahead", "retrospective"]

AHEAD: Final = "ahead"
RETROSPECTIVE: Final = "retrospective"
LEAST: Final = 40
"""Outcomes that a judgement takes."""
LEAST_DAYS: Final = 10
"""Days that they are of: days are what is drawn again."""

_SEED: Final = 20_260_101
_HALF: Final = 0.5
_WEEK: Final = 7 * DAY
_MONDAY: Final = 4 * DAY
"""1970-01-05 was one."""


@dataclass(frozen=True)
class Compared:
    """Predictions of which the outcome is known, a place each, in the order of decisions.

    `decided_at`: µs UTC; `outcomes`: what came; `probabilities`: the model's; `baseline`: the prior rate of its training set.
    """

    decided_at: NDArray[np.int64]
    outcomes: NDArray[np.bool_]
    probabilities: NDArray[np.float64]
    baseline: NDArray[np.float64]

    def where(self, mask: NDArray[np.bool_]) -> Compared:
        """Return some of them."""
        return Compared(self.decided_at[mask], self.outcomes[mask], self.probabilities[mask], self.baseline[mask])


@dataclass(frozen=True)
class Figures:
    """How some predictions compare; `observed` and `predicted` are the share that came true and the mean probability."""

    count: int
    observed: float
    predicted: float
    agreement: float
    log_loss: float
    baseline_predicted: float
    baseline_agreement: float
    baseline_log_loss: float


@dataclass(frozen=True)
class Week:
    """The figures of decisions of one week (UTC, from Monday)."""

    monday: date
    kind: Kind
    figures: Figures


@dataclass(frozen=True)
class Judgement:
    """All predictions of one kind.

    Attributes:
        kind: Ahead or retrospective.
        figures: Over all of them; None when there is none.
        gained: By figure, the model's less the baseline's, with 95 % intervals; empty when there are too few to judge.
        behind: The figures in which the model is worse than the baseline by more than chance explains.
        days: Of how many days the decisions are.

    """

    kind: Kind
    figures: Figures | None
    gained: Mapping[str, Estimate]
    behind: tuple[str, ...]
    days: int

    def summary(self) -> str:
        """Say it in a sentence."""
        if self.figures is None:
            return f"No outcome is known yet of a prediction that was {_WRITTEN[self.kind]}."
        found = self.figures
        said = f"{found.count:,} predictions were {_WRITTEN[self.kind]}: {found.agreement:.0%} agree with it"
        said += f" (prior rate {found.baseline_agreement:.0%}), log loss {found.log_loss:.3f} (prior rate {found.baseline_log_loss:.3f})"
        said += f", {found.predicted:.0%} foretold and {found.observed:.0%} came true."
        if not self.gained:
            return f"{said} Too few to judge: it takes {LEAST} on {LEAST_DAYS} days."
        if self.behind:
            return f"{said} The model is BEHIND the prior rate in {' and '.join(self.behind)}, by more than chance explains."
        return f"{said} The model is not behind the prior rate."


_WRITTEN: Final[Mapping[Kind, str]] = {
    "ahead": "written before the outcome was known",
    "retrospective": "written after the outcome was known",
}


def figures(compared: Compared) -> Figures | None:
    """Return the figures; None of no predictions."""
    if not len(compared.outcomes):
        return None
    return Figures(
        count=len(compared.outcomes),
        observed=float(compared.outcomes.mean()),
        predicted=float(compared.probabilities.mean()),
        agreement=_agreement(compared.outcomes, compared.probabilities),
        log_loss=log_loss(compared.outcomes, compared.probabilities),
        baseline_predicted=float(compared.baseline.mean()),
        baseline_agreement=_agreement(compared.outcomes, compared.baseline),
        baseline_log_loss=log_loss(compared.outcomes, compared.baseline),
    )


def by_week(compared: Compared, kind: Kind) -> tuple[Week, ...]:
    """Return the figures of each week that has some."""
    import numpy as np

    mondays = (compared.decided_at - _MONDAY) // _WEEK * _WEEK + _MONDAY
    found = []
    for monday in np.unique(mondays):
        of_week = figures(compared.where(mondays == monday))
        if of_week is not None:
            found.append(Week(clock.from_us(int(monday)).date(), kind, of_week))
    return tuple(found)


def judge(compared: Compared, kind: Kind) -> Judgement:
    """Compare the model with its baseline; whole days are drawn again for the intervals."""
    import numpy as np

    days = compared.decided_at // DAY
    number = len(np.unique(days))
    gained: dict[str, Estimate] = {}
    if len(days) >= LEAST and number >= LEAST_DAYS:
        drawn = draws(days, _SEED)
        measured = {"agreement": _agreement, "log loss": log_loss, "calibration": _off}
        gained = {
            name: difference(metric, compared.outcomes, compared.probabilities, compared.baseline, drawn)
            for name, metric in measured.items()
        }
    behind = tuple(name for name, each in gained.items() if (each.high < 0 if name == "agreement" else each.low > 0))
    return Judgement(kind, figures(compared), gained, behind, number)


def _agreement(outcomes: NDArray[np.bool_], probabilities: NDArray[np.float64]) -> float:
    return float(((probabilities >= _HALF) == outcomes).mean())


def _off(outcomes: NDArray[np.bool_], probabilities: NDArray[np.float64]) -> float:
    return abs(float(probabilities.mean()) - float(outcomes.mean()))
