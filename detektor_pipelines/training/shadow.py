"""Shadow runs: the model in production predicts each decision beside the agents' work, and is compared with what came of it later.

    a decision is in the log ──▶ its features at decided_at − 1 µs ──▶ a prediction, kept once in `ml_learning.predictions`
    its outcome is known     ──▶ compared: agreement, log loss, calibration, by week, beside the prior rate of the training set

A prediction is made as the model was trained: its own references and label, without events of the decision's own task, and only while the
definitions in force are those that it learnt from. Decisions that it may have learnt from are not predicted. Of a label that the deciding
event itself carries no prediction can be ahead: it is in the log when the decision is.

Belongs here: which decisions are predicted, and the reasons why others are not. Does not belong here: the figures (`training.outcomes`).
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines import clock
from detektor_pipelines.language.hashes import data_hash
from detektor_pipelines.stores import predictions
from detektor_pipelines.stores.connections import connect, connect_arrow
from detektor_pipelines.stores.predictions import Decision, Prediction
from detektor_pipelines.stores.raw_log.reader import begin_snapshot
from detektor_pipelines.training.columns import feature_columns
from detektor_pipelines.training.labels import Rows, drop_unusable, in_order, read_decisions
from detektor_pipelines.training.learning.inputs import column_of
from detektor_pipelines.training.outcomes import AHEAD, RETROSPECTIVE, Compared, Judgement, Week, by_week, judge
from detektor_pipelines.training.production import in_production
from detektor_pipelines.training.references import ALL, in_force, parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pyarrow as pa
    from adbc_driver_postgresql.dbapi import Connection

    from detektor_pipelines.settings import Settings
    from detektor_pipelines.training.production import Production
    from detektor_pipelines.training.references import Reference

LATER: Final = "not in the log yet at this instant of the clock"
LEARNT: Final = "the model may have learnt from it: known when its training set was made"
OTHER: Final = "the features are defined otherwise by now than the model was trained on"


@dataclass(frozen=True)
class Shadow:
    """What a model said, and what came.

    Attributes:
        agent: Whose decisions.
        label: What is predicted of them.
        version: Of the registered model, which has the agent's name.
        run_id: The MLflow run that made it.
        decisions: In the log.
        written: Predictions that are new.
        predicted: Decisions that have a prediction.
        without: Reason → decisions that have none.
        pending: Predicted, and the outcome is not known yet.
        no_value: Predicted, and nothing can be known of the outcome any more.
        gone: Predictions of decisions that the log has no longer, as they were corrected or retracted.
        ahead: Predictions that were written before their outcome was known.
        retrospective: The others.
        weeks: Figures of both kinds by week, ascending.
        problem: Why nothing more is predicted and what to do; empty when all is well.

    """

    agent: str
    label: str
    version: str
    run_id: str
    decisions: int
    written: int
    predicted: int
    without: Mapping[str, int]
    pending: int
    no_value: int
    gone: int
    ahead: Judgement
    retrospective: Judgement
    weeks: tuple[Week, ...]
    problem: str = ""

    def summary(self) -> str:
        """Say in a few plain sentences what was found."""
        lines = [f"{self.predicted:,} of {self.decisions:,} decisions have a prediction, {self.written:,} of them new."]
        lines += [each.summary() for each in (self.ahead, self.retrospective)]
        return " ".join(lines)


def shadow(settings: Settings, agent: str) -> Shadow:
    """Predict the decisions that have no prediction yet, and compare all predictions with the outcomes that are known.

    Raises:
        NoModelError: No model of the agent is in production, or it cannot predict decisions of the log.
        UserError: MLflow or PostgreSQL does not answer.

    """
    production = in_production(settings, agent)
    with connect(settings) as reading:
        before = predictions.kept(reading, production.predictor, production.label.name)
    with connect_arrow(settings) as connection:
        begin_snapshot(connection)
        decisions = in_order(read_decisions(connection, production.label, snapshot=None), ("label_known_at", "label", "recorded_at"))
        rows = _candidates(connection, production, decisions, {each.decision for each in before})
        problem = _problem(production)
        if problem:
            rows.drop(_all(rows.table), OTHER)
        made = _predict(connection, production, rows.table)
    with connect(settings, writes=True) as writing:
        at = clock.now_us()
        told = [Prediction(decision, at, probability, production.prior, digest) for decision, probability, digest in made]
        written = predictions.keep(writing, production.predictor, production.label.name, told)
    with connect(settings) as reading:
        kept = predictions.kept(reading, production.predictor, production.label.name)
    return _compare(production, decisions, kept, written, rows.dropped, problem)


def _candidates(connection: Connection, production: Production, decisions: pa.Table, predicted: set[Decision]) -> Rows:
    """Return the decisions that are to be predicted, and count why others are not."""
    import pyarrow as pa
    import pyarrow.compute as pc

    now = clock.now_us()
    known = pa.array([each in predicted for each in _keys(decisions)], pa.bool_())
    rows = Rows(decisions.filter(pc.invert(known)))
    rows.drop(pc.greater(rows.table["recorded_at"], now), LATER)
    learnt = pc.less_equal(rows.table["label_known_at"], production.until)
    if production.end is not None:
        learnt = pc.and_(learnt, pc.less(rows.table["decided_at"], production.end))
    rows.drop(learnt, LEARNT)
    drop_unusable(rows, connection, production.agent, now=now, snapshot=None)
    return rows


def _problem(production: Production) -> str:
    """Say which views are defined otherwise than the model was trained on; nothing when none is."""
    there = {view.name: view for view in in_force()}
    differing = [
        f"{each['name']} {each['version']}"
        for each in production.model.views
        if each["name"] not in there or data_hash(there[each["name"]]) != each["data_hash"]
    ]
    if not differing:
        return ""
    return (
        f"The model was trained on other features than are in force ({', '.join(differing)}), so nothing more is predicted. "
        f"Train one on the present ones: `detektor experiment --agent {production.agent} --label {production.label.name} --promote`."
    )


def _predict(connection: Connection, production: Production, decisions: pa.Table) -> list[tuple[Decision, float, str]]:
    """Return of each decision, one of those with the same key, the probability that its label is true, and a digest of its features."""
    import numpy as np
    import pyarrow as pa

    first: dict[Decision, int] = {}
    for place, key in enumerate(_keys(decisions)):
        first.setdefault(key, place)
    if not first:
        return []
    table = decisions.take(pa.array(first.values(), pa.int64()))
    columns = feature_columns(connection, _references(production), table, snapshot=None).arrays
    decided_at = table["decided_at"].to_numpy()
    matrix = np.ascontiguousarray(np.column_stack([column_of(each, decided_at) for each in columns]), dtype="<f8")
    probabilities = production.model.predict_proba(matrix)[:, 1]
    named = json.dumps([[each["name"] for each in production.model.inputs], list(production.model.views)], sort_keys=True).encode()
    digests = [hashlib.sha256(named + row.tobytes()).hexdigest() for row in matrix]
    return [(key, float(value), digest) for key, value, digest in zip(first, probabilities, digests, strict=True)]


def _references(production: Production) -> tuple[Reference, ...]:
    row = {True: f"@{ALL}", False: ""}
    return parse(f"{each['view']}{row[each['roll_up']]}:{each['feature']}" for each in production.model.inputs)


def _compare(
    production: Production, decisions: pa.Table, kept: Sequence[Prediction], written: int, dropped: Counter[str], problem: str
) -> Shadow:
    said, now = {each.decision: each for each in kept}, clock.now_us()
    found: dict[str, list[tuple[int, bool, float, float]]] = {AHEAD: [], RETROSPECTIVE: []}
    counts: Counter[str] = Counter()
    there = set()
    outcomes = zip(_keys(decisions), decisions["label_known_at"].to_pylist(), decisions["label"].to_pylist(), strict=True)
    for key, known_at, outcome in outcomes:
        each = said.get(key)
        if each is None:
            continue
        there.add(key)
        counts["predicted"] += 1
        if known_at is None or known_at > now:
            counts["pending"] += 1
        elif outcome is None:
            counts["no_value"] += 1
        else:
            kind = AHEAD if each.predicted_at < known_at else RETROSPECTIVE
            found[kind].append((key.decided_at, outcome, each.probability, each.baseline))
    ahead, retrospective = _compared(found[AHEAD]), _compared(found[RETROSPECTIVE])
    weeks = (*by_week(ahead, AHEAD), *by_week(retrospective, RETROSPECTIVE))
    return Shadow(
        agent=production.agent,
        label=production.label.name,
        version=production.predictor.version,
        run_id=production.predictor.run_id,
        decisions=decisions.num_rows,
        written=written,
        predicted=counts["predicted"],
        without=dict(sorted(dropped.items())),
        pending=counts["pending"],
        no_value=counts["no_value"],
        gone=len(said) - len(there),
        ahead=judge(ahead, AHEAD),
        retrospective=judge(retrospective, RETROSPECTIVE),
        weeks=tuple(sorted(weeks, key=lambda week: (week.monday, week.kind))),
        problem=problem,
    )


def _compared(rows: Sequence[tuple[int, bool, float, float]]) -> Compared:
    import numpy as np

    columns: Sequence[Iterable[Any]] = list(zip(*rows, strict=True)) or [()] * 4
    kinds = (np.int64, np.bool_, np.float64, np.float64)
    return Compared(*(np.array(column, dtype=kind) for column, kind in zip(columns, kinds, strict=True)))


def _keys(decisions: pa.Table) -> list[Decision]:
    columns = (decisions[name].to_pylist() for name in ("decided_at", "agent_id", "task_id"))
    return [Decision(at, agent_id, task_id or "") for at, agent_id, task_id in zip(*columns, strict=True)]


def _all(table: pa.Table) -> pa.Array:
    import pyarrow as pa

    return pa.array([True] * table.num_rows, pa.bool_())
