"""The eight agents' labels."""

from __future__ import annotations

import pytest

from detektor_pipelines.catalog import LABELS, VIEWS, label_named, labels_of
from detektor_pipelines.errors import UserError
from detektor_pipelines.language import label_hash


@pytest.mark.parametrize("agent", [view.agent for view in VIEWS])
def test_each_agent_has_three_labels_at_least_and_no_name_twice(agent: str) -> None:
    names = [label.name for label in labels_of(agent)]
    assert len(names) >= 3
    assert len(set(names)) == len(names)


def test_no_two_labels_of_one_agent_are_the_same() -> None:
    assert len({label_hash(label) for label in LABELS}) == len(LABELS)


def test_each_says_what_it_is_to_a_person() -> None:
    for label in LABELS:
        assert label.description.endswith("."), label.name
        assert not label.null_means or label.null_means.endswith("."), label.name


def test_some_look_forward() -> None:
    assert {label.name for label in LABELS if label.within_next is not None} >= {"reworked", "rolled_back", "rejected_again"}


def test_a_label_is_found_by_its_agent_and_name() -> None:
    assert label_named("debugger", "cause_found").agent == "debugger"
    assert label_named("pipeline-debugger", "cause_found").agent == "pipeline-debugger"


def test_an_unknown_label_is_refused_with_those_that_exist() -> None:
    with pytest.raises(UserError) as caught:
        label_named("pisarz", "rejected")
    assert "liked" in (caught.value.fix or "")
    with pytest.raises(UserError) as caught:
        labels_of("writer")
    assert "pisarz" in (caught.value.fix or "")
