"""Training sets from a log on PostgreSQL: exact values, nothing of the decision in them, and the same set again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from support.log_rows import insert
from support.oracle import Event

from detektor_pipelines.clock import from_us, parse_instant
from detektor_pipelines.errors import UserError
from detektor_pipelines.language.windows import HOUR, MINUTE
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.training.sets import table_hash, training_set

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings

ORIGIN = parse_instant("2026-03-05T10:00:00Z")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def review(number: int, minutes: int, *, late: int = 0, task: str | None = None, verdict: str | None = "rejected", **values: Any) -> Event:
    instant = ORIGIN + minutes * MINUTE
    said = {"operation": "review", "verdict": verdict, "task_id": task or f"t{number}", "duration_ms": 60_000, **values}
    return Event(f"e{number}", instant, instant + late * MINUTE, "shop", values=said)


def test_the_same_snapshot_gives_the_same_set_whatever_came_since(log: Settings) -> None:
    insert(log, [review(number, 60 * number, issues_found=number) for number in range(6)])
    before = training_set(log, agent="code-reviewer", label="rejected")
    late = [review(10, 90, verdict="approved"), review(11, 150)]
    better = replace(review(3, 180, verdict="approved"), revision=2, known_at=ORIGIN + 400 * MINUTE)
    insert(log, [*late, better, review(12, 900)])
    now = training_set(log, agent="code-reviewer", label="rejected")
    again = training_set(log, agent="code-reviewer", label="rejected", snapshot=before.snapshot)
    assert now.set_hash != before.set_hash
    assert again.set_hash == before.set_hash
    assert again == before


def test_a_later_range_of_the_same_snapshot_too(log: Settings) -> None:
    insert(log, [review(number, 60 * number) for number in range(6)])
    start = from_us(ORIGIN + 2 * HOUR)
    before = training_set(log, agent="code-reviewer", label="rejected_again", start=start, until=from_us(ORIGIN + 200 * HOUR))
    insert(log, [review(12, 70, task="t5"), review(13, 5_000)])
    again = training_set(
        log, agent="code-reviewer", label="rejected_again", start=before.start, until=before.until, snapshot=before.snapshot
    )
    assert again == before


def test_what_was_learnt_after_the_decision_is_not_in_its_features(log: Settings) -> None:
    insert(log, [review(0, 0), review(1, 60, late=300, issues_found=9), review(2, 120), review(3, 600)])
    made = training_set(log, agent="code-reviewer", label="rejected", features=["code_review_features:avg_issues_per_review"])
    assert made.table["task_id"].to_pylist() == ["t1", "t2", "t3"]
    assert made.table["avg_issues_per_review"].to_pylist() == [None, None, 9.0]


def test_what_happens_at_the_very_instant_of_the_decision_is_not_in_its_features_and_the_microsecond_before_is(log: Settings) -> None:
    decided = ORIGIN + 59 * MINUTE
    others = [Event(f"o{by}", decided + by, decided + by, "shop", values={"operation": "review", "duration_ms": 0}) for by in (-1, 0, 1)]
    insert(log, [review(0, 0), *others, review(1, 60)])
    made = training_set(log, agent="code-reviewer", label="rejected", features=["code_review_features:recent_reviews_count"])
    assert made.table["decided_at"].to_pylist() == [from_us(decided)]
    assert made.table["recent_reviews_count"].to_pylist() == [2]


def test_reviews_of_the_same_task_are_never_in_the_features(log: Settings) -> None:
    rounds = [review(0, 0, task="other"), review(1, 60, task="a"), review(2, 120, task="a"), review(3, 180, task="b")]
    insert(log, rounds)
    made = training_set(log, agent="code-reviewer", label="rejected", features=["code_review_features:recent_reviews_count"])
    assert made.table["recent_reviews_count"].to_pylist() == [1, 1, 3]


def test_another_agents_work_at_the_same_task_is_not_in_the_features_either(log: Settings) -> None:
    insert(log, [review(0, 0), review(1, 60, task="a")])
    work = {"operation": "implement", "outcome": "success", "task_id": "a"}
    insert(log, [Event("own", ORIGIN, ORIGIN, "shop", values=work)], "detektor-coder")
    insert(log, [Event("other", ORIGIN, ORIGIN, "shop", values={**work, "task_id": "z"})], "detektor-coder")
    made = training_set(log, agent="code-reviewer", label="rejected", features=["coding_features:weekly_implementations_count"])
    assert made.table["weekly_implementations_count"].to_pylist() == [1]


def test_a_decision_without_a_project_has_the_rows_over_all_projects(log: Settings) -> None:
    insert(log, [review(0, 0), replace(review(1, 60), project=None), review(2, 120)])
    wanted = ["code_review_features:recent_reviews_count"]
    made = training_set(log, agent="code-reviewer", label="rejected", features=wanted)
    rows = [(row["agent_id"], row["recent_reviews_count"]) for row in made.table.to_pylist()]
    assert rows == [("code-reviewer", 1), ("code-reviewer@shop", 1)]


def test_a_reference_that_can_only_be_null_is_refused_and_says_why(log: Settings) -> None:
    insert(log, [review(0, 0), review(1, 60)])
    insert(log, [Event("c", ORIGIN, ORIGIN, "elsewhere", values={"operation": "implement", "outcome": "success"})], "detektor-coder")
    with pytest.raises(UserError) as caught:
        training_set(log, agent="code-reviewer", label="rejected", features=["coding_features:rework_rate"])
    assert "no event of detektor-coder@shop" in caught.value.what
    assert "coding_features@all" in (caught.value.fix or "")
    made = training_set(log, agent="code-reviewer", label="rejected", features=["coding_features@all:weekly_implementations_count"])
    assert made.table["weekly_implementations_count"].to_pylist() == [1]
    with pytest.raises(UserError, match="no event of architecture-advisor"):
        training_set(log, agent="code-reviewer", label="rejected", features=["architecture_features@all"])


def test_a_column_without_a_single_value_is_told(log: Settings) -> None:
    insert(log, [review(0, 0), review(1, 60)])
    made = training_set(log, agent="code-reviewer", label="rejected")
    assert "critical_review_rate" in made.null_columns
    assert "recent_reviews_count" not in made.null_columns


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"agent": "writer"}, "There is no agent"),
        ({"label": "liked"}, "has no label"),
        ({"features": ["coding_features:nothing"]}, "has no feature"),
        ({"features": []}, "No feature is asked for"),
        ({"version": "1.2.0"}, "is at version 1.1.0, not 1.2.0"),
        ({"snapshot": "yesterday"}, "is no snapshot"),
        ({"start": datetime(2026, 3, 1)}, "no time zone"),  # noqa: DTZ001  that is what is refused
        ({"start": datetime(2027, 3, 1, tzinfo=UTC)}, "There is no label rejected"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(log: Settings, asked: dict[str, Any], message: str) -> None:
    insert(log, [review(0, 0), review(1, 60)])
    with pytest.raises(UserError, match=message):
        training_set(log, **{"agent": "code-reviewer", "label": "rejected", **asked})


def test_an_older_version_is_refused_with_what_there_is_and_where_the_other_is(log: Settings) -> None:
    with pytest.raises(UserError) as caught:
        training_set(log, agent="code-reviewer", label="rejected", version="v1.0.0")
    assert "v1.1.0" in (caught.value.fix or "")
    assert "another released version" in (caught.value.fix or "")


def test_an_empty_log_says_how_to_fill_it(log: Settings) -> None:
    with pytest.raises(UserError, match="The log is empty") as caught:
        training_set(log, agent="code-reviewer", label="rejected")
    assert "detektor simulate" in (caught.value.fix or "")


def test_a_snapshot_of_another_log_is_refused(log: Settings) -> None:
    insert(log, [review(0, 0), review(1, 60)])
    with pytest.raises(UserError, match="not of this log"):
        training_set(log, agent="code-reviewer", label="rejected", snapshot="999999999:999999999:")


def test_the_hash_sees_every_row_every_type_and_nulls() -> None:
    def table(**columns: Any) -> pa.Table:
        return pa.table(columns)

    first = table(a=pa.array([1, None, 3]), b=pa.array(["x", "", None]), c=pa.array([True, None, False]), d=pa.array([0.5, None, -1.0]))
    hashes = {
        table_hash(first),
        table_hash(first.set_column(0, "a", pa.array([1, 0, 3]))),
        table_hash(first.set_column(1, "b", pa.array(["x", None, None]))),
        table_hash(first.set_column(1, "b", pa.array(["", "x", None]))),
        table_hash(first.set_column(2, "c", pa.array([True, False, False]))),
        table_hash(first.set_column(3, "d", pa.array([0.5, 0.0, -1.0]))),
        table_hash(first.set_column(0, "a", pa.array([1.0, None, 3.0]))),
        table_hash(first.rename_columns(["z", "b", "c", "d"])),
        table_hash(first.slice(0, 2)),
        table_hash(first.take([1, 0, 2])),
    }
    assert len(hashes) == 10
    assert table_hash(pa.concat_tables([first.slice(0, 1), first.slice(1)])) == table_hash(first)
    assert table_hash(first) == table_hash(first.slice(0))


def test_the_hash_sees_what_lies_beyond_the_ten_thousandth_row_and_instants() -> None:
    instants = pa.array(range(20_000), pa.int64()).cast(pa.timestamp("us", "UTC"))
    changed = pa.array([*range(19_999), 5], pa.int64()).cast(pa.timestamp("us", "UTC"))
    assert table_hash(pa.table({"at": instants})) != table_hash(pa.table({"at": changed}))


def test_nothing_of_an_unpublished_view_is_needed(log: Settings) -> None:
    """The offline rows have no part in a set: there are none here."""
    insert(log, [review(0, 0), review(1, 60)])
    with connect(log) as connection:
        assert connection.execute("SELECT count(*) FROM ml_learning.partition_state").fetchone() == (0,)
    assert training_set(log, agent="code-reviewer", label="rejected").table.num_rows == 1
