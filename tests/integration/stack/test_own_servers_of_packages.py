"""The servers that a distribution packages, as others run them: PostgreSQL in another time zone and order of texts, PgBouncer, Redis."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import own_servers
from support.log_rows import insert, partition_log
from support.rule_log import run
from support.rule_views import AGENT, happened, view_of

from detektor_pipelines import stack
from detektor_pipelines.cli_commands import doctor
from detektor_pipelines.engine.online import publish_online
from detektor_pipelines.errors import UserError
from detektor_pipelines.language import count, days
from detektor_pipelines.settings import Settings, get_settings
from detektor_pipelines.stack import lifecycle
from detektor_pipelines.stack.servers import pooler
from detektor_pipelines.stack.servers import redis as redis_server
from detektor_pipelines.stack.servers.access import REDIS
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.stores.schema import migrate
from detektor_pipelines.stream.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detektor_pipelines.stack.servers import embedded

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

needs_postgres = pytest.mark.skipif(not own_servers.BINARIES.is_dir(), reason="no PostgreSQL is installed as a package (postgresql-15)")
needs_pgbouncer = pytest.mark.skipif(not own_servers.PGBOUNCER, reason="PgBouncer is not installed (pgbouncer)")
needs_redis = pytest.mark.skipif(
    not own_servers.REDIS, reason="neither Redis nor Valkey is installed as a package (redis-server, valkey-server)"
)
VIEW = view_of(number=(count(), days(1)), name="packaged_features")
IN_NEW_YORK = ("timezone = 'America/New_York'", "datestyle = 'German, DMY'", "default_transaction_isolation = 'serializable'")


@pytest.fixture
def in_new_york(tmp_path: Path) -> Iterator[embedded.PostgresServer]:
    with own_servers.of_debian(tmp_path / "pg", *IN_NEW_YORK, initdb=("--locale-provider=icu", "--icu-locale=de-DE")) as server:
        yield server


@pytest.fixture
def home(isolated_environment: Path) -> Iterator[Path]:
    yield isolated_environment
    get_settings.cache_clear()
    stack.down(get_settings())


@needs_postgres
def test_everything_runs_on_a_server_in_new_york(in_new_york: embedded.PostgresServer, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = own_servers.database_of_a_plain_role(in_new_york, "feat", {"statement_timeout": "30s"})
    monkeypatch.setenv("DETEKTOR_EXTERNAL_POSTGRES_URL", url)
    detektor = str(Path(sys.executable).parent / "detektor")
    done = subprocess.run([detektor, "up", "--free-ports"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    get_settings.cache_clear()
    status = stack.status(get_settings())
    assert {service.name: service.state for service in status.services if service.name in lifecycle.DEFAULT_SERVICES} == {
        name: "external" if name == "postgres" else "running" for name in lifecycle.DEFAULT_SERVICES
    }
    beats = "SELECT count(*) FROM dagster.daemon_heartbeats WHERE abs(extract(epoch FROM timestamp - now() AT TIME ZONE 'UTC')) < 120"
    assert int(in_new_york.sql(beats, "feat")) > 0
    simulate = subprocess.run([detektor, "simulate", "--days", "3"], capture_output=True, text=True, check=False)
    assert simulate.returncode == 0, simulate.stdout + simulate.stderr
    tables = (
        "SELECT nspname, count(*) FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace WHERE relname = 'alembic_version' GROUP BY 1"
    )
    assert sorted(in_new_york.sql(tables, "feat").split()) == ["dagster|1", "ml_learning|1", "mlflow|1"]


@needs_postgres
@needs_pgbouncer
@pytest.mark.parametrize("mode", ["transaction", "session", "statement"])
@pytest.mark.parametrize("ignored", [True, False])
def test_pgbouncer_is_refused_before_anything_is_made(tmp_path: Path, mode: str, *, ignored: bool) -> None:
    lines = [f"pool_mode = {mode}", *(["ignore_startup_parameters = options,extra_float_digits"] if ignored else [])]
    with own_servers.of_debian(tmp_path / "pg") as server:
        own_servers.database_of_a_plain_role(server, "pooled", {})
        with own_servers.pgbouncer(tmp_path / "bouncer", server, *lines) as port:
            settings = Settings(home=tmp_path, external_postgres_url=f"postgresql://pooled:throw-away@127.0.0.1:{port}/pooled")
            with pytest.raises(UserError, match="connection pooler"):
                migrate(settings)
            service = lifecycle.status(settings)["postgres"]
            assert service.state == "unreachable"
            assert service.why is not None
            assert "connection pooler" in service.why.what
        made = "SELECT count(*) FROM pg_namespace WHERE nspname IN ('ml_learning', 'feast', 'dagster', 'mlflow')"
        assert server.sql(made, "pooled").strip() == "0"


@needs_postgres
@needs_pgbouncer
def test_a_pool_of_transactions_is_seen_though_its_sessions_look_right(tmp_path: Path) -> None:
    """With every setting given to the role instead, only what a transaction leaves behind tells."""
    lines = ["ignore_startup_parameters = options", "default_pool_size = 3"]
    with own_servers.of_debian(tmp_path / "pg") as server:
        own_servers.database_of_a_plain_role(server, "pooled", {"search_path": pooler._PATH, "timezone": "UTC"})
        found = {}
        for mode in ("transaction", "session"):
            with own_servers.pgbouncer(tmp_path / mode, server, f"pool_mode = {mode}", *lines) as port:
                url = f"postgresql://pooled:throw-away@127.0.0.1:{port}/pooled"
                found[mode] = pooler.refusal(Settings(home=tmp_path, external_postgres_url=url))
    assert found["session"] is None
    assert found["transaction"] is not None


@needs_redis
def test_values_go_online_there_and_are_read_with_the_rights_of_each_role(
    database: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-17T12:00:00Z")
    partition_log(database)
    insert(database, [happened("2026-03-17 11:00", event_id="one"), happened("2026-03-17 11:30", event_id="two", project="p")])
    run(database, VIEW, "2026-03-16", "2026-03-17")
    with own_servers.redis_of_packages(tmp_path / "redis") as server:
        redis_server.set_users(server.port, server.password, [(role, f"on >throw-away {rules}") for role, rules in REDIS.items()])

        def as_role(role: str) -> Settings:
            return database.model_copy(update={"external_redis_url": f"redis://{role}:throw-away@{server.host}:{server.port}/0"})

        publish_online(as_role("compute"), VIEW)
        with Worker(as_role("compute"), [VIEW]) as worker:
            worker.tick()
        with online.redis_client(as_role("read")) as client:
            rows = online.read(client, database.project, VIEW, [AGENT, f"{AGENT}@p"])
            assert [(row.values["number"], row.status) for row in rows if row] == [(2, "PRESENT"), (1, "PRESENT")]
        found = {each.name: each for each in doctor._redis(as_role("admin"))}
        assert found["Redis persistence"].result == "warning"
        assert found["Redis eviction"].result == "ok"
        assert found["Redis release"].found.startswith(("Redis 7", "Redis 8", "Valkey"))
