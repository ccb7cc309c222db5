"""Predictions of models in production, beside the log that says what became of the decisions: written once, never changed.

Belongs here: the table `ml_learning.predictions`. Does not belong here: making predictions and judging them (`training`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from detektor_pipelines import clock

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg


class Decision(NamedTuple):
    """Which decision: of whom, when (µs UTC), of which task (empty where it has none)."""

    decided_at: int
    agent_id: str
    task_id: str


class Predictor(NamedTuple):
    """A registered model version, and the MLflow run that made it."""

    model: str
    version: str
    run_id: str


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model said of a decision.

    Attributes:
        decision: Which.
        predicted_at: When it was written, µs UTC.
        probability: That the label is true.
        baseline: The share of true labels that the model learnt from.
        features_digest: SHA-256 (hex) over the inputs, their values and the data hashes of their views.

    """

    decision: Decision
    predicted_at: int
    probability: float
    baseline: float
    features_digest: str


_KEEP: Final = """
INSERT INTO ml_learning.predictions
    (model, version, run_id, label, agent_id, task_id, decided_at, predicted_at, probability, baseline, features_digest)
SELECT %s, %s, %s, %s, given.* FROM unnest(
    %s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[], %s::double precision[], %s::double precision[], %s::text[]) AS given
ON CONFLICT DO NOTHING
"""
_KEPT: Final = """
SELECT decided_at, agent_id, task_id, predicted_at, probability, baseline, features_digest FROM ml_learning.predictions
WHERE model = %s AND version = %s AND run_id = %s AND label = %s ORDER BY decided_at, agent_id, task_id
"""


def keep(connection: psycopg.Connection, predictor: Predictor, label: str, predictions: Sequence[Prediction]) -> int:
    """Write predictions of a label; those of a decision that the same model has predicted before are left as they are.

    Returns: How many were new.
    """
    columns = (
        [each.decision.agent_id for each in predictions],
        [each.decision.task_id for each in predictions],
        [clock.from_us(each.decision.decided_at) for each in predictions],
        [clock.from_us(each.predicted_at) for each in predictions],
        [each.probability for each in predictions],
        [each.baseline for each in predictions],
        [each.features_digest for each in predictions],
    )
    return connection.execute(_KEEP, (*predictor, label, *columns)).rowcount


def kept(connection: psycopg.Connection, predictor: Predictor, label: str) -> list[Prediction]:
    """Return what a model version has said of a label, in the order of decisions."""
    rows = connection.execute(_KEPT, (*predictor, label)).fetchall()
    return [
        Prediction(Decision(clock.to_us(at), agent_id, task), clock.to_us(written), *rest) for at, agent_id, task, written, *rest in rows
    ]
