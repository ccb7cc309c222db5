"""What is learnt from and what is judged by, against cases made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from detektor_pipelines.errors import UserError
from detektor_pipelines.language.windows import DAY
from detektor_pipelines.training.learning.split import borders, split

HOURLY = np.arange(0, 184 * DAY, DAY // 8, dtype=np.int64)
COINS = np.arange(len(HOURLY)) % 3 == 0


def test_parts_follow_each_other_with_the_embargo_between() -> None:
    made = split(HOURLY, HOURLY + 1, COINS, 30 * DAY)
    assert HOURLY[made.train].max() < made.validation_from - 30 * DAY
    assert HOURLY[made.validation].min() >= made.validation_from
    assert HOURLY[made.validation].max() < made.test_from - 30 * DAY
    assert HOURLY[made.test].min() == made.test_from
    assert HOURLY[made.refit].max() < made.test_from - 30 * DAY
    assert set(made.train) | set(made.validation) < set(made.refit)
    assert len(made.refit) + made.embargoed + len(made.test) == len(HOURLY)


def test_the_parts_are_as_near_to_their_shares_as_the_embargo_lets_them() -> None:
    made = split(HOURLY, HOURLY + 1, COINS, 30 * DAY)
    left = len(made.train) + len(made.validation) + len(made.test)
    assert left == pytest.approx(len(HOURLY) * (184 - 60) / 184, rel=0.02)
    assert [len(part) / left for part in (made.train, made.validation, made.test)] == pytest.approx([0.5, 0.2, 0.3], abs=0.02)


def test_without_an_embargo_nothing_is_left_out() -> None:
    assert split(HOURLY, HOURLY + 1, COINS, 0).embargoed == 0


def test_a_label_that_was_not_known_at_the_border_is_not_learnt_from() -> None:
    known = HOURLY + 1
    known[100] = HOURLY[-1]
    made = split(HOURLY, known, COINS, 30 * DAY)
    assert 100 not in made.train
    assert 100 not in made.refit
    assert 99 in made.train


def test_ten_decisions_at_one_instant_are_never_parted() -> None:
    decided = np.repeat(HOURLY, 10)
    first, second = borders(decided, 30 * DAY)
    assert np.isin([first, second], HOURLY).all()
    made = split(decided, decided + 1, np.arange(len(decided)) % 3 == 0, 30 * DAY)
    assert made.test[0] % 10 == 0


@pytest.mark.parametrize("value", [True, False])
def test_one_class_only_is_refused(*, value: bool) -> None:
    labels = np.full(len(HOURLY), value)
    with pytest.raises(UserError, match=f"All 1,472 labels are {str(value).lower()}"):
        split(HOURLY, HOURLY + 1, labels, 30 * DAY)


def test_too_little_data_says_how_much_there_was_and_how_much_it_takes() -> None:
    with pytest.raises(UserError) as caught:
        split(HOURLY[:400], HOURLY[:400] + 1, COINS[:400], 30 * DAY)
    assert caught.value.what.startswith("Too little data: 400 labels over 50 days leave")
    assert "40 labels in each of the three parts, 8 of each class" in str(caught.value.fix)
    assert "30 days" in str(caught.value.fix)


def test_one_label_is_too_little_and_no_crash() -> None:
    with pytest.raises(UserError, match="All 1 labels"):
        split(HOURLY[:1], HOURLY[:1], COINS[:1], DAY)
    with pytest.raises(UserError, match="Too little data: 2 labels"):
        split(HOURLY[:2], HOURLY[:2], COINS[:2], DAY)


def test_too_few_of_a_class_in_one_part_is_too_little() -> None:
    labels = COINS.copy()
    labels[-400:] = False
    with pytest.raises(UserError, match="to judge by"):
        split(HOURLY, HOURLY + 1, labels, 30 * DAY)
