"""A database as release 0.1.0 left it, brought up to this release. `make_dump.py` says what is in it."""

from __future__ import annotations

import datetime as dt
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from detektor_pipelines import __version__
from detektor_pipelines.catalog import DECLARED
from detektor_pipelines.engine.materialize import materialize
from detektor_pipelines.errors import UserError
from detektor_pipelines.language.hashes import data_hash
from detektor_pipelines.quality.parity import judgement
from detektor_pipelines.quality.parity.check import check
from detektor_pipelines.settings import Settings
from detektor_pipelines.stack import binaries
from detektor_pipelines.stores import schema
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.feast import registry
from detektor_pipelines.stores.offline.staleness import days_to_materialize, stale_days
from detektor_pipelines.stores.schema import migrate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.stack.servers.embedded import PostgresServer

DUMP = Path(__file__).with_name("release-0.1.0.sql")
NOW = "2026-11-02T00:00:00Z"
DAYS = [dt.date(2026, 10, day) for day in (29, 30, 31)]
"""Those that are published."""

LATE = DAYS[2]
"""On which an event of each view came after that."""

SAME, CHANGED = (next(view for view in DECLARED if view.name == name) for name in ("coding_features", "code_review_features"))
"""The view whose numbers are those of 0.1.0, and the one that has a new version since."""

KEPT = "SELECT view, data_hash, partition, rows, hash, published_at FROM ml_learning.partition_state ORDER BY view, partition"
EVENTS = "SELECT event_id, revision, agent_type, project, operation, occurred_at, known_at, duration_ms, outcome, attributes::text FROM"
FAILING = """
from alembic import op
revision = "9001"
down_revision = "{below}"
branch_labels = depends_on = None
def upgrade():
    op.execute("CREATE TABLE ml_learning.half (number integer)")
    op.execute("UPDATE ml_learning.partition_state SET hash = 'half'")
    op.execute("{last}")
"""


@pytest.fixture
def old(postgres_server: PostgresServer, redis_db: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """The database of 0.1.0, on the cluster that it grew up on as far as it can tell."""
    monkeypatch.setenv("DETEKTOR_NOW", NOW)
    monkeypatch.setattr(judgement, "AGAIN_S", 0.1)
    postgres_server.sql("CREATE DATABASE old TEMPLATE template0")
    url = postgres_server.dsn("old")
    subprocess.run([binaries.postgres("psql"), "-q", "-X", "-v", "ON_ERROR_STOP=1", "-f", DUMP, url], check=True, capture_output=True)
    settings = Settings(home=tmp_path / "old", external_postgres_url=url, external_redis_url=redis_db.redis_url)
    run(settings, "UPDATE ml_learning.partition_state SET system_identifier = (SELECT system_identifier FROM pg_control_system())")
    while run(settings, "SELECT pg_current_xact_id()::text::bigint > 1000") != [(True,)]:
        """Its transactions have numbers below 1,000."""
    yield settings
    postgres_server.sql("DROP DATABASE old WITH (FORCE)")


def run(settings: Settings, statement: str) -> list[Any]:
    with psycopg.connect(settings.postgres_dsn, options="-c timezone=UTC") as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def table(view: FeatureView, hash_: str | None = None) -> str:
    return f"feast.{view.name}__{(hash_ or data_hash(view))[:12]}"


def due(settings: Settings, view: FeatureView) -> tuple[list[dt.date], list[dt.date]]:
    """Return the stale days, and those that a run would compute."""
    with connect(settings) as connection:
        return stale_days(connection, view), days_to_materialize(connection, view, DAYS)


def test_the_dump_is_of_the_first_tables_and_has_one_view_of_each_kind(old: Settings) -> None:
    assert run(old, "SELECT version_num FROM ml_learning.alembic_version") == [("0001",)]
    hashes = {name: hash_ for name, hash_, *_ in run(old, KEPT)}
    assert hashes[SAME.name] == data_hash(SAME)
    assert hashes[CHANGED.name] != data_hash(CHANGED)
    assert DUMP.stat().st_size < 120_000


def test_nothing_is_lost_and_nothing_is_due_but_what_was_due_before(old: Settings) -> None:
    before = {name: run(old, f"{EVENTS} ml_learning.{name} ORDER BY 1, 2") for name in ("agent_events",)}
    states, rejected = run(old, KEPT), run(old, "SELECT * FROM ml_learning.rejected_events")
    rows = run(old, f"SELECT * FROM {table(SAME)} ORDER BY 1, 2, 3, 4")
    assert len(before["agent_events"]) > 50
    assert (len(states), len(rejected), len(rows)) == (6, 1, 12)

    migrate(old)
    assert run(old, f"{EVENTS} ml_learning.agent_events ORDER BY 1, 2") == before["agent_events"]
    assert run(old, KEPT) == states
    assert run(old, "SELECT * FROM ml_learning.rejected_events") == rejected
    assert run(old, f"SELECT * FROM {table(SAME)} ORDER BY 1, 2, 3, 4") == rows
    assert run(old, "SELECT epoch, shift FROM ml_learning.log_cluster") == [(1, 0)]
    assert due(old, SAME) == ([LATE], [LATE])
    assert due(old, CHANGED) == ([], DAYS)


def test_days_that_are_right_are_kept_and_the_stale_one_gets_its_event(old: Settings) -> None:
    migrate(old)
    hashes = {day: hash_ for name, _, day, _, hash_, _ in run(old, KEPT) if name == SAME.name}
    done = {each.day: each for each in materialize(old, SAME, DAYS, resume=True).days}
    assert [done[day].status for day in DAYS] == ["kept", "kept", "published"]
    assert [done[day].hash == hashes[day] for day in DAYS] == [True, True, False]
    assert due(old, SAME) == ([], [])


def test_computed_again_with_what_was_known_then_each_day_has_the_hash_that_0_1_0_gave_it(old: Settings) -> None:
    migrate(old)
    before = run(old, KEPT)
    run(old, "DELETE FROM ml_learning.agent_events WHERE source = 'late'")
    rows = run(old, f"SELECT * FROM {table(SAME)} ORDER BY 1, 2, 3, 4")
    done = materialize(old, SAME, DAYS)
    assert [each.status for each in done.days] == ["unchanged"] * 3
    assert [each.hash for each in done.days] == [hash_ for name, _, _, _, hash_, _ in before if name == SAME.name]
    assert run(old, f"SELECT * FROM {table(SAME)} ORDER BY 1, 2, 3, 4") == rows


def test_a_view_with_a_new_version_is_computed_beside_its_old_rows(old: Settings) -> None:
    (was,) = {hash_ for name, hash_, *_ in run(old, KEPT) if name == CHANGED.name}
    rows = run(old, f"SELECT * FROM {table(CHANGED, was)} ORDER BY 1, 2, 3, 4")
    migrate(old)
    materialize(old, CHANGED, DAYS, resume=True)
    assert run(old, f"SELECT * FROM {table(CHANGED, was)} ORDER BY 1, 2, 3, 4") == rows
    assert due(old, CHANGED) == ([], [])


def test_of_a_restored_database_every_day_is_computed_again_to_the_same_hash(old: Settings) -> None:
    """0.1.0 did not say where its log lived: after a dump and a restore nobody can tell what a day has seen."""
    run(old, "UPDATE ml_learning.partition_state SET system_identifier = 1")
    run(old, "DELETE FROM ml_learning.agent_events WHERE source = 'late'")
    before = [(day, hash_) for name, _, day, _, hash_, _ in run(old, KEPT) if name == SAME.name]
    migrate(old)
    assert due(old, SAME) == (DAYS, DAYS)
    done = materialize(old, SAME, DAYS, resume=True)
    assert [(each.day, each.hash) for each in done.days] == before
    assert due(old, SAME) == ([], [])


@pytest.mark.slow
def test_registry_and_online_values_follow(old: Settings) -> None:
    from detektor_pipelines.engine.online import publish_online

    migrate(old)
    assert {CHANGED.name} <= set(registry.outdated(old, (SAME, CHANGED)).changed)
    registry.apply(old, (SAME, CHANGED))
    assert registry.outdated(old, (SAME, CHANGED)) == registry.Applied()
    for view in (SAME, CHANGED):
        materialize(old, view, DAYS, resume=True)
        publish_online(old, view)
    found = check(old, (SAME, CHANGED))
    assert sum(each.compared for each in found) >= 2
    assert [each.errors for each in found] == [0, 0]


def test_a_second_upgrade_changes_nothing(old: Settings) -> None:
    migrate(old)
    once = run(old, KEPT)
    migrate(old)
    assert run(old, KEPT) == once


def test_tables_of_a_later_release_are_left_alone(old: Settings) -> None:
    migrate(old)
    run(old, "UPDATE ml_learning.alembic_version SET version_num = '9999'")
    with pytest.raises(UserError, match=rf"revision is 9999, release {__version__} knows none beyond \d{{4}}") as caught:
        migrate(old)
    assert "database old" in str(caught.value.where)
    assert "docs/releases.md" in str(caught.value.fix)
    assert run(old, "SELECT version_num FROM ml_learning.alembic_version") == [("9999",)]


def test_a_migration_that_fails_half_way_leaves_nothing_and_goes_on_from_there(
    old: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = [(name, hash_) for name, _, _, _, hash_, _ in run(old, KEPT)]
    migrations = Path(shutil.copytree(schema.MIGRATIONS, tmp_path / "migrations", ignore=shutil.ignore_patterns("__pycache__")))
    below = max(file.name.partition("_")[0] for file in (migrations / "versions").glob("0*.py"))
    added = migrations / "versions" / "9001_added.py"
    monkeypatch.setattr(schema, "MIGRATIONS", migrations)

    added.write_text(FAILING.format(below=below, last="SELECT 1 / 0"))
    with pytest.raises(Exception, match="division by zero"):
        migrate(old)
    assert run(old, "SELECT to_regclass('ml_learning.half')::text, version_num FROM ml_learning.alembic_version") == [(None, below)]
    assert [(name, hash_) for name, _, _, _, hash_, _ in run(old, KEPT)] == states

    added.write_text(FAILING.format(below=below, last="SELECT 1"))
    migrate(old)
    assert run(old, "SELECT to_regclass('ml_learning.half')::text, version_num FROM ml_learning.alembic_version") == [
        ("ml_learning.half", "9001")
    ]
