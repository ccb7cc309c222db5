"""A model in production beside the work of its agent, on real PostgreSQL and MLflow: time goes on, predictions stay, outcomes come."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from typer.testing import CliRunner

from detektor_pipelines.catalog import label_named, view_named
from detektor_pipelines.cli import build_app
from detektor_pipelines.clock import parse_instant, to_us
from detektor_pipelines.errors import UserError
from detektor_pipelines.language.labels import Label
from detektor_pipelines.language.windows import DAY
from detektor_pipelines.settings import get_settings
from detektor_pipelines.simulation.simulator import simulate_table
from detektor_pipelines.stores import predictions
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.predictions import Decision, Prediction, Predictor
from detektor_pipelines.stores.raw_log.bulk import append_table
from detektor_pipelines.training import experiment
from detektor_pipelines.training import shadow as shadow_module
from detektor_pipelines.training.learning.inputs import examples
from detektor_pipelines.training.production import NoModelError, Production, in_production
from detektor_pipelines.training.references import in_force
from detektor_pipelines.training.sets import training_set
from detektor_pipelines.training.shadow import LATER, LEARNT, OTHER, Shadow, shadow
from detektor_pipelines.training.tracking import log

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detektor_pipelines.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # mlflow warns of itself

AGENT, LABEL = "detektor-coder", "reworked"
TRAINED = "2026-05-04T00:00:00Z"
FIRST = "2026-05-08T00:00:00Z"
SECOND = "2026-05-25T00:00:00Z"
END = date(2026, 6, 1)


class History:
    """A simulated history that is in the log up to some instant."""

    def __init__(self, settings: Settings, patch: pytest.MonkeyPatch) -> None:
        self.settings, self._patch = settings, patch
        table = simulate_table(days=184, projects=8, seed=1, end=END)
        of_both = pc.is_in(table["operation"], value_set=pc.cast(["review", "implement", "feedback"], table["operation"].type))
        self._table = table.filter(of_both)
        self._known = self._table["known_at"].cast(pa.int64())
        self._until = 0

    def move(self, instant: str) -> None:
        """Move the clock, and let what is known by then come in."""
        until = parse_instant(instant)
        came = pc.and_(pc.greater(self._known, self._until), pc.less_equal(self._known, until))
        self._patch.setenv("DETEKTOR_NOW", instant)
        append_table(self.settings, self._table.filter(came))
        self._until = until


class Course:
    """Shadow runs one after the other, at the instants above."""

    def __init__(self, history: History) -> None:
        settings = history.settings
        history.move(TRAINED)
        made = experiment.run(settings, agent=AGENT, label=LABEL)
        self.learnt, self.logged = made.found.table, log(settings, made)
        self.at_once = shadow(settings, AGENT)
        history.move(FIRST)
        self.first, self.again = shadow(settings, AGENT), shadow(settings, AGENT)
        self.said = self.kept(settings)
        history.move(SECOND)
        self.second = shadow(settings, AGENT)
        self.said_then = self.kept(settings)

    def kept(self, settings: Settings) -> list[Prediction]:
        with connect(settings) as connection:
            return predictions.kept(connection, Predictor(AGENT, self.logged.version, self.logged.run_id), LABEL)


@pytest.fixture(scope="module")
def settings(module_database: Settings, mlflow_uri: str) -> Settings:
    return module_database.model_copy(update={"mlflow_tracking_uri": mlflow_uri})


@pytest.fixture(scope="module")
def course(settings: Settings) -> Iterator[Course]:
    with pytest.MonkeyPatch.context() as patch:
        yield Course(History(settings, patch))


@pytest.fixture
def at_second(course: Course, monkeypatch: pytest.MonkeyPatch, isolated_environment: Any) -> Course:
    del isolated_environment  # first: it empties the environment
    monkeypatch.setenv("DETEKTOR_NOW", SECOND)
    return course


def counted(found: Shadow) -> int:
    return found.predicted + sum(found.without.values())


def test_each_decision_is_predicted_or_counted_with_the_reason(course: Course) -> None:
    for found in (course.at_once, course.first, course.again, course.second):
        assert counted(found) == found.decisions
        judged = [each.figures.count for each in (found.ahead, found.retrospective) if each.figures is not None]
        assert found.pending + found.no_value + sum(judged) == found.predicted
        assert sum(each.figures.count for each in found.weeks) == sum(judged)
    assert course.at_once.without[LEARNT] > 100


def test_decisions_that_the_model_may_have_learnt_from_are_not_predicted(course: Course) -> None:
    learnt = course.learnt
    there = set(zip(learnt["decided_at"].cast(pa.int64()).to_pylist(), learnt["agent_id"].to_pylist(), strict=True))
    assert len(there) > 100
    assert not there & {(each.decision.decided_at, each.decision.agent_id) for each in course.said_then}


def test_a_second_run_at_once_writes_nothing(course: Course) -> None:
    assert course.first.written > 0
    assert course.again.written == 0
    assert course.again == replace(course.first, written=0)


def test_what_was_said_stays_and_is_compared_when_the_outcome_comes(course: Course) -> None:
    assert set(course.said) < set(course.said_then)
    assert course.at_once.ahead.figures is None
    assert course.at_once.pending > 0
    assert course.first.pending > 0
    assert course.second.ahead.figures is not None
    assert course.second.ahead.figures.count > 10
    assert course.second.retrospective.figures is not None, "decisions since the first run of which the week is over"


def test_the_figures_are_those_of_the_kept_predictions_and_of_a_training_set_s_labels(settings: Settings, at_second: Course) -> None:
    labels = training_set(settings, agent=AGENT, label=LABEL).table.to_pylist()
    outcome = {Decision(to_us(row["decided_at"]), row["agent_id"], row["task_id"]): row for row in labels}
    kept = [(each, outcome[each.decision]) for each in at_second.said_then if each.decision in outcome]
    ahead = [(each, row["label"]) for each, row in kept if each.predicted_at < to_us(row["label_known_at"])]
    late = [(each, row["label"]) for each, row in kept if each.predicted_at >= to_us(row["label_known_at"])]
    for judged, rows in ((at_second.second.ahead, ahead), (at_second.second.retrospective, late)):
        assert judged.figures is not None
        assert judged.figures.count == len(rows)
        assert judged.figures.observed == pytest.approx(sum(label for _, label in rows) / len(rows))
        assert judged.figures.agreement == pytest.approx(sum((each.probability >= 0.5) == label for each, label in rows) / len(rows))


def test_a_prediction_is_what_the_model_says_of_the_training_sets_features(settings: Settings, at_second: Course) -> None:
    """Two ways to the same number: the prediction that was written then, and the model on the features of a set made later."""
    found = training_set(settings, agent=AGENT, label=LABEL)
    rows = examples(found, in_force())
    said = in_production(settings, AGENT).model.predict_proba(rows.matrix)[:, 1]
    tasks = found.table["task_id"].to_pylist()
    of_set = {
        Decision(int(at), agent_id, task): float(value)
        for at, agent_id, task, value in zip(rows.decided_at, rows.agent_ids, tasks, said, strict=True)
    }
    shared = [each for each in at_second.said_then if each.decision in of_set]
    assert len(shared) > 20
    assert [each.probability for each in shared] == pytest.approx([of_set[each.decision] for each in shared], abs=1e-12)
    assert {each.baseline for each in shared} == {in_production(settings, AGENT).prior}


def test_what_the_log_holds_only_later_is_not_predicted(settings: Settings, course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock is set back: predictions that are there stay."""
    monkeypatch.setenv("DETEKTOR_NOW", TRAINED)
    back = shadow(settings, AGENT)
    assert back.written == 0
    assert back.predicted == course.second.predicted
    assert back.predicted - back.pending == course.at_once.predicted - course.at_once.pending
    monkeypatch.setattr(shadow_module.predictions, "kept", lambda *_: [])
    monkeypatch.setattr(shadow_module.predictions, "keep", lambda *_: 0)
    assert shadow(settings, AGENT).without[LATER] > 0


def test_other_definitions_predict_nothing_and_say_so(settings: Settings, at_second: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    view = view_named(AGENT)
    monkeypatch.setattr(shadow_module, "in_force", lambda: (replace(view, version="9.0.0", features=view.features[:3]),))
    monkeypatch.setattr(shadow_module.predictions, "kept", lambda *_: [])
    found = shadow(settings, AGENT)
    assert found.without[OTHER] >= at_second.second.predicted
    assert found.written == 0
    assert "experiment --agent detektor-coder --label reworked --promote" in found.problem


def test_a_label_of_the_deciding_event_is_never_ahead(settings: Settings, at_second: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    production = in_production(settings, AGENT)
    label = label_named(AGENT, "finished")
    assert isinstance(label, Label)
    monkeypatch.setattr(shadow_module, "in_production", lambda *_: _with_label(production, label))
    found = shadow(settings, AGENT)
    assert found.ahead.figures is None
    assert found.retrospective.figures is not None
    assert found.retrospective.figures.count > 10
    assert counted(found) == found.decisions


def _with_label(production: Production, label: Label) -> Production:
    return replace(production, label=label, predictor=production.predictor._replace(run_id="another"))


def test_predictions_cannot_be_changed(settings: Settings, at_second: Course) -> None:
    for statement in ("UPDATE ml_learning.predictions SET probability = 1", "DELETE FROM ml_learning.predictions"):
        with pytest.raises((psycopg.Error, UserError), match="stay as they were written"), connect(settings) as connection:
            connection.execute(statement)
    assert at_second.kept(settings) == at_second.said_then


def test_a_decision_that_is_corrected_leaves_its_prediction_behind(
    settings: Settings, at_second: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if one's instant had been another when it was predicted: that prediction is counted, the decision is predicted anew."""
    some, *others = at_second.said_then
    moved = replace(some, decision=some.decision._replace(decided_at=some.decision.decided_at - DAY))
    kept = [[moved, *others], [moved, some, *others]]
    told: list[Prediction] = []
    monkeypatch.setattr(shadow_module.predictions, "kept", lambda *_: kept.pop(0))
    monkeypatch.setattr(shadow_module.predictions, "keep", lambda *given: told.extend(given[-1]) or len(given[-1]))
    found = shadow(settings, AGENT)
    assert (found.gone, found.written, found.predicted) == (1, 1, at_second.second.predicted)
    (again,) = told
    assert (again.decision, again.features_digest) == (some.decision, some.features_digest), "the same features again, to the bit"
    assert again.probability == pytest.approx(some.probability, abs=1e-12), "how many rows are predicted at once moves the last bit"


def test_what_was_said_first_stays(settings: Settings, at_second: Course) -> None:
    predictor = Predictor(AGENT, at_second.logged.version, at_second.logged.run_id)
    changed = replace(at_second.said[0], probability=0.123)
    with connect(settings, writes=True) as connection:
        assert predictions.keep(connection, predictor, LABEL, [changed]) == 0
    assert at_second.kept(settings) == at_second.said_then


def test_the_command_prints_what_was_found(settings: Settings, at_second: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("DETEKTOR_EXTERNAL_POSTGRES_URL", settings.postgres_dsn)
    monkeypatch.setenv("DETEKTOR_MLFLOW_TRACKING_URI", settings.mlflow_uri)
    get_settings.cache_clear()
    done = CliRunner().invoke(build_app(), ["shadow", "--agent", AGENT, "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["written"] == 0
    assert found["predicted"] == at_second.second.predicted
    assert found["weeks"][0]["monday"] <= found["weeks"][-1]["monday"]
    assert found["ahead"]["figures"]["count"] == at_second.second.ahead.figures.count  # type: ignore[union-attr]
    shown = CliRunner().invoke(build_app(), ["shadow", "--agent", AGENT])
    assert shown.exit_code == 0, shown.output
    assert LEARNT in shown.output
    assert "week from" in shown.output


def test_an_agent_without_a_model_is_told_how_to_get_one(settings: Settings, course: Course) -> None:
    with pytest.raises(NoModelError, match=r"No model of pisarz is in production") as raised:
        shadow(settings, "pisarz")
    assert "detektor experiment --agent pisarz" in str(raised.value)
