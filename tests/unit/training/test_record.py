"""The record of an experiment, and an MLflow that does not answer."""

from __future__ import annotations

import json

import pytest
from support.training_sets import training_set_of

from detektor_pipelines.catalog import VIEWS, label_named
from detektor_pipelines.errors import UserError
from detektor_pipelines.language.hashes import data_hash, label_hash
from detektor_pipelines.settings import Settings
from detektor_pipelines.stores.mlflow.tracking import TrackingUnavailableError
from detektor_pipelines.training.experiment import learn
from detektor_pipelines.training.record import Record
from detektor_pipelines.training.tracking import check_tracking

LABEL = label_named("code-reviewer", "rejected")


@pytest.fixture(scope="module")
def record() -> Record:
    from dataclasses import replace

    found = replace(training_set_of(), label_hash=label_hash(LABEL))
    return Record.of(learn(found, VIEWS, label=LABEL), "c0ffee")


@pytest.mark.slow
def test_it_comes_back_as_the_same_text_and_the_same_definitions(record: Record) -> None:
    back = Record.read(record.text().encode(), "here")
    assert back.text() == record.text()
    (view,) = back.definitions()
    assert data_hash(view) == back.content["views"][0]["data_hash"]
    label = back.label()
    assert label is not None
    assert label_hash(label) == label_hash(LABEL)
    assert back.instant("start") is None
    assert back.instant("until") is not None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "said"),
    [
        (("views", 0, "data_hash"), "its data hash is another one by now"),
        (("views", 0, "definition", "semantics"), "cannot be computed as it was"),
        (("label", "hash"), "its hash is another one by now"),
        (("label", "definition", "semantics"), "cannot be computed as it was"),
    ],
)
def test_what_cannot_be_computed_as_it_was_is_refused(record: Record, path: tuple[str | int, ...], said: str) -> None:
    content = json.loads(record.text())
    place = content
    for each in path[:-1]:
        place = place[each]
    place[path[-1]] = "other"
    changed = Record(content)
    made_again = changed.label if path[0] == "label" else changed.definitions
    with pytest.raises(UserError, match=said):
        made_again()


@pytest.mark.parametrize(("text", "said"), [(b"{}", "not as it was written"), (b"<", "not as it"), (b'{"format": 2}', "is of format 2")])
def test_what_is_no_record_is_said(text: bytes, said: str) -> None:
    with pytest.raises(UserError, match=said):
        Record.read(text, "here")


def test_an_mlflow_that_is_down_is_said_at_once() -> None:
    with pytest.raises(TrackingUnavailableError, match="does not answer"):
        check_tracking(Settings(mlflow_tracking_uri="http://127.0.0.1:1"))
