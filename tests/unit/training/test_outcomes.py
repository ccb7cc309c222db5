"""Predictions beside what came, against figures worked out by hand."""

from __future__ import annotations

import math
from datetime import date

import numpy as np
import pytest

from detektor_pipelines.clock import parse_instant
from detektor_pipelines.language.windows import DAY, HOUR
from detektor_pipelines.training.outcomes import AHEAD, LEAST, Compared, by_week, figures, judge

SUNDAY = parse_instant("2026-03-08T23:00:00Z")


def compared(*rows: tuple[int, bool, float], baseline: float = 0.25) -> Compared:
    at, outcomes, probabilities = zip(*rows, strict=True) if rows else ((), (), ())
    return Compared(
        np.array(at, dtype=np.int64), np.array(outcomes, dtype=bool), np.array(probabilities, dtype=float), np.full(len(rows), baseline)
    )


def many(*, right: bool, days: int, number: int = 60) -> Compared:
    """Half of the outcomes are true; the model says nine tenths of what comes, or of what does not."""
    rows = [(SUNDAY + each % days * DAY + each, each % 2 == 0, 0.9 if (each % 2 == 0) == right else 0.1) for each in range(number)]
    return compared(*sorted(rows), baseline=0.5)


def test_figures_are_those_worked_out_by_hand() -> None:
    found = figures(compared((1, True, 0.8), (2, False, 0.5), (3, False, 0.2), (4, True, 0.4)))
    assert found is not None
    assert (found.count, found.observed) == (4, 0.5)
    assert found.predicted == pytest.approx((0.8 + 0.5 + 0.2 + 0.4) / 4)
    assert found.agreement == 0.5, "one half counts as true, so the second is wrong, and the fourth is"
    assert found.log_loss == pytest.approx(-(math.log(0.8) + math.log(0.5) + math.log(0.8) + math.log(0.4)) / 4)
    assert (found.baseline_predicted, found.baseline_agreement) == (0.25, 0.5)
    assert found.baseline_log_loss == pytest.approx(-(math.log(0.25) + math.log(0.75)) / 2)


def test_of_nothing_there_are_no_figures() -> None:
    nothing = compared()
    assert figures(nothing) is None
    assert by_week(nothing, AHEAD) == ()
    found = judge(nothing, AHEAD)
    assert (found.figures, found.behind, found.days) == (None, (), 0)
    assert found.summary() == "No outcome is known yet of a prediction that was written before the outcome was known."


def test_a_week_begins_on_monday_at_midnight_utc() -> None:
    weeks = by_week(compared((SUNDAY, True, 0.9), (SUNDAY + HOUR - 1, True, 0.9), (SUNDAY + HOUR, False, 0.9)), AHEAD)
    assert [(each.monday, each.figures.count, each.figures.agreement) for each in weeks] == [
        (date(2026, 3, 2), 2, 1.0),
        (date(2026, 3, 9), 1, 0.0),
    ]


def test_a_model_that_is_right_is_not_behind() -> None:
    found = judge(many(right=True, days=20), AHEAD)
    assert found.behind == ()
    assert found.gained["log loss"].value == pytest.approx(-math.log(0.9) + math.log(0.5))
    assert found.gained["agreement"].value == 0.5
    assert "not behind" in found.summary()


def test_a_model_that_is_wrong_is_behind_in_what_it_is_wrong_in() -> None:
    found = judge(many(right=False, days=20), AHEAD)
    assert found.behind == ("agreement", "log loss")
    assert "BEHIND the prior rate in agreement and log loss" in found.summary()


def test_a_model_that_foretells_too_much_is_behind_in_calibration() -> None:
    rows = [(SUNDAY + each * DAY // 2, each % 5 == 0, 0.45) for each in range(100)]
    found = judge(compared(*rows, baseline=0.2), AHEAD)
    assert found.gained["calibration"].value == pytest.approx(0.25)
    assert found.gained["agreement"].value == 0
    assert "calibration" in found.behind
    assert "agreement" not in found.behind


@pytest.mark.parametrize(("number", "days"), [(LEAST - 1, 20), (60, 9)])
def test_few_outcomes_or_days_are_not_judged(number: int, days: int) -> None:
    found = judge(many(right=False, days=days, number=number), AHEAD)
    assert found.gained == {}
    assert found.behind == ()
    assert "Too few to judge" in found.summary()
