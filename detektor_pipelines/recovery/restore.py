"""The way back: a backup's database beside the one in use, which takes its place in one transaction when it is whole.

Until then nothing of what is there is touched, so a restore that is interrupted is simply run again; a file in the home says so meanwhile
(`MARK`). The log then begins a new life where it is now (`stores.cluster`), and its values online are written from it.
"""

from __future__ import annotations

import json
import shlex
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines import sessions
from detektor_pipelines.errors import UserError
from detektor_pipelines.files import PRIVATE, content_of, replace_file
from detektor_pipelines.recovery import contents, log_chunks, tools
from detektor_pipelines.recovery.create import ARTIFACTS, CHOICE, QUEUES, working_directory
from detektor_pipelines.recovery.objects import Fetch
from detektor_pipelines.stack import supervisor
from detektor_pipelines.stack.programs import PROGRAMS
from detektor_pipelines.stack.servers import postgres
from detektor_pipelines.stores import cluster
from detektor_pipelines.stores.connections import connect, postgres_errors
from detektor_pipelines.stores.schema import MIGRATIONS, migrate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from detektor_pipelines.engine.online import OnlinePublication
    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.recovery.manifest import File, Manifest, Object
    from detektor_pipelines.recovery.sealing import Opener
    from detektor_pipelines.recovery.target import Target
    from detektor_pipelines.settings import Settings

MARK: Final = "restore.json"
"""File in the home while a restore is under way."""

BESIDE: Final = "_restoring"
REPLACED: Final = "_replaced"
"""What the names of the databases end with that is filled, and that was replaced and is about to be dropped."""

_SERVERS: Final = ("postgres", "redis")
_FETCHERS: Final = 4
_NAMED: Final = 4
_PLATFORM: Final = r"""
SELECT format('%I.%I', space.nspname, class.relname) FROM pg_class AS class JOIN pg_namespace AS space ON space.oid = class.relnamespace
WHERE class.relkind = 'r' AND (
    (space.nspname = 'ml_learning' AND class.relname ~ '^(agent_events|event_ids|rejected_events|partition_state|predictions)')
    OR (space.nspname = 'feast' AND class.relname ~ '__[0-9a-f]{12}')
    OR (space.nspname IN ('mlflow', 'dagster') AND class.relname = 'runs'))
"""
_OTHERS: Final = """
SELECT string_agg(DISTINCT coalesce(nullif(application_name, ''), usename, 'a session'), ', ')
FROM pg_stat_activity WHERE datname = :'name' AND pid <> pg_backend_pid()
"""
_ROLE: Final = """
SELECT format('CREATE ROLE %1$I NOLOGIN; GRANT %1$I TO %2$I', :'name', current_user)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'name')  -- who is no superuser sets their default privileges as a member
\\gexec
"""
_DROP: Final = "SELECT format('DROP DATABASE IF EXISTS %I WITH (FORCE)', :'name')\n\\gexec\n"
_SWAP: Final = """
BEGIN;
SELECT format('ALTER DATABASE %I RENAME TO %I', :'present', :'replaced') WHERE EXISTS (SELECT FROM pg_database WHERE datname = :'present')
\\gexec
SELECT format('ALTER DATABASE %I RENAME TO %I', :'filled', :'present')
\\gexec
COMMIT;
"""


@dataclass
class Restored:
    """What `restore` did, and the seconds of each step."""

    manifest: Manifest
    life: int
    views: tuple[FeatureView, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    online: dict[str, OnlinePublication] = field(default_factory=dict)
    trouble: list[str] = field(default_factory=list)
    """What a person has to look at, in words."""
    offline: UserError | None = None
    """Why the values online could not be written; all the rest is restored."""


class Steps:
    """The seconds of named steps, one after the other, and who hears of each."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.tell = tell
        self._name, self._begun = "", time.monotonic()
        self.seconds: dict[str, float] = {}

    def begin(self, name: str, words: str) -> None:
        """End the step before and begin another one."""
        self.end()
        self._name = name
        self.tell(words)

    def end(self) -> None:
        """End the last step."""
        now = time.monotonic()
        if self._name:
            self.seconds[self._name] = round(self.seconds.get(self._name, 0.0) + now - self._begun, 2)
        self._name, self._begun = "", now


def restore(
    settings: Settings,
    target: Target,
    manifest: Manifest,
    opener: Opener,
    *,
    replace: bool = False,
    online: bool = True,
    tell: Callable[[str], None] = lambda _: None,
) -> Restored:
    """Put a backup into the place of what is there; PostgreSQL and Redis run, nothing else of the stack does.

    Args:
        settings: Where to.
        target: Where the backup is.
        manifest: Which.
        opener: Opens what is encrypted.
        replace: Whether what is there may go.
        online: Whether the values online are written too.
        tell: Hears how far it is.

    Raises:
        UserError: Something is there and `replace` is not said, a program runs, the backup does not fit or is damaged.

    """
    steps = Steps(tell)
    mark = settings.home / MARK
    with working_directory(settings) as work:
        steps.begin("check", "Looking what is there")
        check_fits(manifest, settings.postgres_dsn)
        _check_free(settings, replace=replace)
        replace_file(mark, json.dumps({"backup": manifest.backup, "target": target.name}), durable=True)
        fetch = Fetch(target, manifest, work, opener)
        filled = settings.postgres_database + BESIDE
        maintenance = tools.at_database(settings.postgres_dsn, "postgres")
        for name in (filled, settings.postgres_database + REPLACED):
            postgres.run_sql(maintenance, _DROP, name=name)
        postgres.create_database(maintenance, filled)
        fill(tools.at_database(settings.postgres_dsn, filled), manifest, fetch, work, steps)
        steps.begin("compare", "Comparing rows and hashes")
        _check_same(differences(tools.at_database(settings.postgres_dsn, filled), manifest), target)
        steps.begin("files", "Files")
        placed = _fetch_files(settings, manifest, fetch)
        steps.begin("swap", "Putting it in the place of what was there")
        _swap(settings, maintenance, filled)
        _place_files(settings, placed)
        steps.begin("life", "The log begins a new life")
        migrate(settings)
        life = begin_life(settings, manifest)
        done = Restored(manifest, life, in_force(settings))
        if online:
            steps.begin("online", "Writing the values online")
            try:
                publish(settings, done)
            except UserError as error:  # Redis is away, or another copy's: the database is restored all the same
                done.offline = error
        steps.end()
        done.seconds = steps.seconds
        mark.unlink()
    return done


def interrupted(settings: Settings) -> str | None:
    """Return the command that does a restore again which did not come to its end; None when there is none.

    Where the mark is damaged, the command leaves to whoever reads it which backup it was.
    """
    command = "detektor backup restore"
    try:
        said = json.loads(content_of(settings.home / MARK))
        return f"{command} {shlex.join(['--backup', said['backup'], '--replace', said['target']])}"
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return f"{command} --replace"


def check_fits(manifest: Manifest, dsn: str) -> None:
    """Check that a server and this release can read a backup.

    Raises:
        UserError: One is too old.

    """
    major, server, own = manifest.postgres["major"], tools.server_major(dsn), tools.own_major()
    if min(server, own) < major:
        raise UserError(
            f"The backup is of PostgreSQL {major}, and here is PostgreSQL {min(server, own)}, which does not read it.",
            where=f"backup {manifest.backup}",
            fix=f"Restore it into PostgreSQL {major} or later.",
        )
    known = {file.stem.partition("_")[0] for file in (MIGRATIONS / "versions").glob("[0-9]*.py")}
    if manifest.revision not in known:
        raise UserError(
            f"The backup's tables are of revision {manifest.revision}, which this release does not know.",
            where=f"backup {manifest.backup}, made by release {manifest.release}",
            fix=f"Restore it with release {manifest.release} or a later one.",
        )


def fill(dsn: str, manifest: Manifest, fetch: Fetch, work: Path, steps: Steps) -> None:
    """Restore a backup's tables into an empty database.

    Raises:
        UserError: A file is missing or damaged, or PostgreSQL refuses it.

    """
    steps.begin("fetch", "Database: its files")
    dumped = work / "dump"
    fetched(fetch, manifest.database, dumped)
    for role in manifest.roles:
        postgres.run_sql(dsn, _ROLE, name=role)
    steps.begin("rows", "Database: tables and rows")
    tools.restore(dsn, dumped, "pre-data")
    loaded = 0
    with ThreadPoolExecutor(2) as workers:
        rows = workers.submit(tools.restore, dsn, dumped, "data")
        pieces = [workers.submit(_load, dsn, manifest, fetch, work, number) for number in range(len(manifest.chunks))]
        for future in pieces:
            loaded += future.result()
            steps.tell(f"Log: {loaded:,} of {manifest.events:,} rows")
        steps.tell("Database: rows")
        rows.result()
    steps.begin("indexes", "Database: indexes and constraints")
    tools.restore(dsn, dumped, "post-data")
    postgres.run_sql(dsn, "ANALYZE")
    shutil.rmtree(dumped)


def differences(dsn: str, manifest: Manifest) -> list[str]:
    """Return what of a restored database is not as the manifest says, in words; empty when all is."""
    import psycopg

    found = []
    with psycopg.connect(dsn) as connection:
        there = set(contents.tables(connection))
        found += [f"{table}: not there" for table in sorted(set(manifest.tables) - there)]
        for table, said in manifest.tables.items():
            if table in there and (now := contents.of_table(connection, table, said.by)) != said:
                found.append(f"{table}: {now.rows:,} rows, {said.rows:,} were backed up" + ("" if now.rows != said.rows else "; others"))
        for chunk in manifest.chunks:
            now = contents.of_log(connection, chunk.first, chunk.end)
            if now != chunk.contents:
                found.append(f"log from {chunk.first}: {now.rows:,} rows, {chunk.contents.rows:,} were backed up")
    return found


def begin_life(settings: Settings, manifest: Manifest) -> int:
    """Begin a life of the log above the backup's and above what is online, also where it stays on its cluster; returns its number."""
    with connect(settings, writes=True) as connection:  # on another cluster it has begun now
        life = cluster.life(connection)
        if life.epoch <= manifest.log["epoch"]:
            life = cluster.begin_after(connection, manifest.log["epoch"])
    return life.epoch


def in_force(settings: Settings) -> tuple[FeatureView, ...]:
    """Return the definitions that are in force, and those kept fresh beside, by the restored file and not by what this process loaded."""
    from detektor_pipelines.catalog import DECLARED
    from detektor_pipelines.catalog.chosen import FILE, read

    chosen = read(settings.home / FILE)
    views = chosen.in_force(DECLARED)
    return (*views, *chosen.kept_beside(views))


def publish(settings: Settings, done: Restored) -> None:
    """Write the values of all views online."""
    from detektor_pipelines.engine.online import publish_online

    for view in done.views:
        found = done.online[f"{view.name} {view.version}"] = publish_online(settings, view, writer="restore")
        if trouble := found.trouble():
            done.trouble.append(f"{view.name}: {trouble}")


def fetched(fetch: Fetch, files: Sequence[File], root: Path) -> None:
    """Bring files below a directory.

    Raises:
        UserError: One is missing or damaged.

    """

    def get(held: Object, paths: Sequence[str]) -> None:
        places = [(root / path).resolve() for path in paths]
        for path, into in zip(paths, places, strict=True):
            if not into.is_relative_to(root.resolve()):
                raise UserError("The backup names a file outside of its directory.", where=path, fix="Do not use it.")
            into.parent.mkdir(parents=True, exist_ok=True)
        fetch.get(held, places[0])
        for into in places[1:]:
            shutil.copyfile(places[0], into)

    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    paths: dict[Object, list[str]] = {}
    for file in files:
        paths.setdefault(file.object, []).append(file.path)  # what is the same is stored, and fetched, once
    with ThreadPoolExecutor(_FETCHERS) as fetchers:
        for future in [fetchers.submit(get, held, each) for held, each in paths.items()]:
            future.result()


def _load(dsn: str, manifest: Manifest, fetch: Fetch, work: Path, number: int) -> int:
    """Load one piece of the log; returns its rows."""
    import psycopg

    chunk = manifest.chunks[number]
    if chunk.object is None:
        return 0
    file = work / f"log-{number}{log_chunks.SUFFIX}"
    fetch.get(chunk.object, file)
    with psycopg.connect(sessions.changed(dsn, {"synchronous_commit": "off"}), autocommit=True) as connection:
        log_chunks.load(connection, manifest.log["columns"], file)
    file.unlink()
    return chunk.contents.rows


def _check_free(settings: Settings, *, replace: bool) -> None:
    """Check that nothing is in the way."""
    running = supervisor.alive(settings)
    if busy := [PROGRAMS[name].title for name in running if name in PROGRAMS and name not in _SERVERS]:
        raise UserError(
            f"Programs run that use the database: {', '.join(busy)}.", where=str(settings.home), fix="`detektor down`, then the same again."
        )
    if replace:
        return
    there = _there(settings)
    artifacts = settings.home.joinpath(*ARTIFACTS)
    if artifacts.is_dir() and any(artifacts.iterdir()):
        there.append(str(artifacts))
    if there:
        before = " A restore was interrupted after it had put its database in place." if interrupted(settings) else ""
        raise UserError(
            f"Something is there already: {', '.join(there[:_NAMED])}{' and more' if there[_NAMED:] else ''}.{before}",
            where=f"PostgreSQL at {settings.postgres_host}:{settings.postgres_port}, database {settings.postgres_database}",
            fix="To lose it, and to have the backup in its place: the same with --replace.",
        )


def _there(settings: Settings) -> list[str]:
    """Return which tables of the platform hold rows."""
    import psycopg

    with postgres_errors(settings), psycopg.connect(settings.postgres_dsn, connect_timeout=10) as connection:
        names = [name for (name,) in connection.execute(_PLATFORM)]
        rows = ((name, connection.execute(f"SELECT EXISTS (SELECT FROM {name})").fetchone()) for name in names)
        return sorted(name for name, row in rows if row and row[0])


def _check_same(found: Sequence[str], target: Target) -> None:
    if found:
        raise UserError(
            f"What was restored is not what was backed up: {'; '.join(found[:_NAMED])}{'; and more' if found[_NAMED:] else ''}.",
            where=target.name,
            fix="Nothing that was there was touched. Take another backup: `detektor backup list`.",
        )


def _swap(settings: Settings, maintenance: str, filled: str) -> None:
    """Have the filled database take the place of the present one, which is dropped."""
    present = settings.postgres_database
    if others := postgres.run_sql(maintenance, _OTHERS, name=present).strip():
        raise UserError(f"Somebody is connected to the database: {others}.", where=present, fix="End it, then run the same again.")
    postgres.run_sql(maintenance, _SWAP, present=present, replaced=present + REPLACED, filled=filled)
    postgres.run_sql(maintenance, _DROP, name=present + REPLACED)


def _fetch_files(settings: Settings, manifest: Manifest, fetch: Fetch) -> list[tuple[Path, Path]]:
    """Bring the home's files beside those in use; returns each with its place."""
    artifacts = settings.home.joinpath(*ARTIFACTS)
    beside = artifacts.with_name(artifacts.name + BESIDE)
    shutil.rmtree(beside, ignore_errors=True)
    fetched(fetch, manifest.artifacts, beside)
    own = settings.home / f"home{BESIDE}"
    shutil.rmtree(own, ignore_errors=True)
    fetched(fetch, manifest.files, own)
    for path in own.rglob("*"):  # a key, names, records that nobody masked yet
        path.chmod(0o700 if path.is_dir() else PRIVATE)
    tops = sorted({file.path.partition("/")[0] for file in manifest.files})
    return [(beside, artifacts), *((own / top, settings.home / top) for top in tops)]


def _place_files(settings: Settings, placed: Sequence[tuple[Path, Path]]) -> None:
    (settings.home / CHOICE).unlink(missing_ok=True)  # what was rolled back to since is no part of this state
    for source, place in placed:
        if place.is_dir() and place.name in QUEUES:
            continue  # what waits there is newer than what the backup had waiting
        if place.is_dir():
            shutil.rmtree(place)
        source.replace(place)
    shutil.rmtree(settings.home / f"home{BESIDE}", ignore_errors=True)


def summary(done: Restored) -> dict[str, Any]:
    """Return what was done, for JSON."""
    return {
        "backup": done.manifest.backup,
        "made_at": done.manifest.made_at,
        "events": done.manifest.events,
        "life": done.life,
        "keys_online": {name: each.keys for name, each in done.online.items()},
        "seconds": done.seconds,
        "trouble": [*done.trouble, *([str(done.offline)] if done.offline else [])],
    }
