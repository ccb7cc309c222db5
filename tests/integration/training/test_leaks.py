"""A feature that is the label itself, through a whole experiment: it lifts nothing, as no decision's own events are among its features."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from support.log_rows import insert
from support.oracle import Event
from support.rule_views import view_of

from detektor_pipelines.clock import parse_instant
from detektor_pipelines.language import days, event, last
from detektor_pipelines.language.windows import HOUR
from detektor_pipelines.training.experiment import MODEL, Experiment, run

if TYPE_CHECKING:
    from detektor_pipelines.language import FeatureView
    from detektor_pipelines.settings import Settings

FIRST = parse_instant("2026-01-01T00:00:00Z")
REVIEWS = 700
PLANTED = view_of(
    issues_of_the_last_review=(last(event.issues_found), days(1)), round_of_the_last_review=(last(event.review_round), days(1))
)
"""A rejected review reports 9 issues, an approved one 1: whoever sees the review itself knows its verdict."""


@pytest.fixture
def coins(log: Settings) -> Settings:
    coin = random.Random(1)
    verdicts = [coin.choice(("approved", "rejected")) for _ in range(REVIEWS)]
    said = {"operation": "review", "duration_ms": 60_000}
    insert(
        log,
        [
            Event(
                f"e{number}",
                FIRST + number * 5 * HOUR,
                FIRST + number * 5 * HOUR,
                "shop",
                values=said
                | {
                    "verdict": verdict,
                    "task_id": f"t{number}",
                    "issues_found": 9 if verdict == "rejected" else 1,
                    "review_round": 1 + number % 2,
                },
            )
            for number, verdict in enumerate(verdicts)
        ],
    )
    return log


def learnt(settings: Settings, view: FeatureView, label: str | pa.Table) -> Experiment:
    return run(settings, agent="code-reviewer", label=label, features=[view.name], definitions=[view])


@pytest.mark.slow
def test_a_planted_feature_equal_to_the_label_lifts_nothing(coins: Settings) -> None:
    made = learnt(coins, PLANTED, "rejected")
    auc = made.metrics[MODEL]["auc"]
    assert auc.low < 0.5 < auc.high
    assert made.verdict != "better"
    # The same labels a little later, as if of no task: then the reviews themselves are seen, and all is known.
    table = made.found.table
    later = pa.array([instant + timedelta(minutes=2) for instant in table["decided_at"].to_pylist()], pa.timestamp("us", "UTC"))
    leaking = pa.table({"agent_id": table["agent_id"], "decided_at": later, "label": table["label"]})
    leaked = learnt(coins, PLANTED, leaking)
    assert leaked.metrics[MODEL]["auc"].low > 0.99
    assert leaked.verdict == "better"
    assert leaked.importance[0][0] == "issues_of_the_last_review"
