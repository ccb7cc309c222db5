"""A label as data and back: what is kept of it beside a model that has learnt it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from detektor_pipelines.catalog import LABELS
from detektor_pipelines.language.canonical import label_from_canonical, label_to_canonical
from detektor_pipelines.language.expressions import DefinitionError
from detektor_pipelines.language.hashes import label_hash

if TYPE_CHECKING:
    from detektor_pipelines.language import Label


@pytest.mark.parametrize("label", LABELS, ids=lambda each: f"{each.agent}-{each.name}")
def test_every_label_comes_back_as_it_was(label: Label) -> None:
    data = json.loads(json.dumps(label_to_canonical(label)))
    back = label_from_canonical(data)
    assert label_hash(back) == label_hash(label)
    assert label_to_canonical(back) == data
    assert back.value_type == label.value_type


def test_a_label_of_other_rules_says_so() -> None:
    data = label_to_canonical(LABELS[0]) | {"semantics": 99}
    with pytest.raises(DefinitionError, match="follow the rules 99"):
        label_from_canonical(data)


@pytest.mark.parametrize("change", [{"agent": "nobody"}, {"where": ["column", "gone"]}, {"value": 3}, {"name": None}])
def test_what_is_no_label_is_said(change: dict[str, object]) -> None:
    with pytest.raises(DefinitionError):
        label_from_canonical(label_to_canonical(LABELS[0]) | change)
