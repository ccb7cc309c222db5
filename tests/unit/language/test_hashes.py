"""The data hash changes exactly when a number, or its place in a row, can; the metadata hash when a text does."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.language import (
    Aggregation,
    Feature,
    FeatureView,
    aggregations,
    count,
    data_hash,
    days,
    event,
    feature,
    hashes,
    hours,
    maximum,
    mean,
    metadata_hash,
    quantile,
)
from detektor_pipelines.language.windows import HOUR

if TYPE_CHECKING:
    from collections.abc import Callable

EDGES = (1, 5, 20)


def made(name: str, value: Any, **more: Any) -> Feature:
    return Feature(name, value, **{"description": "Text.", "unit": "things", "null_means": "Nothing.", **more})


def view() -> FeatureView:
    """A new view each time: equal definitions must not need to be the same object."""
    return FeatureView(
        "some_features",
        "code-reviewer",
        "1.0.0",
        "someone",
        "Text.",
        (
            made("reviews_count", count(), over=days(1), where=(event.operation == "review") & (event.issues_found > 3)),
            made("issues_p50", quantile(event.issues_found, "0.5", edges=EDGES), over=days(7), within=(0, 10)),
            made("duration_ms", mean(event.duration_ms), over=days(7)),
            made("ratio", feature("issues_p50") / feature("reviews_count") * 2),
        ),
    )


def changed(number: int, **fields: Any) -> FeatureView:
    features = list(view().features)
    features[number] = replace(features[number], **fields)
    return replace(view(), features=tuple(features))


NUMBERS: dict[str, Callable[[], FeatureView]] = {
    "agent": lambda: replace(view(), agent="debugger"),
    "grain": lambda: replace(view(), grain=HOUR // 2),
    "order of features": lambda: replace(view(), features=(view().features[1], view().features[0], *view().features[2:])),
    "one feature less": lambda: replace(view(), features=view().features[:-1]),
    "a feature's name": lambda: changed(2, name="mean_duration_ms"),
    "window": lambda: changed(0, over=hours(36)),
    "no filter": lambda: changed(0, where=None),
    "filter's column": lambda: changed(0, where=(event.operation == "review") & (event.review_round > 3)),
    "filter's number": lambda: changed(0, where=(event.operation == "review") & (event.issues_found > 4)),
    "filter's sign": lambda: changed(0, where=(event.operation == "review") & (event.issues_found >= 3)),
    "filter's logic": lambda: changed(0, where=(event.operation == "review") | (event.issues_found > 3)),
    "filter negated": lambda: changed(0, where=~((event.operation == "review") & (event.issues_found > 3))),
    "function": lambda: changed(2, value=maximum(event.duration_ms)),
    "operand": lambda: changed(2, value=mean(event.duration_ms + 0)),
    "q": lambda: changed(1, value=quantile(event.issues_found, "0.6", edges=EDGES)),
    "an edge": lambda: changed(1, value=quantile(event.issues_found, "0.5", edges=(1, 5, 21))),
    "one edge less": lambda: changed(1, value=quantile(event.issues_found, "0.5", edges=EDGES[:-1])),
    "derived operator": lambda: changed(3, value=feature("issues_p50") * feature("reviews_count") * 2),
    "derived number": lambda: changed(3, value=feature("issues_p50") / feature("reviews_count") * 2.0000000000000004),
    "derived order": lambda: changed(3, value=feature("reviews_count") / feature("issues_p50") * 2),
    "derived brackets": lambda: changed(3, value=feature("issues_p50") / (feature("reviews_count") * 2)),
}
TEXTS: dict[str, Callable[[], FeatureView]] = {
    "version": lambda: replace(view(), version="1.0.1"),
    "owner": lambda: replace(view(), owner="someone else"),
    "description": lambda: replace(view(), description="Other text."),
    "tags": lambda: replace(view(), tags=(("team", "x"),)),
    "age": lambda: replace(view(), max_age=hours(13)),
    "a feature's description": lambda: changed(0, description="Other text."),
    "a feature's unit": lambda: changed(0, unit="reviews"),
    "a feature's null": lambda: changed(2, null_means="Nothing at all."),
    "a feature's bounds": lambda: changed(1, within=(0, 11)),
}


def test_equal_definitions_have_equal_hashes() -> None:
    assert data_hash(view()) == data_hash(view())
    assert metadata_hash(view()) == metadata_hash(view())


@pytest.mark.parametrize("what", NUMBERS)
def test_what_can_change_a_number_changes_the_data_hash(what: str) -> None:
    assert data_hash(NUMBERS[what]()) != data_hash(view())


def test_each_change_gives_a_hash_of_its_own() -> None:
    assert len({data_hash(make()) for make in NUMBERS.values()}) == len(NUMBERS)


@pytest.mark.parametrize("what", TEXTS)
def test_what_people_read_changes_the_metadata_hash_alone(what: str) -> None:
    assert data_hash(TEXTS[what]()) == data_hash(view())
    assert metadata_hash(TEXTS[what]()) != metadata_hash(view())


def test_new_rules_of_the_numbers_change_every_data_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    before = [data_hash(each) for each in VIEWS]
    monkeypatch.setattr(hashes, "SEMANTICS_VERSION", hashes.SEMANTICS_VERSION + 1)

    assert not set(before) & {data_hash(each) for each in VIEWS}


def test_a_new_rule_of_quantiles_changes_the_data_hash_of_the_views_that_have_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with_one = {
        each.name
        for each in VIEWS
        if any(isinstance(part.value, Aggregation) and part.value.function == "quantile" for part in each.features)
    }
    before = {each.name: data_hash(each) for each in VIEWS}
    monkeypatch.setattr(aggregations, "QUANTILE_RULE", aggregations.QUANTILE_RULE + 1)

    assert {each.name for each in VIEWS if data_hash(each) != before[each.name]} == with_one
    assert 0 < len(with_one) < len(VIEWS)


@given(st.sampled_from(VIEWS), st.text(min_size=1), st.text(min_size=1), st.integers(0, 50))
def test_no_text_of_a_catalogue_reaches_its_data_hash(catalogue: FeatureView, one: str, other: str, number: int) -> None:
    features = list(catalogue.features)
    at = number % len(features)
    features[at] = replace(features[at], description=one, unit=other, null_means=other, within=(None, None))

    assert data_hash(replace(catalogue, features=tuple(features), description=one, owner=other)) == data_hash(catalogue)


def test_the_short_form_begins_the_hash() -> None:
    assert data_hash(view()).startswith(hashes.short_hash(view()))
    assert len(hashes.short_hash(view())) == 12
