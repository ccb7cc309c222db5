"""A restored platform is what was backed up, knows that it is another one, and nothing is lost that somebody did not give up."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
import pytest

from detektor_pipelines.catalog.chosen import FILE, Chosen
from detektor_pipelines.cli_commands.doctor import _restore as examined
from detektor_pipelines.engine.online import publish_online
from detektor_pipelines.errors import UserError
from detektor_pipelines.ingest.masking import KEY_FILE, Masker
from detektor_pipelines.quality.parity.check import check
from detektor_pipelines.recovery import listing, tools
from detektor_pipelines.recovery import restore as restoring
from detektor_pipelines.recovery.sealing import Opener
from detektor_pipelines.stores import cluster
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.connections_redis import redis_client
from detektor_pipelines.stores.offline.staleness import stale_days
from detektor_pipelines.stores.online import life
from detektor_pipelines.stores.online.values import read
from detektor_pipelines.stream.worker import Worker

from .conftest import VIEWS, events, rows

if TYPE_CHECKING:
    from conftest import Platform

    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stack.servers.embedded import PostgresServer

VIEW = VIEWS[0]


def stale(settings: Settings) -> list[object]:
    with connect(settings) as connection:
        return [stale_days(connection, view) for view in VIEWS]


def epoch(settings: Settings) -> int:
    with connect(settings) as connection:
        return cluster.life(connection).epoch


def online(settings: Settings) -> list[object]:
    with redis_client(settings) as client:
        (found,) = read(client, settings.project, VIEW, [VIEW.agent])
    assert found is not None
    return [found.status, found.values]


def test_on_another_cluster_all_is_as_it_was_and_goes_on(platform: Platform) -> None:
    here, there = platform.settings, platform.elsewhere
    platform.add("late")
    for view in VIEWS:
        publish_online(here, view)
    platform.backup()
    done = platform.restore()
    assert events(there) == events(here)
    assert stale(there) == stale(here) != [[], []], "the day that was stale is, and no other"
    assert done.life > epoch(here)
    assert online(there) == online(here)
    assert {name.partition(" ")[0] for name, each in done.online.items() if each.keys} == {view.name for view in VIEWS}
    assert sum(each.errors for each in check(there, VIEWS)) == 0
    assert (there.home / "servers" / "mlflow" / "artifacts" / "1" / "run" / "plots" / "shap.png").read_bytes().startswith(b"1/run")
    assert (there.home / "spool" / "waiting.jsonl").exists()
    assert (there.home / "held" / "1999999999-a.jsonl").exists()
    assert Masker.of(there).name("ada@example.org") == Masker.of(here).name("ada@example.org"), "the same record is the same event there"
    assert stat.S_IMODE((there.home / KEY_FILE).stat().st_mode) == 0o600
    assert not (there.home / restoring.MARK).exists()

    before = online(there)
    platform.add("later", settings=there)
    worker = Worker(there, [VIEW])
    try:
        for _ in range(4):
            worker._moved = 0
            worker.tick()
    finally:
        worker.close()
    assert online(there) != before, "the stream sees what comes after"
    assert sum(each.errors for each in check(there, [VIEW])) == 0
    assert len(events(there)) == len(events(here)) + 1
    assert platform.backup().manifest.events == len(events(here)), "the platform that was backed up goes on"


def test_something_that_is_there_is_lost_only_when_that_is_said(platform: Platform) -> None:
    platform.backup()
    platform.add("since")
    here = platform.settings
    publish_online(here, VIEW)
    before = epoch(here)
    with pytest.raises(UserError, match=r"Something is there already: .*agent_events"):
        platform.restore(here)
    assert len(events(here)) == 401
    with psycopg.connect(here.postgres_dsn, application_name="psql of Eva"), pytest.raises(UserError, match=r"connected .*psql of Eva"):
        platform.restore(here, replace=True)
    assert len(events(here)) == 401
    (here.home / FILE).write_text(Chosen({VIEW.name: VIEW}).as_text())
    (here.home / "spool" / "waiting.jsonl").write_text("what came since")
    platform.restore(here, replace=True)
    assert len(events(here)) == 400
    assert epoch(here) > before, "the same cluster, and yet another life: what is online may know of what is gone"
    assert not (here.home / FILE).exists(), "what was rolled back to since is no part of it"
    assert (here.home / "spool" / "waiting.jsonl").read_text() == "what came since"
    assert sum(each.errors for each in check(here, [VIEW])) == 0
    assert rows(here, "SELECT datname FROM pg_database WHERE datname LIKE 'platform%'") == [("platform",)]


def test_an_interrupted_restore_has_touched_nothing_and_says_what_to_do(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    platform.backup()
    platform.add("since")
    here = platform.settings

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(restoring, "_swap", killed)
        with pytest.raises(KeyboardInterrupt):
            platform.restore(here, replace=True)
    assert len(events(here)) == 401
    (check_,) = examined(here)
    assert (check_.result, check_.fix) == ("failed", restoring.interrupted(here))
    assert check_.fix.startswith("detektor backup restore --backup 2")

    with monkeypatch.context() as patch:
        patch.setattr(restoring, "begin_life", killed)
        with pytest.raises(KeyboardInterrupt):
            platform.restore(here, replace=True)
    assert len(events(here)) == 400
    with pytest.raises(UserError, match="interrupted after it had put its database in place"):
        platform.restore(here)
    platform.restore(here, replace=True)
    assert not list(examined(here))
    assert stale(here) == [[], []]


def test_beside_a_copy_that_is_alive_all_but_the_online_store_is_restored(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(life, "ALIVE_S", 3_600)
    platform.backup()
    worker = Worker(platform.settings, [VIEW])
    beside = platform.elsewhere.model_copy(update={"project": platform.settings.project})
    try:
        worker.tick()
        done = platform.restore(beside)
    finally:
        worker.close()
    assert done.offline is not None
    assert "Another copy of the log keeps the online store fresh" in done.offline.what
    assert events(beside) == events(platform.settings)
    assert restoring.interrupted(beside) is None


def test_what_was_rolled_back_to_is_in_force_again(platform: Platform) -> None:
    pinned = replace(VIEW, owner="somebody else")
    (platform.settings.home / FILE).write_text(Chosen({VIEW.name: pinned}).as_text())
    platform.backup()
    done = platform.restore()
    assert done.views[0].owner == "somebody else"
    assert json.loads((platform.elsewhere.home / FILE).read_text())["pinned"].keys() == {VIEW.name}


def test_roles_that_something_was_granted_to_are_there(
    platform: Platform, postgres_server: PostgresServer, other_cluster: PostgresServer
) -> None:
    postgres_server.sql("CREATE ROLE readers NOLOGIN")
    try:
        with psycopg.connect(platform.settings.postgres_dsn) as connection:
            connection.execute("GRANT USAGE ON SCHEMA ml_learning TO readers; GRANT SELECT ON ml_learning.agent_events TO readers")
        assert {"readers", "detektor_read"} <= set(platform.backup().manifest.roles)
        platform.restore(online=False)
        granted = "SELECT has_table_privilege('readers', 'ml_learning.agent_events', 'SELECT')"
        assert rows(platform.elsewhere, granted) == [(True,)]
    finally:
        postgres_server.sql("DROP OWNED BY readers; DROP ROLE readers", "platform")
        other_cluster.sql("DROP DATABASE restored WITH (FORCE); DROP ROLE IF EXISTS readers")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"revision": "9999"}, "revision 9999, which this release does not know"),
        ({"postgres": {"major": 99}}, "is of PostgreSQL 99, and here is PostgreSQL"),
    ],
)
def test_backups_of_later_releases_are_refused(platform: Platform, change: dict[str, object], says: str) -> None:
    made = platform.backup().manifest
    other = replace(made, **{name: {**getattr(made, name), **each} if isinstance(each, dict) else each for name, each in change.items()})
    with pytest.raises(UserError, match=says):
        restoring.restore(platform.elsewhere, platform.target, other, Opener(platform.elsewhere))
    assert not restoring.interrupted(platform.elsewhere)


def test_a_backup_of_an_earlier_postgresql_is_read(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    made = platform.backup().manifest
    restoring.check_fits(replace(made, postgres={**made.postgres, "major": 16}), platform.elsewhere.postgres_dsn)
    monkeypatch.setattr(tools, "own_major", lambda: 15)
    with pytest.raises(UserError, match="here is PostgreSQL 15"):
        restoring.check_fits(made, platform.elsewhere.postgres_dsn)


def test_no_file_leaves_its_directory(platform: Platform) -> None:
    made = platform.backup().manifest
    outside = replace(made, artifacts=[replace(made.artifacts[0], path="../../../outside")])
    with pytest.raises(UserError, match="outside of its directory"):
        restoring.restore(platform.elsewhere, platform.target, outside, Opener(platform.elsewhere))
    assert not (platform.elsewhere.home / "outside").exists()
    assert listing.chosen(platform.target, None) == made
