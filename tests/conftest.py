"""Fixtures that every test may use: an environment of its own, and real servers.

One PostgreSQL cluster and one Redis per test process (per xdist worker), started when a test first asks; each test gets a database of its
own, cloned from a migrated template, and an empty Redis.

- `database`: Settings whose PostgreSQL is a fresh database; `module_database` the same, shared by a module's tests
- `redis_db`: Settings whose Redis is empty
- `servers`: both

Their addresses are also in the environment (`DETEKTOR_EXTERNAL_…`), so that `get_settings()` and subprocesses find the same servers.
"""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING

import psycopg
import pytest
from hypothesis import HealthCheck, Phase
from hypothesis import settings as hypothesis_settings
from typer.testing import CliRunner

from detektor_pipelines.clock import VARIABLE
from detektor_pipelines.settings import Settings, get_settings
from detektor_pipelines.stack.servers import embedded, postgres
from detektor_pipelines.stores.schema import migrate
from tests.support.json_schemas import watched

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEMPLATE = "detektor_template"
_numbers = count(1)

# How long an example takes says how busy the machine is, nothing of us.
_untimed = hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.register_profile("ci", _untimed, max_examples=40)
hypothesis_settings.register_profile("deep", _untimed, max_examples=300)
hypothesis_settings.register_profile("edit", _untimed, max_examples=40, phases=[Phase.explicit, Phase.reuse, Phase.generate])
hypothesis_settings.load_profile("ci")


def pytest_configure() -> None:
    """Have the catalogue, which tests load before any fixture, find no version that somebody has rolled back to in this checkout."""
    os.environ["DETEKTOR_HOME"] = "/nowhere/detektor"


@pytest.hookimpl(trylast=True)  # after what is not asked for is left out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the modules whose tests take longest, by their marks: no core waits for one at the end. A module stays in one piece."""
    first: dict[object, int] = {}
    for item in items:
        rank = 0 if item.get_closest_marker("timeout") else 1 if item.get_closest_marker("slow") else 2
        first[_module(item)] = min(rank, first.get(_module(item), rank))
    items.sort(key=lambda item: first[_module(item)])


_RAN: set[str] = set()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember which tests ran, in whichever process."""
    if report.when == "call":
        _RAN.add(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Note which tests have ever run here, for `detektor acceptance`: pytest's own list stays empty where processes share the work."""
    cache = getattr(session.config, "cache", None)  # which `-p no:cacheprovider` takes away
    if cache is not None and not hasattr(session.config, "workerinput"):
        cache.set("detektor/ran", sorted(_RAN.union(cache.get("detektor/ran", []))))


def _module(item: pytest.Item) -> object:
    return item.getparent(pytest.Module)


@pytest.fixture(autouse=True)
def isolated_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Give the test a HOME and DETEKTOR_HOME of its own and no other DETEKTOR_ variable; returns DETEKTOR_HOME (not made)."""
    keep = {"DETEKTOR_SHARED_DATA"}
    for name in [name for name in os.environ if name.startswith("DETEKTOR_") and name not in keep]:
        monkeypatch.delenv(name)
    monkeypatch.setenv(VARIABLE, "")  # commands let the clock stand and run: what they leave there ends with the test
    home = tmp_path / "detektor-home"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DETEKTOR_HOME", str(home))
    get_settings.cache_clear()
    yield home
    get_settings.cache_clear()


@pytest.fixture(scope="session", autouse=True)
def described_output() -> Iterator[None]:
    """Hold whatever a command prints with `--json` in a test's own process against its schema in docs/json/."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CliRunner, "invoke", watched(CliRunner.invoke))
        yield


@pytest.fixture
def settings() -> Settings:
    """Return the settings of the isolated environment; no server runs."""
    return get_settings()


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[embedded.PostgresServer]:
    """Run one PostgreSQL cluster for the session; its database `detektor` has the four schemas, no tables."""
    with embedded.start_postgres(tmp_path_factory.mktemp("postgres")) as server:
        postgres.create_database(server.dsn(), "detektor")
        postgres.create_schemas(server.dsn("detektor"))
        yield server


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[embedded.RedisServer]:
    """Run one Redis for the session."""
    with embedded.start_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def template_database(postgres_server: embedded.PostgresServer) -> str:
    """Make the migrated database that `database` clones; returns its name."""
    postgres_server.sql(f"CREATE DATABASE {TEMPLATE} TEMPLATE detektor")
    migrate(Settings(external_postgres_url=postgres_server.dsn(TEMPLATE)))
    return TEMPLATE


@pytest.fixture
def database(
    postgres_server: embedded.PostgresServer, template_database: str, monkeypatch: pytest.MonkeyPatch, isolated_environment: Path
) -> Iterator[Settings]:
    """Return settings whose PostgreSQL database is fresh, migrated and this test's own."""
    del isolated_environment  # first: it empties the environment
    with _cloned(postgres_server, template_database) as name:
        monkeypatch.setenv("DETEKTOR_EXTERNAL_POSTGRES_URL", postgres_server.dsn(name))
        get_settings.cache_clear()
        yield get_settings()


@pytest.fixture(scope="module")
def module_database(
    postgres_server: embedded.PostgresServer, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    """Return settings of a fresh, migrated database that a module's tests share; the environment does not know it."""
    with _cloned(postgres_server, template_database) as name:
        yield Settings(home=tmp_path_factory.mktemp("home"), external_postgres_url=postgres_server.dsn(name))


@pytest.fixture
def redis_db(redis_server: embedded.RedisServer, monkeypatch: pytest.MonkeyPatch, isolated_environment: Path) -> Settings:
    """Return settings whose Redis is empty."""
    del isolated_environment  # first: it empties the environment
    with socket.create_connection((redis_server.host, redis_server.port), timeout=5) as connection:
        connection.sendall(f"AUTH {redis_server.password}\r\nFLUSHALL\r\nQUIT\r\n".encode())
        while connection.recv(256):
            pass
    monkeypatch.setenv("DETEKTOR_EXTERNAL_REDIS_URL", redis_server.url())
    get_settings.cache_clear()
    return get_settings()


@pytest.fixture
def servers(database: Settings, redis_db: Settings) -> Settings:
    """Return settings with a database and a Redis of this test's own."""
    del database, redis_db  # whichever came second, only now does the environment know both
    get_settings.cache_clear()
    return get_settings()


@contextmanager
def _cloned(server: embedded.PostgresServer, template: str) -> Iterator[str]:
    name = f"test_{next(_numbers)}"
    _say(server, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    try:
        yield name
    finally:
        _say(server, f"DROP DATABASE {name} WITH (FORCE)")


def _say(server: embedded.PostgresServer, statement: str) -> None:
    """Run a statement by a driver that is loaded anyway: a psql process for each test would cost a minute in all."""
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(statement)
