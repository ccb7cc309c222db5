"""Training sets of a simulated history: each value is the one of its very moment, however the set is cut and asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from detektor_pipelines.catalog import LABELS, view_named
from detektor_pipelines.clock import parse_instant, to_us
from detektor_pipelines.compile.plan import plan
from detektor_pipelines.compile.sql import reach_back
from detektor_pipelines.engine.as_of import values_at, values_of_nothing
from detektor_pipelines.errors import UserError
from detektor_pipelines.simulation.simulator import simulate_table
from detektor_pipelines.stores.connections import connect_arrow
from detektor_pipelines.stores.raw_log.bulk import append_table
from detektor_pipelines.stores.raw_log.reader import read_events
from detektor_pipelines.training import columns
from detektor_pipelines.training.labels import read_labels
from detektor_pipelines.training.sets import TrainingSet, training_set

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from detektor_pipelines.language import FeatureView
    from detektor_pipelines.settings import Settings

ORIGIN = parse_instant("2026-03-05T10:00:00Z")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def simulated(module_database: Settings) -> Iterator[Settings]:
    """Return a log of 45 simulated days of eight projects."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DETEKTOR_NOW", "2026-06-01T00:00:00Z")
        table = simulate_table(days=45, projects=8, seed=4, end=datetime(2026, 6, 1, tzinfo=UTC).date(), events=30_000)
        append_table(module_database, table)
        yield module_database


@pytest.fixture
def at_the_end(simulated: Settings, monkeypatch: pytest.MonkeyPatch, isolated_environment: Path) -> Settings:
    del isolated_environment  # first: it empties the environment
    monkeypatch.setenv("DETEKTOR_NOW", "2026-06-01T00:00:00Z")
    return simulated


def alone(settings: Settings, view: FeatureView, agent_id: str, decided_at: datetime, task_id: str | None) -> tuple[Any, ...]:
    """Return the values of one label's features, by the read that is made for one moment."""
    instant, compiled = to_us(decided_at) - 1, plan(view)
    with connect_arrow(settings) as connection:
        wanted = sorted({*compiled.columns, "task_id"})
        events = read_events(connection, view.agent, wanted, instant - reach_back(compiled), instant)
    others = pa.array([task is None or task != task_id for task in events["task_id"].to_pylist()], pa.bool_())
    found = values_at(view, events.filter(others), instant, known=instant)
    return found.get(agent_id, values_of_nothing(view))


def plain(value: Any) -> Any:
    return (value - EPOCH) // timedelta(microseconds=1) if isinstance(value, datetime) else value


@pytest.mark.parametrize(
    ("agent", "label"), [("code-reviewer", "rejected"), pytest.param("detektor-coder", "reworked", marks=pytest.mark.long)]
)
def test_each_row_equals_the_read_of_its_moment_without_its_task(at_the_end: Settings, agent: str, label: str) -> None:
    made, view = training_set(at_the_end, agent=agent, label=label), view_named(agent)
    rows = made.table.to_pylist()
    assert len(rows) > 50
    for row in rows[:: max(1, len(rows) // 16)]:
        expected = alone(at_the_end, view, row["agent_id"], row["decided_at"], row["task_id"])
        assert tuple(plain(row[name]) for name in made.feature_columns) == expected, row


def test_every_label_of_the_catalogue_has_decisions_in_a_simulated_history(at_the_end: Settings) -> None:
    with connect_arrow(at_the_end) as connection:
        until = to_us(datetime(2026, 6, 1, tzinfo=UTC))
        found = {label: read_labels(connection, label, until=until, snapshot=None).table["label"] for label in LABELS}
    assert [f"{label.agent} {label.name}" for label, values in found.items() if len(values) <= 2] == []
    conditions = [set(values.to_pylist()) for label, values in found.items() if label.value_type == "bool"]
    assert sum(values == {True, False} for values in conditions) >= len(conditions) - 3  # a rare one may miss in a few weeks


def test_features_of_other_agents_are_those_of_the_same_project_and_roll_ups_those_of_all(at_the_end: Settings) -> None:
    wanted = ["coding_features:rework_rate", "coding_features@all:rework_rate", "architecture_features:weekly_advice_count"]
    made = training_set(at_the_end, agent="code-reviewer", label="rejected", features=wanted)
    assert made.references == tuple(wanted)
    assert made.feature_columns == ("coding_features__rework_rate", "coding_features_all__rework_rate", "weekly_advice_count")
    assert [each.name for each in made.views] == ["coding_features", "architecture_features"]
    coder = view_named("detektor-coder")
    place = [each.name for each in coder.features].index("rework_rate")
    for row in made.table.to_pylist()[::15]:
        project = row["agent_id"].partition("@")[2]
        keys = {"coding_features__rework_rate": f"detektor-coder@{project}", "coding_features_all__rework_rate": "detektor-coder"}
        for column, key in keys.items():
            assert row[column] == alone(at_the_end, coder, key, row["decided_at"], row["task_id"])[place]


def test_labels_without_a_task_leave_nothing_out(at_the_end: Settings) -> None:
    made = training_set(at_the_end, agent="code-reviewer", label="rejected")
    given = made.table.select(["agent_id", "decided_at", "label"])
    same = training_set(at_the_end, agent="code-reviewer", label=given)
    view = view_named("code-reviewer")
    assert same.table.num_rows == made.table.num_rows
    for row in same.table.to_pylist()[::20]:
        expected = alone(at_the_end, view, row["agent_id"], row["decided_at"], None)
        assert tuple(plain(row[name]) for name in same.feature_columns) == expected
    assert same.table.select(same.feature_columns) != made.table.select(made.feature_columns)


def test_the_table_is_typed_sorted_and_named_as_said(at_the_end: Settings) -> None:
    made = training_set(at_the_end, agent="code-reviewer", label="issues_found")
    instant = pa.timestamp("us", "UTC")
    own = [
        ("agent_id", pa.string()),
        ("decided_at", instant),
        ("label_known_at", instant),
        ("task_id", pa.string()),
        ("label", pa.float64()),
    ]
    assert made.table.schema.names[5:] == [each.name for each in view_named("code-reviewer").features]
    assert [(each.name, each.type) for each in made.table.schema][:5] == own
    keys = [(row["decided_at"], row["agent_id"], row["task_id"]) for row in made.table.to_pylist()]
    assert keys == sorted(keys)
    assert made.first_event is not None
    assert made.last_event is not None
    assert made.first_event < made.last_event <= max(at for at, _, _ in keys)


def test_how_it_is_cut_into_chunks_makes_no_difference(at_the_end: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = training_set(at_the_end, agent="detektor-coder", label="finished")
    monkeypatch.setattr(columns, "EVENTS", 100)
    monkeypatch.setattr(columns, "MOMENTS", 7)
    steps: list[tuple[int, int]] = []
    cut = training_set(at_the_end, agent="detektor-coder", label="finished", progress=lambda done, total: steps.append((done, total)))
    assert cut.set_hash == whole.set_hash
    assert len(steps) > 10
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    assert steps[-1] == (whole.table.num_rows, whole.table.num_rows)


def test_a_range_is_of_the_instants_of_decisions_and_what_lies_outside_is_not_left_out(at_the_end: Settings) -> None:
    made = training_set(at_the_end, agent="code-reviewer", label="rejected")
    decided = made.table["decided_at"].to_pylist()
    start, end = decided[10], decided[40]
    part = training_set(at_the_end, agent="code-reviewer", label="rejected", start=start, end=end)
    assert part.table["decided_at"].to_pylist() == [each for each in decided if start <= each < end]
    assert part.table.equals(made.table.filter(pa.array([start <= each < end for each in decided])))


def test_what_is_written_is_read_again_and_a_changed_file_is_not(at_the_end: Settings, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    made = training_set(at_the_end, agent="code-reviewer", label="rejected", end=datetime(2026, 5, 20, tzinfo=UTC))
    path = tmp_path / "set.parquet"
    made.write(path)
    assert TrainingSet.read(path) == made
    written = pq.read_table(path)
    pq.write_table(written.slice(1), path)
    with pytest.raises(UserError, match="not those that were written"):
        TrainingSet.read(path)
    pq.write_table(written.replace_schema_metadata(None), path)
    with pytest.raises(UserError, match="no training set"):
        TrainingSet.read(path)
    with pytest.raises(UserError, match="cannot be read"):
        TrainingSet.read(tmp_path / "none.parquet")
    with pytest.raises(UserError, match="cannot be written"):
        made.write(tmp_path / "none" / "set.parquet")


def test_pandas_has_the_same_rows(at_the_end: Settings) -> None:
    made = training_set(at_the_end, agent="code-reviewer", label="rejected")
    frame = made.to_pandas()
    assert list(frame.columns) == made.table.column_names
    assert len(frame) == made.table.num_rows
    assert int(frame["label"].sum()) == made.classes[True]
