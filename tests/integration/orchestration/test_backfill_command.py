"""`detektor backfill` as a person runs it: only what is due, failures named, Ctrl-C, kill -9, going on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from detektor_pipelines.catalog import VIEWS, view_named
from detektor_pipelines.settings import Settings, get_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

REVIEWS = view_named("code_review_features")
CODER = view_named("coding_features")
FIRST = date(2026, 5, 1)
DAYS = [FIRST + timedelta(days=number) for number in range(10)]
TODAY = date(2026, 5, 11)
SOME = VIEWS[:3]
THEM = [word for view in SOME for word in ("--view", view.name)]


@pytest.fixture
def history(servers: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return settings whose log holds ten simulated days; the clock stands an hour after their end."""
    from detektor_pipelines.simulation.simulator import simulate_table
    from detektor_pipelines.stores.raw_log.bulk import append_table

    monkeypatch.setenv("DETEKTOR_NOW", "2026-05-11T01:00:00Z")
    monkeypatch.setenv("DETEKTOR_MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    get_settings.cache_clear()
    append_table(servers, simulate_table(days=10, projects=2, seed=7, end=TODAY))
    return get_settings()


def call(*words: str) -> Any:
    from detektor_pipelines.cli import build_app

    return CliRunner().invoke(build_app(), ["backfill", *words])


def as_data(*words: str) -> dict[str, Any]:
    result = call(*words, "--json")
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout))


def published(settings: Settings) -> dict[tuple[str, date], tuple[int, str]]:
    from detektor_pipelines.stores.connections import connect

    with connect(settings) as connection:
        rows = connection.execute("SELECT view, partition, rows, hash FROM ml_learning.partition_state").fetchall()
    return {(view, day): (count, digest) for view, day, count, digest in rows}


def runs(settings: Settings) -> list[Any]:
    from detektor_pipelines.orchestration.instance import persistent_instance

    with persistent_instance(settings) as instance:
        return list(instance.get_runs())


def undisturbed(settings: Settings) -> dict[tuple[str, date], tuple[int, str]]:
    """Publish `SOME` views with the engine alone, say what came out, and forget it."""
    from detektor_pipelines.engine.materialize import materialize
    from detektor_pipelines.stores.connections import connect
    from detektor_pipelines.stores.offline.rows import row_table

    for view in SOME:
        materialize(settings, view, [*DAYS, TODAY])
    found = published(settings)
    with connect(settings) as connection:
        tables = ", ".join(f'feast."{row_table(view)}"' for view in SOME)
        connection.execute(f"TRUNCATE {tables}, ml_learning.partition_state")
    return found


@contextmanager
def held(settings: Settings, view: Any) -> Iterator[Any]:
    """Hold the lock that the publication of `view` needs: whoever publishes it stands there; yields a function that waits for that."""
    import psycopg

    from detektor_pipelines.stores.offline.rows import publication_lock

    waiting = """SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""

    def wait(process: subprocess.Popen[str]) -> None:
        deadline = time.monotonic() + 120
        while holder.execute(waiting).fetchone() == (0,):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, "nobody came to the lock"
            time.sleep(0.05)

    with psycopg.connect(settings.postgres_dsn, autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", (publication_lock(view),))
        yield wait


def command(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", "from detektor_pipelines.cli import main; main()", "backfill", *words],
        env=os.environ | {"COLUMNS": "300"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_only_what_is_missing_or_stale_is_computed(history: Settings) -> None:
    first = as_data("--view", "code-reviewer", "--view", "coding_features")
    assert [view["view"] for view in first["views"]] == [REVIEWS.name, CODER.name]
    assert {view["days"]["published"] + view["days"]["unchanged"] for view in first["views"]} == {11}
    assert all(view["keys_online"] for view in first["views"])
    assert len(first["runs"]) == 1

    again = call("--view", "code-reviewer")
    assert again.exit_code == 0
    assert "Nothing to do" in again.stdout
    assert as_data("--view", "code-reviewer")["runs"] == []

    from detektor_pipelines.simulation.simulator import simulate_table
    from detektor_pipelines.stores.raw_log.bulk import append_table

    late = simulate_table(days=1, projects=2, seed=8, end=DAYS[4])
    append_table(history, late.filter(_of(late, "code-reviewer")))
    repaired = as_data()
    by_view = {view["view"]: view["days"] for view in repaired["views"]}
    assert by_view[REVIEWS.name]["kept"] == 3
    assert CODER.name not in by_view
    assert set(by_view) == {view.name for view in VIEWS} - {CODER.name}


def test_days_that_a_dead_run_published_without_saying_so_are_told_and_go_online(history: Settings) -> None:
    """Killed between the publication and Dagster's record of it; later between that and the online values."""
    import dagster as dg

    from detektor_pipelines.engine.materialize import materialize
    from detektor_pipelines.orchestration.instance import persistent_instance

    materialize(history, REVIEWS, [*DAYS, TODAY])
    before = published(history)
    done = as_data("--view", REVIEWS.name)
    assert done["views"][0]["days"]["kept"] == 10
    assert done["views"][0]["keys_online"]
    with persistent_instance(history) as instance:
        assert len(instance.get_materialized_partitions(dg.AssetKey([REVIEWS.group, "features"]))) == 11
        assert as_data("--view", REVIEWS.name)["runs"] == []
        instance.report_runless_asset_event(dg.AssetMaterialization([REVIEWS.group, "features"], partition="2026-05-04"))
    done = as_data("--view", REVIEWS.name)
    assert done["views"][0]["keys_online"]
    assert as_data("--view", REVIEWS.name)["runs"] == []
    assert published(history) == before


def _of(table: Any, agent: str) -> Any:
    import pyarrow.compute as pc

    return pc.equal(table["agent_type"], agent)


def test_a_run_says_why_it_ran_and_dagster_shows_its_days(history: Settings) -> None:
    import dagster as dg

    from detektor_pipelines.orchestration.instance import persistent_instance

    done = as_data("--from", "2026-05-03", "--to", "2026-05-05", "--view", REVIEWS.name)
    (run,) = runs(history)
    assert run.run_id == done["runs"][0]["run_id"]
    assert run.tags["detektor/reason"] == "backfill"
    assert run.tags["detektor/resume"] == "true"
    with persistent_instance(history) as instance:
        key = dg.AssetKey([REVIEWS.group, "features"])
        assert instance.get_materialized_partitions(key) == {"2026-05-03", "2026-05-04", "2026-05-05"}


def test_all_computes_anew_what_stands(history: Settings) -> None:
    as_data("--view", REVIEWS.name)
    again = as_data("--view", REVIEWS.name, "--all")
    days = again["views"][0]["days"]
    assert (days["kept"], days["failed"], days["published"] + days["unchanged"]) == (0, 0, 11)  # published: a day without rows
    assert days["unchanged"]
    assert again["views"][0]["rows_written"] == 0


def test_a_bad_day_fails_alone_and_is_named_with_its_rows(history: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = [replace(each, within=(0, 5)) if each.name == "recent_reviews_count" else each for each in REVIEWS.features]
    strict = replace(REVIEWS, features=tuple(narrow))
    monkeypatch.setattr("detektor_pipelines.catalog.view_named", lambda _: strict)
    result = call("--view", REVIEWS.name)
    assert result.exit_code == 1
    missing = [day for day in [*DAYS, TODAY] if (REVIEWS.name, day) not in published(history)]
    assert 0 < len(missing) < 11
    for day in missing:
        assert day.isoformat() in result.stderr
    assert "recent_reviews_count = " in result.stderr
    assert "which must be at most 5" in result.stderr
    assert "detektor backfill --from 2026-05-01 --to 2026-05-11 --view code_review_features" in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--view", "nobody"), "nobody"),
        (("--from", "yesterday"), "'yesterday' is not a day"),
        (("--from", "2026-05-09", "--to", "2026-05-02"), "is before the first"),
        (("--from", "2020-01-01"), "no partition 2020-01-01"),
    ],
)
def test_a_mistake_is_said_in_words(history: Settings, words: tuple[str, ...], said: str) -> None:
    from detektor_pipelines.errors import UserError

    result = call(*words)
    assert isinstance(result.exception, UserError)
    assert said in str(result.exception)
    assert published(history) == {}


@pytest.mark.parametrize("end", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_ctrl_c_cancels_publishes_nothing_by_half_and_says_how_to_go_on(history: Settings, end: signal.Signals) -> None:
    whole = undisturbed(history)
    with held(history, SOME[1]) as wait_for_it:
        process = command(*THEM)
        wait_for_it(process)
        process.send_signal(end)
        out, err = process.communicate(timeout=60)  # while the lock is still held: the run stands behind nobody
    assert process.returncode == 130, (out, err)
    begun = published(history)
    views = {view for view, _ in begun}
    assert begun == {key: state for key, state in whole.items() if key[0] in views}
    assert views == {SOME[0].name}
    assert f"Cancelled. {len(begun)} days were computed and stand" in err
    assert "detektor backfill --from 2026-05-01 --to 2026-05-11" in err
    assert "Traceback" not in err
    assert {run.status.value for run in runs(history)} == {"CANCELED"}

    done = as_data(*THEM)
    assert {view["view"] for view in done["views"] if view["days"]["kept"]} == views  # all but the open day
    assert all(view["keys_online"] is not None for view in done["views"])  # the cancelled run had not come to that
    assert len(done["views"]) == len(SOME)
    assert published(history) == whole


def test_a_killed_command_leaves_whole_days_and_its_run_is_known_to_be_dead(history: Settings) -> None:
    from detektor_pipelines.orchestration.instance import persistent_instance

    whole = undisturbed(history)
    with held(history, SOME[1]) as wait_for_it:
        process = command(*THEM)
        wait_for_it(process)
        with persistent_instance(history) as instance:
            (run,) = instance.get_runs()
            assert instance.run_launcher.check_run_worker_health(run).status.value == "RUNNING"
        process.kill()
        process.communicate()
        with persistent_instance(history) as instance:
            assert instance.run_launcher.check_run_worker_health(run).status.value == "NOT_FOUND"
    assert 0 < len(published(history)) < len(whole)
    assert published(history).items() <= whole.items()
    as_data(*THEM)
    assert published(history) == whole
