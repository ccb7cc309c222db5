"""Making a backup: everything as one snapshot of the database sees it, while the platform goes on.

One transaction exports its snapshot and holds it: pg_dump, the log's pieces and the hashes of the tables are read under it by connections
of their own. MLflow's artifacts are copied after it, and are only ever added: each one that its tables name is there. The manifest comes
last; a backup that was interrupted has none, and what it left `detektor backup prune` deletes.
"""

from __future__ import annotations

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

from detektor_pipelines import __version__
from detektor_pipelines.errors import UserError
from detektor_pipelines.files import turn
from detektor_pipelines.recovery import contents, listing, log_chunks, tools
from detektor_pipelines.recovery.manifest import File, Manifest
from detektor_pipelines.recovery.objects import Store
from detektor_pipelines.stores.connections import connect, postgres_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    import psycopg

    from detektor_pipelines.recovery.log_chunks import Plan
    from detektor_pipelines.recovery.manifest import Chunk, Contents, Object
    from detektor_pipelines.recovery.target import Target
    from detektor_pipelines.settings import Settings

WORK: Final = "backup-work"
"""Directory in the home: what is on its way to the storage."""

ARTIFACTS: Final = ("servers", "mlflow", "artifacts")
CHOICE: Final = "versions.json"
QUEUES: Final = ("spool", "held", "mlflow-outbox")
KEPT: Final = (CHOICE, "agents.toml", "masking.key", *QUEUES)
"""Files and directories of the home that nothing else knows: what was rolled back to, names, the key by which what the database holds was
masked (with another one the same record read again would be another event), events and records not yet handed over."""

_Result = TypeVar("_Result")
_READERS: Final = 3
_STORERS: Final = 4
_TRIES: Final = 5
_PLACE: Final = """
SELECT current_setting('server_version'), current_setting('server_version_num')::int / 10000, control.system_identifier,
       ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int, current_database(), kept.epoch, kept.shift,
       (SELECT version_num FROM ml_learning.alembic_version)
FROM pg_control_system() AS control CROSS JOIN ml_learning.log_cluster AS kept
"""
_ROLES: Final = """
SELECT DISTINCT role.rolname FROM (
    SELECT (aclexplode(relacl)).grantee FROM pg_class UNION SELECT (aclexplode(attacl)).grantee FROM pg_attribute
    UNION SELECT (aclexplode(nspacl)).grantee FROM pg_namespace UNION SELECT (aclexplode(proacl)).grantee FROM pg_proc
    UNION SELECT (aclexplode(defaclacl)).grantee FROM pg_default_acl UNION SELECT defaclrole FROM pg_default_acl
) AS granted JOIN pg_roles AS role ON role.oid = granted.grantee
WHERE role.rolname <> current_user AND role.rolname NOT LIKE 'pg\\_%' ORDER BY 1
"""
_LEFT_OUT: Final = (
    "online values: they are written again from the database",
    "passwords, tokens and keys, but for the one of masking: keep them where you keep secrets",
    "the definitions' files: they are in Git",
)
_MLFLOW_ELSEWHERE: Final = "MLflow, which runs elsewhere: back it up there"


@dataclass(frozen=True)
class Created:
    """What `create` made: the backup, the bytes that it stored, and how the log's pieces fared."""

    manifest: Manifest
    written: int
    kept_chunks: int
    changed_chunks: int


@dataclass
class _Work:
    """One backup under way."""

    settings: Settings
    store: Store
    directory: Path
    tell: Callable[[str], None]
    before: Manifest | None
    changed: int = 0
    vanished: list[str] = field(default_factory=list)


def create(
    settings: Settings, target: Target, recipients: Sequence[str] = (), *, full: bool = False, tell: Callable[[str], None] = lambda _: None
) -> Created:
    """Make a backup.

    Args:
        settings: What of.
        target: Where to.
        recipients: Public keys of age to encrypt to; none leaves it readable.
        full: Keep nothing of the backup before.
        tell: Hears how far it is.

    Raises:
        UserError: A server or the storage does not answer or refuses, or another backup is under way.

    """
    started = time.monotonic()
    with working_directory(settings) as directory:
        taken = target.backups()
        before = listing.newest_readable(target, taken) if taken and not full else None
        backup = _name(taken)
        store = Store(target, backup, directory, recipients, before)
        work = _Work(settings, store, directory, tell, before)
        with connect(settings) as connection, postgres_errors(settings):
            made_at, parts = _database(work, connection)
        artifacts, files = _files(work)
        manifest = Manifest(
            backup=backup,
            made_at=made_at,
            seconds=round(time.monotonic() - started, 1),
            release=__version__,
            definitions=_definitions(),
            recipients=list(recipients),
            artifacts=artifacts,
            files=files,
            left_out=[*_LEFT_OUT, *([_MLFLOW_ELSEWHERE] if settings.mlflow_tracking_uri else [])],
            vanished=work.vanished,
            **parts,
        )
        _finish(target, manifest)
    kept = {id(chunk) for chunk in before.chunks} if before else set()
    return Created(manifest, store.written, sum(id(chunk) in kept for chunk in manifest.chunks), work.changed)


def _database(work: _Work, connection: psycopg.Connection) -> tuple[str, dict[str, Any]]:
    """Back up what is in PostgreSQL; returns when its snapshot was taken, and its parts of the manifest."""
    tables, snapshot = _hold(connection)
    made_at = datetime.now(UTC).isoformat(timespec="seconds")
    row = connection.execute(_PLACE).fetchone()
    if row is None:
        raise UserError("The log does not say where it lives.", where="ml_learning.log_cluster is empty", fix="Run `detektor up`.")
    version, major, identifier, timeline, database, epoch, shift, revision = row
    before = work.before
    plan = log_chunks.plan(connection, before.chunks if before else (), before.log["columns"] if before else ())
    dumped = work.directory / "dump"
    with ThreadPoolExecutor(_READERS) as readers:
        dump = readers.submit(tools.dump, work.settings.postgres_dsn, dumped, snapshot, contents.LOG)
        hashes = readers.submit(_hash, work.settings, snapshot, tables)
        pieces = [readers.submit(_piece, work, snapshot, plan, number) for number in range(len(plan.pieces))]
        chunks = _gathered(work, pieces, "Log: {done} of {all} pieces")
        work.tell("Tables: rows and hashes")
        held = hashes.result()
        work.tell("Tables: pg_dump")
        dump.result()
    return made_at, {
        "postgres": {"version": version, "major": major, "system_identifier": str(identifier), "timeline": timeline, "database": database},
        "log": {"epoch": epoch, "shift": shift, "columns": plan.columns},
        "revision": revision,
        "roles": [name for (name,) in connection.execute(_ROLES)],
        "tables": held,
        "chunks": [chunk for chunk in chunks if chunk is not None],
        "database": _stored(work, dumped, sorted(path for path in dumped.rglob("*") if path.is_file()), "database"),
    }


def _hold(connection: psycopg.Connection) -> tuple[list[str], str]:
    """Take a snapshot under which nothing that it sees is dropped; returns its tables and its name for other connections."""
    for _ in range(_TRIES):
        seen = contents.tables(connection)
        connection.rollback()
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")  # this one only holds the snapshot
        connection.execute(f"LOCK TABLE {', '.join([contents.LOG, *seen])} IN ACCESS SHARE MODE")
        row = connection.execute("SELECT pg_export_snapshot()").fetchone()
        if row and contents.tables(connection) == seen:
            return seen, str(row[0])
        connection.rollback()
    raise UserError("Tables are made and dropped all the time, so no snapshot can be held.", fix="Run the same again in a moment.")


@contextmanager
def _reading(settings: Settings, snapshot: str) -> Iterator[psycopg.Connection]:
    """Open a connection that sees what the snapshot does."""
    import psycopg

    with postgres_errors(settings), psycopg.connect(settings.postgres_dsn, connect_timeout=10) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        connection.execute(f"SET TRANSACTION SNAPSHOT '{snapshot}'")
        yield connection


def _hash(settings: Settings, snapshot: str, tables: Sequence[str]) -> dict[str, Contents]:
    with _reading(settings, snapshot) as connection:
        return {table: contents.of_table(connection, table) for table in tables}


def _piece(work: _Work, snapshot: str, plan: Plan, number: int) -> Chunk:
    with _reading(work.settings, snapshot) as connection:
        chunk, changed = log_chunks.write(connection, plan.pieces[number], plan.columns, work.store, work.directory)
    work.changed += changed
    return chunk


def _files(work: _Work) -> tuple[list[File], list[File]]:
    """Back up MLflow's artifacts, and what of the home nothing else knows."""
    home = work.settings.home
    artifacts = home.joinpath(*ARTIFACTS)
    found = sorted(path for path in artifacts.rglob("*") if path.is_file() and not path.is_symlink())
    own = [home / name for name in KEPT]
    own = [path for each in own for path in ([each] if each.is_file() else sorted(each.rglob("*"))) if path.is_file()]
    return _stored(work, artifacts, found, "artifacts"), _stored(work, home, own, "home")


def _stored(work: _Work, root: Path, paths: Sequence[Path], kind: str) -> list[File]:
    def put(path: Path) -> Object | None:
        try:
            return work.store.put(path, f"{kind}/{path.relative_to(root).as_posix()}")
        except FileNotFoundError:
            work.vanished.append(str(path))
            return None

    with ThreadPoolExecutor(_STORERS) as storers:
        objects = _gathered(work, [storers.submit(put, path) for path in paths], f"Files ({kind}): {{done}} of {{all}}")
    return [File(path.relative_to(root).as_posix(), held) for path, held in zip(paths, objects, strict=True) if held is not None]


def _gathered(work: _Work, futures: Sequence[Future[_Result]], words: str) -> list[_Result]:
    """Wait for all, saying how far they are; the first failure ends the rest."""
    found = []
    for done, future in enumerate(futures):
        work.tell(words.format(done=done, all=len(futures)))
        try:
            found.append(future.result())
        except BaseException:
            for other in futures:
                other.cancel()
            raise
    return found


def _finish(target: Target, manifest: Manifest) -> None:
    """Look whether all that the manifest names is there, and write it."""
    there = target.sizes()
    missing = [each.name for each in manifest.objects if there.get(each.name) != each.size]
    if missing:
        raise UserError(
            f"{len(missing)} files of this backup are not in the storage, or not whole.",
            where=f"{target.name}: objects/{missing[0]}",
            fix="Somebody deletes there, or it lost them: run the same again.",
        )
    target.write_manifest(manifest.backup, manifest.as_bytes())


def _definitions() -> dict[str, Any]:
    from detektor_pipelines.catalog import BESIDE, VIEWS
    from detektor_pipelines.compile.loaded import combined_hash
    from detektor_pipelines.language.hashes import data_hash, metadata_hash

    views = {each.name: {"version": each.version, "data_hash": data_hash(each), "metadata_hash": metadata_hash(each)} for each in VIEWS}
    beside = [f"{each.name} {each.version} ({data_hash(each)})" for each in BESIDE]
    return {"hash": combined_hash(), "views": views, "beside": beside}


def _name(taken: Sequence[str]) -> str:
    """Return the new backup's name: later than all others in the order of names, whatever the clock says."""
    name = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    while taken and name <= taken[-1]:
        name = f"{taken[-1]}a"
    return name


@contextmanager
def working_directory(settings: Settings) -> Iterator[Path]:
    """Give an empty directory for what is on its way; what an interrupted backup left there goes first."""
    directory = settings.home / WORK
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with turn(directory) as held:
        if not held:
            raise UserError("Another backup or restore is under way.", where=str(directory), fix="Wait until it has ended.")
        _empty(directory)
        try:
            yield directory
        finally:
            _empty(directory)


def _empty(directory: Path) -> None:
    for path in directory.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
