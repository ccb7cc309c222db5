"""Learning from made-up sets: what is there is found, what is not is not, and the same rows give the same model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from support.training_sets import FIRST, training_set_of

from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.errors import UserError
from detektor_pipelines.training.experiment import LAST, MODEL, PRIOR, learn
from detektor_pipelines.training.learning import attributions, candidates
from detektor_pipelines.training.learning.attributions import AttributionError, Attributions, attribute
from detektor_pipelines.training.learning.baselines import LATEST, PRIOR_WEIGHT, last_rate, prior_rate
from detektor_pipelines.training.learning.candidates import BOOSTING, CANDIDATES, LOGISTIC, fit, parameters_digest, predict
from detektor_pipelines.training.learning.inputs import Examples, examples

pytestmark = pytest.mark.slow


def test_what_is_there_is_found() -> None:
    made = learn(training_set_of(strength=2.5), VIEWS)
    assert made.verdict == "better"
    assert made.metrics[MODEL]["auc"].low > 0.7
    assert made.importance[0][0] == "rejection_rate"
    assert made.importance[0][1] == "Share of reviews that sent the work back, last 30 days. [share]"
    assert made.summary().startswith("The model is better than the")


def test_what_is_not_there_is_not_found() -> None:
    made = learn(training_set_of(strength=0, rows=1_500), VIEWS)
    assert made.verdict != "better"
    assert made.metrics[MODEL]["auc"].low < 0.5 < made.metrics[MODEL]["auc"].high
    assert "not clearly better" in made.summary() or "WORSE" in made.summary()


def test_a_number_is_no_class() -> None:
    found = training_set_of()
    numbers = found.table.set_column(4, "label", pa.array(np.arange(found.table.num_rows, dtype=float)))
    with pytest.raises(UserError, match="is a number"):
        learn(replace(found, table=numbers), VIEWS)


def test_the_same_rows_and_seed_give_the_same_model_and_another_seed_another_interval() -> None:
    found = training_set_of()
    one, two, other = learn(found, VIEWS), learn(found, VIEWS), learn(found, VIEWS, seed=7)
    assert one.digests == two.digests
    assert one.metrics == two.metrics
    assert other.metrics[MODEL]["auc"].low != one.metrics[MODEL]["auc"].low


@pytest.mark.parametrize("name", CANDIDATES)
def test_a_digest_sees_every_row_that_was_learnt(name: str) -> None:
    rows = examples(training_set_of(), VIEWS)
    every = np.arange(len(rows.labels))
    whole, again, less = (fit(name, rows, some, seed=1) for some in (every, every, every[1:]))
    assert parameters_digest(whole) == parameters_digest(again)
    assert parameters_digest(whole) != parameters_digest(less)


@pytest.mark.parametrize("name", CANDIDATES)
@pytest.mark.filterwarnings("ignore:invalid value encountered")
def test_attributions_add_up_to_the_decision_function(name: str) -> None:
    rows = examples(training_set_of(), VIEWS)
    model = fit(name, rows, np.arange(500), seed=1)
    judged = rows.matrix[500:]
    assert np.isnan(judged).any()
    found = attribute(model, rows.matrix[:500], judged)
    assert found.shap.shape == judged.shape
    np.testing.assert_allclose(found.base + found.shap.sum(axis=1), model.decision_function(judged), atol=1e-9)
    likely = predict(model, judged)
    np.testing.assert_allclose(1 / (1 + np.exp(-found.base - found.shap.sum(axis=1))), likely, atol=1e-9)


def test_attributions_that_do_not_add_up_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = examples(training_set_of(), VIEWS)
    model = fit(LOGISTIC, rows, np.arange(500), seed=1)
    monkeypatch.setattr(attributions, "_linear", lambda *_: Attributions(np.zeros((300, rows.matrix.shape[1])), 0.0))
    with pytest.raises(AttributionError, match="apart"):
        attribute(model, rows.matrix[:500], rows.matrix[500:])


def test_a_column_without_a_value_is_learnt_from_all_the_same() -> None:
    found = training_set_of()
    place = found.table.column_names.index("max_review_round")
    empty = found.table.set_column(place, "max_review_round", pa.nulls(found.table.num_rows, pa.int64()))
    rows = examples(replace(found, table=empty), VIEWS)
    for name in (LOGISTIC, BOOSTING):
        model = fit(name, rows, np.arange(500), seed=1)
        assert np.isfinite(predict(model, rows.matrix)).all()
        assert attribute(model, rows.matrix[:500], rows.matrix[500:]).importance()[place - 5] == 0


def test_an_instant_is_how_long_ago_it_was() -> None:
    found = training_set_of()
    rows = examples(found, VIEWS)
    (place,) = (number for number, each in enumerate(rows.inputs) if each["instant"])
    assert rows.inputs[place]["name"] == "seconds_since_last_rejection_at"
    row = next(number for number, value in enumerate(found.table["last_rejection_at"].to_pylist()) if value is not None)
    decided, last = found.table["decided_at"][row].as_py(), found.table["last_rejection_at"][row].as_py()
    assert rows.matrix[row, place] == pytest.approx((decided - last.replace(microsecond=0)).total_seconds(), abs=1e-6)
    assert np.isnan(rows.matrix[:, place]).sum() == found.table["last_rejection_at"].null_count


def test_baselines_by_hand() -> None:
    minutes = np.arange(6, dtype=np.int64) * 60_000_000 + FIRST
    rows = Examples(
        matrix=np.zeros((6, 1)),
        labels=np.array([True, True, False, True, False, False]),
        decided_at=minutes,
        known_at=np.array([minutes[1], minutes[1], minutes[3] + 1, minutes[4], minutes[5], minutes[5]]),
        agent_ids=np.array(["a", "b", "a", "a", "b", "a"], dtype=object),
        inputs=(),
    )
    learnt, asked = np.array([0, 1, 2, 3]), np.array([2, 3, 4, 5])
    assert prior_rate(rows, learnt, asked).tolist() == [0.75] * 4
    weight = PRIOR_WEIGHT * 0.75
    # Of a: one true is known before the third and the fourth (the third is known only after it), then true, false and true; of b one true.
    expected = [(1 + weight) / (1 + PRIOR_WEIGHT)] * 2 + [(1 + weight) / (1 + PRIOR_WEIGHT), (2 + weight) / (3 + PRIOR_WEIGHT)]
    assert last_rate(rows, learnt, asked).tolist() == pytest.approx(expected)
    assert LATEST >= 3


def test_the_baselines_stand_beside_the_model() -> None:
    made = learn(training_set_of(), VIEWS)
    assert set(made.metrics) == {MODEL, PRIOR, LAST}
    assert made.metrics[PRIOR]["auc"].value == 0.5
    assert set(made.gained) == {PRIOR, LAST}
    assert candidates.LOGISTIC in made.validation
