"""Labels of one's own: what is taken, what is left out and counted, what is refused."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from detektor_pipelines.errors import UserError
from detektor_pipelines.training.labels import TWICE, given_labels, read_label_file

if TYPE_CHECKING:
    from pathlib import Path

AT = datetime(2026, 3, 5, 10, tzinfo=UTC)
AT_US = 1_772_704_800_000_000


def table(**changed: Any) -> pa.Table:
    columns = {"agent_id": ["code-reviewer@shop"], "decided_at": [AT], "label": [True], **changed}
    return pa.table({name: column for name, column in columns.items() if column is not None})


def given(**changed: Any) -> list[dict[str, Any]]:
    return given_labels(table(**changed), "code-reviewer").table.to_pylist()


def test_a_label_comes_with_all_columns() -> None:
    row = {"agent_id": "code-reviewer@shop", "decided_at": AT_US, "label_known_at": None, "task_id": None, "label": True}
    assert given() == [row]
    more = given(task_id=["t"], label_known_at=[AT + timedelta(seconds=1)])
    assert more == [row | {"task_id": "t", "label_known_at": AT_US + 1_000_000}]


@pytest.mark.parametrize(
    "instant",
    [
        "2026-03-05T10:00:00Z",
        "2026-03-05T11:00:00+01:00",
        "2026-03-05 10:00+00:00",
        pa.scalar(AT_US * 1_000 + 7, pa.timestamp("ns", "UTC")),
        pa.scalar(AT_US // 1_000_000, pa.timestamp("s", "Europe/Warsaw")),
    ],
)
def test_an_instant_is_the_same_however_it_is_written(instant: Any) -> None:
    assert given(decided_at=pa.array([instant]))[0]["decided_at"] == AT_US


@pytest.mark.parametrize(
    ("changed", "message", "fix"),
    [
        ({"decided_at": None}, "no column decided_at", "agent_id, decided_at, label"),
        ({"label": None}, "no column label", "agent_id, decided_at, label"),
        ({"decided_at": [datetime(2026, 3, 5, 10)]}, "no time zone", "tz_localize"),  # noqa: DTZ001  that is what is refused
        ({"decided_at": [date(2026, 3, 5)]}, "no time zone", "offset"),
        ({"decided_at": ["2026-03-05T10:00:00"]}, "no instant with a time zone", "offset"),
        ({"decided_at": ["yesterday"]}, "'yesterday' is no instant", "offset"),
        ({"decided_at": [5]}, "int64 holds no instants", "offset"),
        ({"agent_id": [7]}, "int64 holds no agent_ids", "code-reviewer@shop"),
        ({"agent_id": ["debugger@shop"]}, "Not of code-reviewer: debugger@shop", "code-reviewer@PROJECT"),
        ({"agent_id": ["code-reviewer@"]}, "Not of code-reviewer", "code-reviewer@PROJECT"),
        ({"agent_id": ["shop"]}, "Not of code-reviewer", "code-reviewer@PROJECT"),
        ({"label": ["yes"]}, "string holds no labels", "true and false, or numbers"),
        ({"label": [float("inf")]}, "infinite", "finite"),
        ({"label": [2**53 + 1]}, "no float64 holds", "smaller"),
    ],
)
def test_what_cannot_be_a_label_is_refused(changed: dict[str, Any], message: str, fix: str) -> None:
    with pytest.raises(UserError) as caught:
        given(**changed)
    assert message in caught.value.what
    assert fix in (caught.value.fix or "")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"agent_id": pa.array([None], pa.string())}, "no agent_id"),
        ({"decided_at": pa.array([None], pa.timestamp("us", "UTC"))}, "no instant in decided_at"),
        ({"decided_at": pa.nulls(1)}, "no instant in decided_at"),
        ({"label": pa.array([None], pa.bool_())}, "no value"),
        ({"label": [float("nan")]}, "no value"),
    ],
)
def test_a_row_without_one_of_the_three_is_left_out_and_counted(changed: dict[str, Any], reason: str) -> None:
    rows = given_labels(table(**changed), "code-reviewer")
    assert rows.table.num_rows == 0
    assert dict(rows.dropped) == {reason: 1}


def twice(label: list[bool], **more: Any) -> pa.Table:
    return table(agent_id=["code-reviewer"] * 2, decided_at=[AT] * 2, label=label, **more)


def test_the_same_label_twice_is_one_and_counted() -> None:
    rows = given_labels(twice([True, True]), "code-reviewer")
    assert rows.table.num_rows == 1
    assert dict(rows.dropped) == {TWICE: 1}


def test_two_labels_of_one_decision_are_refused_by_its_name() -> None:
    with pytest.raises(UserError, match=r"1 decisions have two labels that differ: code-reviewer at 2026-03-05T10:00:00Z\."):
        given_labels(twice([True, False]), "code-reviewer")


def test_two_tasks_at_one_instant_are_two_decisions() -> None:
    assert given_labels(twice([True, False], task_id=["a", "b"]), "code-reviewer").table.num_rows == 2


def test_numbers_are_float64_and_truths_stay_truths() -> None:
    assert given_labels(table(label=[3]), "code-reviewer").table["label"].type == pa.float64()
    assert given_labels(table(), "code-reviewer").table["label"].type == pa.bool_()


def test_a_csv_has_its_instants_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(
        "agent_id,decided_at,label,task_id\ncode-reviewer@shop,2026-03-05T11:00:00+01:00,true,\ncode-reviewer,2026-03-05T10:00:00Z,false,t\n"
    )
    rows = given_labels(read_label_file(path), "code-reviewer").table.to_pylist()
    assert [(row["agent_id"], row["decided_at"], row["task_id"], row["label"]) for row in rows] == [
        ("code-reviewer@shop", AT_US, None, True),
        ("code-reviewer", AT_US, "t", False),
    ]


def test_a_csv_with_naive_instants_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("agent_id,decided_at,label\ncode-reviewer,2026-03-05T11:00:00,1\n")
    with pytest.raises(UserError, match="no instant with a time zone"):
        given_labels(read_label_file(path), "code-reviewer")


def test_a_parquet_file_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "mine.parquet"
    pq.write_table(table(), path)
    assert read_label_file(path).equals(table())


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for name, content, message in (("a.txt", "", "no .txt"), ("b.csv", "", "cannot be read"), ("c.parquet", "x", "cannot be read")):
        path = tmp_path / name
        path.write_text(content)
        with pytest.raises(UserError, match=message) as caught:
            read_label_file(path)
        assert name in (caught.value.where or "")
    with pytest.raises(UserError, match="no such file"):
        read_label_file(tmp_path / "none.csv")
