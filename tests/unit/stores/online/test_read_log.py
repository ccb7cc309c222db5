"""Which of the values read are kept for parity: each with the same probability, however they come."""

from __future__ import annotations

import random

import pytest

from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.stores.online.read_log import Sampler, sampled
from detektor_pipelines.stores.online.values import Lookup, stored_view


@pytest.mark.parametrize("at_once", [1, 3, 1_000])
def test_each_is_chosen_with_the_same_probability(at_once: int) -> None:
    random.seed(7)
    sampler, turns = Sampler(0.05), 60_000 // at_once
    found = [sampler.chosen(at_once) for _ in range(turns)]
    assert all(0 <= each < at_once for some in found for each in some)
    assert all(some == sorted(set(some)) for some in found)
    assert 2_700 < sum(map(len, found)) < 3_300  # 3,000 ± 5.6 standard deviations


def test_all_and_none() -> None:
    assert Sampler(1).chosen(3) == [0, 1, 2]
    assert Sampler(0).chosen(1_000) == []


def test_what_is_chosen_is_a_value_with_its_version_and_agent() -> None:
    lookups = [Lookup("detektor", stored_view(view), ["a", "b"]) for view in VIEWS[:2]]
    answers = [b"1", None, b"mark", None, b"2", b"mark"]
    versions = [each.view.version for each in lookups]
    assert sampled(lookups, answers, Sampler(1)) == [(versions[0], "a", b"1"), (versions[1], "b", b"2")]
