"""A small platform to back up, a second cluster to restore into, and a storage that takes files block by block."""

from __future__ import annotations

import datetime as dt
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import fsspec
import psycopg
import pytest
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

from detektor_pipelines.catalog import DECLARED
from detektor_pipelines.engine.materialize import materialize
from detektor_pipelines.ingest.masking import key_of
from detektor_pipelines.recovery import listing
from detektor_pipelines.recovery.create import Created, create
from detektor_pipelines.recovery.restore import Restored, restore
from detektor_pipelines.recovery.sealing import Opener
from detektor_pipelines.recovery.target import Target
from detektor_pipelines.settings import Settings
from detektor_pipelines.simulation.simulator import simulate_table
from detektor_pipelines.stack.servers import embedded
from detektor_pipelines.stores.connections import _arrow_database
from detektor_pipelines.stores.raw_log.bulk import append_table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

END = dt.date(2026, 11, 1)
NOW = f"{END}T00:00:00Z"
VIEWS = DECLARED[:2]
DAYS = [END - dt.timedelta(days=number) for number in (3, 2, 1)]


@dataclass
class Platform:
    """What is backed up, and where to."""

    settings: Settings
    target: Target
    elsewhere: Settings
    """Another cluster, with a database of this test's own and the same Redis under another project."""

    def backup(self, *recipients: str, **options: Any) -> Created:
        return create(self.settings, self.target, recipients, **options)

    def restore(self, into: Settings | None = None, backup: str | None = None, **options: Any) -> Restored:
        chosen = into or self.elsewhere
        return restore(chosen, self.target, listing.chosen(self.target, backup), Opener(chosen), **options)

    def add(self, *names: str, settings: Settings | None = None) -> None:
        """Append events in one transaction."""
        with psycopg.connect((settings or self.settings).postgres_dsn) as connection:
            for name in names:
                connection.execute(EVENT, [name])


EVENT = """
INSERT INTO ml_learning.agent_events
    (event_id, revision, agent_type, raw_name, operation, occurred_at, known_at, ingested_at, derived, simulated, source, reader_revision)
VALUES (%s, 1, 'code-reviewer', 'x', 'review', '2026-10-30 10:00+00', '2026-10-30 10:00+00', now(), false, true, 'test', 1)
"""


def rows(settings: Settings, statement: str) -> list[Any]:
    with psycopg.connect(settings.postgres_dsn) as connection:
        return connection.execute(statement).fetchall()


def events(settings: Settings) -> list[Any]:
    """All of the log, by psycopg's own reading of it."""
    return rows(settings, "SELECT * FROM ml_learning.agent_events ORDER BY event_id, revision")


@pytest.fixture(scope="session")
def other_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[embedded.PostgresServer]:
    with embedded.start_postgres(tmp_path_factory.mktemp("other") / "postgres") as server:
        yield server


@pytest.fixture(scope="session")
def history_database(postgres_server: embedded.PostgresServer, template_database: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with two views of a simulated history of five days, three of which are published; returns its name."""
    name = "history_of_backups"
    postgres_server.sql(f"CREATE DATABASE {name} TEMPLATE {template_database} STRATEGY FILE_COPY")
    settings = Settings(home=tmp_path_factory.mktemp("history"), external_postgres_url=postgres_server.dsn(name))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DETEKTOR_NOW", NOW)
        append_table(settings, simulate_table(days=5, projects=2, seed=1, end=END, events=400))
        for view in VIEWS:
            materialize(settings, view, DAYS)
    _arrow_database.cache_clear()  # its connection would keep the database from being cloned
    return name


@pytest.fixture
def platform(
    postgres_server: embedded.PostgresServer,
    history_database: str,
    redis_db: Settings,
    other_cluster: embedded.PostgresServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Platform]:
    """The history, files of MLflow, a spooled event; nothing is online. And a second cluster with an empty database, not even migrated."""
    monkeypatch.setenv("DETEKTOR_NOW", NOW)
    postgres_server.sql(f"CREATE DATABASE platform TEMPLATE {history_database} STRATEGY FILE_COPY")
    other_cluster.sql("CREATE DATABASE restored")
    redis = redis_db.redis_url
    settings = Settings(home=tmp_path / "home", external_postgres_url=postgres_server.dsn("platform"), external_redis_url=redis)
    dsn = other_cluster.dsn("restored")
    elsewhere = Settings(home=tmp_path / "elsewhere", project="elsewhere", external_postgres_url=dsn, external_redis_url=redis)
    artifacts = settings.home / "servers" / "mlflow" / "artifacts"
    for name in ("1/run/model.skops", "1/run/plots/shap.png", "1/other/model.skops"):
        (artifacts / name).parent.mkdir(parents=True, exist_ok=True)
        (artifacts / name).write_bytes(name.encode() * 100)
    (settings.home / "spool").mkdir()
    (settings.home / "spool" / "waiting.jsonl").write_text("{}\n")
    (settings.home / "held").mkdir()
    (settings.home / "held" / "1999999999-a.jsonl").write_text("{}\n")
    key_of(settings.home)
    elsewhere.home.mkdir()
    yield Platform(settings, Target(str(tmp_path / "backups")), elsewhere)
    for server, name in ((other_cluster, "restored"), (postgres_server, "platform")):
        for end in ("", "_restoring", "_replaced"):
            server.sql(f"DROP DATABASE IF EXISTS {name}{end} WITH (FORCE)")


class BlocksFileSystem(AbstractFileSystem):
    """An object store that takes a file in blocks, shows it when it is closed, and cannot rename: as S3 does."""

    protocol: ClassVar[str] = "blocks"
    cachable: ClassVar[bool] = False
    held: ClassVar[dict[str, bytes]] = {}

    def _open(self, path: str, mode: str = "rb", block_size: int | None = None, **_: Any) -> Any:
        del block_size
        if mode == "rb":
            return io.BytesIO(self._of(path))
        return _Blocks(self, path, mode, block_size=4_096)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        return self._of(path)[start:end]

    def find(self, path: str, maxdepth: int | None = None, withdirs: bool = False, detail: bool = False, **_: Any) -> Any:  # noqa: FBT001, FBT002  fsspec's own
        del maxdepth, withdirs, detail
        prefix = self._strip_protocol(path).rstrip("/") + "/"
        return {name: {"name": name, "size": len(held), "type": "file"} for name, held in self.held.items() if name.startswith(prefix)}

    def cp_file(self, path1: str, path2: str, **_: Any) -> None:
        self.held[self._strip_protocol(path2)] = self._of(path1)

    def mv(self, path1: str, path2: str, **_: Any) -> None:
        self.cp_file(path1, path2)
        self.rm_file(path1)

    def rm_file(self, path: str) -> None:
        del self.held[self._strip_protocol(path)]

    def _of(self, path: str) -> bytes:
        try:
            return self.held[self._strip_protocol(path)]
        except KeyError:
            raise FileNotFoundError(path) from None


class _Blocks(AbstractBufferedFile):
    def _initiate_upload(self) -> None:
        self._parts: list[bytes] = []

    def _upload_chunk(self, final: bool = False) -> bool:  # noqa: FBT001, FBT002  fsspec's own
        self._parts.append(self.buffer.getvalue())
        if final:
            self.fs.held[self.fs._strip_protocol(self.path)] = b"".join(self._parts)
        return True


@pytest.fixture(params=["memory", "blocks"])
def remote(request: pytest.FixtureRequest) -> Iterator[Target]:
    """A storage that is no directory."""
    fsspec.register_implementation("blocks", BlocksFileSystem, clobber=True)
    BlocksFileSystem.held.clear()
    files = fsspec.filesystem("memory")
    files.store.clear()
    yield Target(f"{request.param}://bucket/team/backups")
    BlocksFileSystem.held.clear()
    files.store.clear()
