"""What a change of a definition does, feature by feature, and the bump that it needs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detektor_pipelines.language import Feature, FeatureView, count, data_hash, days, event, feature, hours, total
from detektor_pipelines.language.canonical import to_canonical
from detektor_pipelines.language.windows import HOUR
from detektor_pipelines.versions.changes import BUMPS, WHOLE_VIEW, bumped, compare, enough, numbers_of

if TYPE_CHECKING:
    from collections.abc import Callable


def made(name: str, value: Any, **more: Any) -> Feature:
    return Feature(name, value, **{"description": "Text.", "unit": "things", "null_means": "Nothing.", **more})


LINES = made("lines_total", total(event.lines_added), over=days(7))
TESTS = made("tests_total", total(event.tests_added), over=days(7), within=(0, None))
SHARE = made("tests_share", feature("tests_total") / feature("lines_total"))
TWICE = made("twice_the_share", feature("tests_share") * 2)
VIEW = FeatureView("some_features", "detektor-coder", "1.0.0", "someone", "Text.", (LINES, TESTS, SHARE, TWICE))


def with_feature(number: int, **fields: Any) -> FeatureView:
    features = list(VIEW.features)
    features[number] = replace(features[number], **fields)
    return replace(VIEW, features=tuple(features))


CASES: dict[str, tuple[Callable[[], FeatureView], str, list[str]]] = {
    "nothing": (lambda: VIEW, "none", []),
    "the version alone": (lambda: replace(VIEW, version="1.0.1"), "none", []),
    "a text": (lambda: with_feature(0, description="Other.", unit="lines"), "none", ["lines_total: text only (description, unit)"]),
    "a bound": (lambda: with_feature(1, within=(0, 9)), "none", ["tests_total: text only (within)"]),
    "the owner": (lambda: replace(VIEW, owner="others", max_age=hours(3)), "none", [f"{WHOLE_VIEW}: text only (owner, max_age)"]),
    "one more": (
        lambda: replace(VIEW, features=(*VIEW.features, made("events_count", count(), over=days(1)))),
        "minor",
        ["events_count: added"],
    ),
    "one less": (lambda: replace(VIEW, features=VIEW.features[:-1]), "major", ["twice_the_share: removed"]),
    "another name": (
        lambda: replace(VIEW, features=(*VIEW.features[:3], replace(TWICE, name="double_share"))),
        "major",
        ["double_share: added (the numbers of twice_the_share, which is removed)", "twice_the_share: removed"],
    ),
    "a window, and what is made of it": (
        lambda: with_feature(1, over=days(14)),
        "major",
        [
            "tests_total: numbers change (window 7d → 14d)",
            "tests_share: numbers change (it is made of tests_total)",
            "twice_the_share: numbers change (it is made of tests_share)",
        ],
    ),
    "a filter": (
        lambda: with_feature(0, where=event.outcome == "success"),
        "major",
        [
            "lines_total: numbers change (filter)",
            "tests_share: numbers change (it is made of lines_total)",
            "twice_the_share: numbers change (it is made of tests_share)",
        ],
    ),
    "a derived one alone": (
        lambda: with_feature(3, value=feature("tests_share") * 3),
        "major",
        ["twice_the_share: numbers change (aggregation)"],
    ),
    "the order": (
        lambda: replace(VIEW, features=(TESTS, LINES, SHARE, TWICE)),
        "patch",
        [f"{WHOLE_VIEW}: text only (the features stand in another order)"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_change_is_named_with_its_bump(case: str) -> None:
    after, bump, said = CASES[case]
    found = compare(to_canonical(VIEW), to_canonical(after()))

    assert (found.bump, [str(each) for each in found.changes]) == (bump, said)
    assert found.numbers is (data_hash(after()) != data_hash(VIEW)), "a bump is needed exactly where rows are computed anew"


def test_another_grain_is_another_number_of_every_feature() -> None:
    found = compare(to_canonical(VIEW), to_canonical(replace(VIEW, grain=HOUR // 2)))

    assert found.bump == "major"
    assert [each.feature for each in found.changes] == [WHOLE_VIEW, *(each.name for each in VIEW.features)]
    assert {each.kind for each in found.changes} == {"numbers change"}


def test_other_rules_of_the_numbers_are_other_numbers_of_every_feature() -> None:
    before = to_canonical(VIEW) | {"semantics": 0}

    assert compare(before, to_canonical(VIEW)).bump == "major"


VERSIONS = st.tuples(*3 * [st.integers(0, 20)]).map(lambda numbers: ".".join(map(str, numbers)))


@given(VERSIONS, st.sampled_from(BUMPS[1:]))
def test_a_bump_is_enough_for_itself_and_for_less(version: str, bump: Any) -> None:
    following = bumped(version, bump)

    assert [each for each in BUMPS if enough(version, following, each)] == list(BUMPS[: BUMPS.index(bump) + 1])
    assert not enough(following, version, "none")
    assert not enough(version, version, "none")


@given(VERSIONS, VERSIONS)
def test_versions_are_ordered_by_their_numbers(one: str, other: str) -> None:
    assert enough(one, other, "none") is (numbers_of(other) > numbers_of(one))
