"""The table of servers: how each is prepared, started, known to be ready, and replaced by one that exists already.

A further server is one more `Program` in `PROGRAMS`; nothing else changes.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from detektor_pipelines.errors import UserError
from detektor_pipelines.stack import binaries, logins, ports
from detektor_pipelines.stack.program import Program
from detektor_pipelines.stack.servers import dagster as dagster_servers
from detektor_pipelines.stack.servers import pooler, postgres
from detektor_pipelines.stack.servers import redis as redis_server

if TYPE_CHECKING:
    from pathlib import Path

    from detektor_pipelines.settings import Settings


def chosen(names: tuple[str, ...]) -> list[Program]:
    """Return the named programs and what they need, in starting order.

    Raises:
        UserError: A name is not in the table.

    """
    wanted: dict[str, Program] = {}

    def add(name: str) -> None:
        if name not in PROGRAMS:
            raise UserError(f"There is no server {name!r}.", fix=f"Choose from: {', '.join(PROGRAMS)}.")
        for needed in PROGRAMS[name].needs:
            add(needed)
        wanted[name] = PROGRAMS[name]

    for name in names:
        add(name)
    return list(wanted.values())


# PostgreSQL ------------------------------------------------------------------------------------------------------------------


def _postgres_data(settings: Settings) -> Path:
    return settings.home / "servers" / "postgres" / "data"


def _postgres_login(settings: Settings) -> postgres.Login:
    password = settings.postgres_password.get_secret_value() if settings.postgres_password else ""
    return postgres.Login(settings.postgres_user, password, settings.postgres_port, settings.postgres_host)


def _postgres_ready(settings: Settings) -> bool:
    return postgres.is_ready(_postgres_login(settings))


def _finish_postgres(settings: Settings) -> None:
    if settings.external_postgres_url:
        pooler.check(settings)
    else:
        postgres.create_database(_postgres_login(settings).dsn("postgres"), settings.postgres_database)
    postgres.create_schemas(settings.postgres_dsn)
    if not settings.external_postgres_url:
        logins.make_in_postgres(settings)


# Redis -----------------------------------------------------------------------------------------------------------------------


def _redis_password(settings: Settings) -> str | None:
    return settings.redis_password.get_secret_value() if settings.redis_password else None


def _redis_directory(settings: Settings) -> Path:
    return settings.home / "servers" / "redis"


def _prepare_redis(settings: Settings) -> None:
    users = logins.redis_users(settings)
    redis_server.write_configuration(_redis_directory(settings), settings.redis_port, _redis_password(settings), users=users)


def _finish_redis(settings: Settings) -> None:
    if not settings.external_redis_url:
        logins.make_in_redis(settings)


def _redis_ready(settings: Settings) -> bool:
    if settings.external_redis_url:  # it may speak TLS or want a user name: whether it listens is all that can be said simply
        return any(ports.answers(port, host) for host, port in settings.redis_address.nodes)
    return redis_server.is_ready(settings.redis_port, _redis_password(settings), user=settings.redis_user)


# MLflow ----------------------------------------------------------------------------------------------------------------------


def _mlflow_command(settings: Settings) -> list[str]:
    artifacts = settings.home / "servers" / "mlflow" / "artifacts"
    where = ["--host", ports.LOOPBACK, "--port", str(settings.mlflow_port)]
    return [binaries.script("mlflow"), "server", *where, "--artifacts-destination", str(artifacts), "--workers", "1"]


def _mlflow_environment(settings: Settings) -> dict[str, str]:
    return {
        "MLFLOW_BACKEND_STORE_URI": settings.as_login("mlflow").sqlalchemy_url("mlflow"),  # holds the password: not on the command line
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # else nine more processes
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PATH": binaries.search_path(),  # mlflow starts `uvicorn` by its bare name
    }


def _mlflow_ready(settings: Settings) -> bool:
    if not settings.mlflow_tracking_uri:
        return ports.http_answers(settings.mlflow_port, "/health")
    parts = urlsplit(settings.mlflow_tracking_uri)
    if parts.scheme not in {"http", "https"}:  # a directory or a database: nothing listens
        return True
    return ports.answers(parts.port or (443 if parts.scheme == "https" else 80), parts.hostname or ports.LOOPBACK)


# The stream worker -----------------------------------------------------------------------------------------------------------


def _stream_command(settings: Settings) -> list[str]:
    return [binaries.script("detektor"), "stream", "--quiet", "--metrics-port", str(settings.stream_metrics_port)]


# The feature server and the registry server ----------------------------------------------------------------------------------


def _serve_command(settings: Settings) -> list[str]:
    return [binaries.script("detektor"), "serve", "--spare", "--port", str(settings.serve_port)]


def _registry_command(settings: Settings) -> list[str]:
    where = ["--port", str(settings.registry_port), "--grpc-port", str(settings.registry_grpc)]
    return [binaries.script("detektor"), "registry", *where]


def _exporter_command(settings: Settings) -> list[str]:
    return [binaries.script("detektor"), "exporter", "--port", str(settings.exporter_port)]


def _is_alive(settings: Settings, host: str, port: int) -> bool:
    return ports.http_answers(port, "/health/live", host, tls=settings.serve_tls_cert is not None)


def _is_healthy(settings: Settings, host: str, port: int) -> bool:
    return ports.http_answers(port, "/health", host, tls=settings.serve_tls_cert is not None)


def _as_itself(program: Program) -> Program:
    """Return a program that logs in as itself on servers of our own."""
    return replace(program, environment=lambda settings: program.environment(settings) | logins.environment(settings, program.name))


PROGRAMS: dict[str, Program] = {
    program.name: _as_itself(program)
    for program in (
        Program(
            name="postgres",
            title="PostgreSQL",
            port_field="postgres_port",
            external=lambda settings: settings.external_postgres_url,
            prepare=lambda settings: postgres.initialise(_postgres_data(settings), _postgres_login(settings)),
            command=lambda settings: postgres.command(_postgres_data(settings), settings.postgres_port),
            ready=_postgres_ready,
            refusal=pooler.refusal,
            finish=_finish_postgres,
            stop_signal="INT",  # fast shutdown: open transactions are rolled back instead of waited for
        ),
        Program(
            name="redis",
            title="Redis",
            port_field="redis_port",
            external=lambda settings: settings.external_redis_url,
            prepare=_prepare_redis,
            command=lambda settings: redis_server.command(_redis_directory(settings) / "redis.conf"),
            ready=_redis_ready,
            finish=_finish_redis,
        ),
        Program(
            name="mlflow",
            title="MLflow",
            port_field="mlflow_port",
            external=lambda settings: settings.mlflow_tracking_uri,
            command=_mlflow_command,
            environment=_mlflow_environment,
            ready=_mlflow_ready,
            needs=("postgres",),
            start_seconds=180,  # its first start migrates a schema: 17 s alone, longer on a busy machine
        ),
        Program(
            name="stream",
            title="Stream worker",
            port_field="stream_metrics_port",
            command=_stream_command,
            environment=lambda settings: {"DETEKTOR_HOME": str(settings.home)},
            ready=lambda settings: ports.http_answers(settings.stream_metrics_port, "/health"),
            alive=lambda settings: ports.http_answers(settings.stream_metrics_port, "/health"),
            needs=("postgres", "redis"),
            start_seconds=60,
        ),
        Program(
            name="serve",
            title="Feature server",
            port_field="serve_port",
            command=_serve_command,
            environment=lambda settings: {"DETEKTOR_HOME": str(settings.home)},
            ready=lambda settings: _is_healthy(settings, settings.serve_host, settings.serve_port),
            alive=lambda settings: _is_alive(settings, settings.serve_host, settings.serve_port),
            needs=("redis",),
        ),
        Program(
            name="registry",
            title="Registry server",
            port_field="registry_port",
            second_port=3,  # gRPC, unless DETEKTOR_REGISTRY_GRPC_PORT says which (`Settings.registry_grpc`)
            command=_registry_command,
            environment=lambda settings: {"DETEKTOR_HOME": str(settings.home)},
            ready=lambda settings: _is_healthy(settings, settings.registry_host, settings.registry_port),
            alive=lambda settings: _is_alive(settings, settings.registry_host, settings.registry_port),
            silent_seconds=30,
            needs=("postgres",),
            start_seconds=180,  # it imports Feast
        ),
        Program(
            name="exporter",
            title="Metrics exporter",
            port_field="exporter_port",
            command=_exporter_command,
            environment=lambda settings: {"DETEKTOR_HOME": str(settings.home)},
            ready=lambda settings: ports.http_answers(settings.exporter_port, "/health"),
            alive=lambda settings: ports.http_answers(settings.exporter_port, "/health"),
            silent_seconds=30,
            needs=("postgres", "redis"),
        ),
        Program(
            name="alertmanager",
            title="Alertmanager",
            port_field="alertmanager_port",
            command=lambda _: [binaries.script("detektor"), "monitoring", "alertmanager"],
            environment=lambda settings: {"DETEKTOR_HOME": str(settings.home)},
            ready=lambda settings: ports.http_answers(settings.alertmanager_port, "/-/ready"),
        ),
        Program(
            name="prometheus",
            title="Prometheus",
            port_field="prometheus_port",
            command=lambda _: [binaries.script("detektor"), "monitoring", "prometheus"],
            environment=lambda settings: {"DETEKTOR_HOME": str(settings.home)},
            ready=lambda settings: ports.http_answers(settings.prometheus_port, "/-/ready"),
            needs=("alertmanager",),
        ),
        Program(
            name="dagster-code",
            title="Dagster code server",
            port_field="dagster_code_port",
            command=dagster_servers.code_server_command,
            environment=dagster_servers.environment,
            ready=dagster_servers.code_server_ready,
            needs=("postgres",),
            start_seconds=180,
        ),
        Program(
            name="dagster",
            title="Dagster UI",
            port_field="dagster_port",
            command=dagster_servers.webserver_command,
            environment=dagster_servers.environment,
            ready=dagster_servers.webserver_ready,
            alive=dagster_servers.webserver_ready,
            silent_seconds=60,
            needs=("postgres", "dagster-code"),
            start_seconds=180,
            stop_seconds=10,  # all that it knows is in PostgreSQL
        ),
        Program(
            name="dagster-daemon",
            title="Dagster daemon",
            port_field=None,
            command=dagster_servers.daemon_command,
            environment=dagster_servers.environment,
            ready=dagster_servers.daemon_ready,
            alive=lambda settings: dagster_servers.daemon_ready(settings) or not _postgres_ready(settings),
            silent_seconds=60,  # after a minute and a quarter without a beat
            needs=("postgres", "dagster-code"),
            start_seconds=180,
            stop_seconds=10,  # all that it knows is in PostgreSQL
        ),
    )
}

WATCHDOG = _as_itself(
    Program(
        name="watchdog",
        title="watchdog",
        port_field=None,
        command=lambda _: [sys.executable, "-m", "detektor_pipelines.stack.watchdog"],
        environment=dagster_servers.environment,
        ready=lambda _: True,
    )
)
"""No server, so not in the table: it runs beside those it watches and fixes what the process manager does not see."""
