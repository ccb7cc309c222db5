"""Sets of labels of one's own: which of them cannot be rows, and that the decision itself tells a model nothing."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from support.log_rows import insert
from support.oracle import Event
from support.rule_views import view_of

from detektor_pipelines.clock import from_us, parse_instant, to_us
from detektor_pipelines.errors import UserError
from detektor_pipelines.language import days, event, last, rate
from detektor_pipelines.language.windows import HOUR, MINUTE
from detektor_pipelines.training import references
from detektor_pipelines.training.labels import FUTURE, LEAKS, NO_DATA, UNKNOWN
from detektor_pipelines.training.sets import GIVEN, training_set

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings
    from detektor_pipelines.training.sets import TrainingSet

ORIGIN = parse_instant("2026-03-05T10:00:00Z")
AFTER = from_us(ORIGIN) + timedelta(hours=1)


def review(number: int, minutes: int = 0, verdict: str = "rejected", **values: Any) -> Event:
    instant = ORIGIN + minutes * MINUTE
    said = {"operation": "review", "verdict": verdict, "task_id": f"t{number}", "duration_ms": 60_000, **values}
    return Event(f"e{number}", instant, instant, "shop", values=said)


def made(log: Settings, *rows: tuple[str, datetime, bool], **more: list[Any]) -> TrainingSet:
    agents, decided, labels = zip(*rows, strict=True)
    table = pa.table({"agent_id": list(agents), "decided_at": list(decided), "label": list(labels), **more})
    return training_set(log, agent="code-reviewer", label=table)


def test_given_labels_have_the_features_of_their_instants(log: Settings) -> None:
    insert(log, [review(0), review(1, 30)])
    found = made(log, ("code-reviewer@shop", AFTER, True), ("code-reviewer", from_us(ORIGIN + 10 * MINUTE), False))
    assert found.label_name == GIVEN
    assert found.table["recent_reviews_count"].to_pylist() == [1, 2]
    assert found.table["label"].to_pylist() == [False, True]
    assert found.table["label_known_at"].null_count == 2


def test_the_hash_of_given_labels_is_theirs_in_whatever_order_they_come(log: Settings) -> None:
    insert(log, [review(0)])
    one, other = ("code-reviewer@shop", AFTER, True), ("code-reviewer", AFTER, False)
    assert made(log, one, other).label_hash == made(log, other, one).label_hash
    assert made(log, one, other).label_hash != made(log, one, ("code-reviewer", AFTER, True)).label_hash


@pytest.mark.parametrize(
    ("row", "more", "reason"),
    [
        (("code-reviewer@shop", datetime(2026, 3, 5, 10, tzinfo=UTC), True), {}, NO_DATA),
        (("code-reviewer@shop", datetime(2020, 1, 1, tzinfo=UTC), True), {}, NO_DATA),
        (("code-reviewer@nowhere", AFTER, True), {}, UNKNOWN),
        (("code-reviewer@shop", datetime(2026, 6, 2, tzinfo=UTC), True), {}, FUTURE),
        (("code-reviewer@shop", AFTER, True), {"label_known_at": [AFTER - timedelta(seconds=1)]}, LEAKS),
    ],
)
def test_a_label_that_cannot_be_learnt_from_is_left_out_and_told(
    log: Settings, row: tuple[str, datetime, bool], more: dict[str, list[Any]], reason: str
) -> None:
    insert(log, [review(0)])
    kept = {name: [*values, AFTER] for name, values in more.items()}
    found = made(log, row, ("code-reviewer", AFTER, False), **kept)
    assert found.table["agent_id"].to_pylist() == ["code-reviewer"]
    assert found.dropped == {reason: 1}
    with pytest.raises(UserError, match="no label given") as caught:
        made(log, row, **more)
    assert reason in (caught.value.where or "")


def test_no_rows_at_all_are_an_error(log: Settings) -> None:
    insert(log, [review(0)])
    empty = pa.table(
        {"agent_id": pa.array([], pa.string()), "decided_at": pa.array([], pa.timestamp("us", "UTC")), "label": pa.array([], pa.bool_())}
    )
    with pytest.raises(UserError, match="no label given"):
        training_set(log, agent="code-reviewer", label=empty)


def test_one_class_is_a_set_that_says_so(log: Settings) -> None:
    insert(log, [review(0)])
    assert made(log, ("code-reviewer", AFTER, True)).classes == {True: 1, False: 0}


def test_many_labels_at_one_instant_and_of_one_agent_come_out_one_for_one(log: Settings) -> None:
    insert(log, [review(0)])
    tasks = [f"x{number}" for number in range(300)] + ["t0"]
    rows = [("code-reviewer@shop", AFTER, number % 2 == 0) for number in range(301)]
    found = made(log, *rows, task_id=tasks)
    assert found.table.num_rows == 301
    counts = dict(zip(found.table["task_id"].to_pylist(), found.table["recent_reviews_count"].to_pylist(), strict=True))
    assert counts.pop("t0") == 0
    assert set(counts.values()) == {1}


def test_a_planted_feature_equal_to_the_label_shows_no_lift(log: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Verdicts are coins. A feature that repeats the label's own event tells it wholly where it can be seen, and nothing in a set."""
    planted = view_of(
        verdict_of_the_event_itself=(rate(event.verdict == "rejected"), days(1), event.issues_found == 9),
        latest=(last(event.issues_found), days(1)),
    )
    coin = random.Random(1)
    verdicts = [coin.choice(("approved", "rejected")) for _ in range(400)]
    reviews = [review(number, number * 25 * 60, verdict, issues_found=9) for number, verdict in enumerate(verdicts)]
    said_again = [
        Event(f"f{number}", each.occurred_at + HOUR, each.known_at + HOUR, "shop", values={**each.values, "operation": "feedback"})
        for number, each in enumerate(reviews)
    ]
    insert(log, reviews + said_again)
    monkeypatch.setenv("DETEKTOR_NOW", "2028-06-01T00:00:00Z")
    monkeypatch.setattr(references, "VIEWS", (planted,))
    wanted = [f"{planted.name}:verdict_of_the_event_itself"]
    found = training_set(log, agent="code-reviewer", label="rejected", features=wanted)
    assert _lift(found) < 0.08
    # The same an instant after the decision, and without its task: then all of it would be seen.
    instants = [from_us(to_us(at) + 120_000_000) for at in found.table["decided_at"].to_pylist()]
    leaking = pa.table({"agent_id": found.table["agent_id"], "decided_at": instants, "label": found.table["label"]})
    assert _lift(training_set(log, agent="code-reviewer", label=leaking, features=wanted)) > 0.99


def _lift(found: TrainingSet) -> float:
    """How far the feature, taken as a guess of the label, is from a coin: 0 for none, 1 for always right."""
    guesses = [
        (label, value)
        for label, value in zip(found.table["label"].to_pylist(), found.table[5].to_pylist(), strict=True)
        if value is not None
    ]
    right = sum(label is (value > 0.5) for label, value in guesses)
    return abs(2 * right / len(guesses) - 1) if guesses else 0.0
