"""Dagster's three programs: the code server, which loads the definitions and starts runs, the webserver, and the daemon."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

from detektor_pipelines.errors import UserError
from detektor_pipelines.stack import binaries, ports, supervisor
from detektor_pipelines.stack.servers import postgres

if TYPE_CHECKING:
    from pathlib import Path

    from detektor_pipelines.settings import Settings

LOCATION: Final = "detektor_pipelines"
"""The name of the code location, as dagster_home/workspace.yaml and the addresses of pages have it."""

_LINES: Final = ("--log-format", "json")
"""As `log_lines` writes ours."""

_PING: Final = "/api.DagsterApi/Ping"
_PING_SECONDS: Final = 2
_RELOAD: Final = "/api.DagsterApi/ReloadCode"
_RELOAD_SECONDS: Final = 120

_CONNECT_SECONDS: Final = 3
"""In which PostgreSQL takes a connection, when it is asked for the daemon's beats: whoever wants to know how all servers are waits."""

_POSTGRES_SECONDS: Final = 60
"""A killed PostgreSQL recovers in seconds; after a crash of the machine it may take a minute."""

_LONGEST_TEMPORARY: Final = 90
"""Dagster makes Unix sockets there, whose paths have 107 characters at most."""

_BEATS: Final = """
    SELECT count(*) FROM dagster.daemon_heartbeats
    WHERE timestamp AT TIME ZONE 'UTC' > greatest(to_timestamp({started}), now() - interval '75 s')
"""
"""A daemon beats when it starts and each 30 s; the table is there once one has run."""


def code_server_command(settings: Settings) -> list[str]:
    """Return the command line of the code server."""
    where = ["--host", ports.LOOPBACK, "--port", str(settings.dagster_code_port)]
    what = ["--module-name", "detektor_pipelines.definitions", "--location-name", LOCATION]
    return [binaries.script("dagster"), "code-server", "start", *where, *what, *_LINES]


def webserver_command(settings: Settings) -> list[str]:
    """Return the command line of the webserver."""
    where = ["--host", ports.LOOPBACK, "--port", str(settings.dagster_port)]
    return [sys.executable, "-m", "detektor_pipelines.orchestration.pages", *where, "--workspace", _workspace(settings), *_LINES]


def daemon_command(settings: Settings) -> list[str]:
    """Return the command line of the daemon."""
    return [sys.executable, "-m", "detektor_pipelines.orchestration.daemon", "run", "--workspace", _workspace(settings), *_LINES]


def environment(settings: Settings) -> dict[str, str]:
    """Return the variables of all three: where the definitions and Dagster's storage find addresses and passwords."""
    temporary = temporary_directory(settings)
    short = len(os.fsencode(temporary)) <= _LONGEST_TEMPORARY
    return {
        "DAGSTER_HOME": str(settings.dagster_home),
        "DETEKTOR_HOME": str(settings.home),
        "DETEKTOR_DAGSTER_CODE_PORT": str(settings.dagster_code_port),
        "DETEKTOR_POSTGRES_WAIT_SECONDS": str(settings.postgres_wait_seconds or _POSTGRES_SECONDS),
        "PATH": binaries.search_path(),  # the code server starts `dagster` by its bare name
    } | ({"TMPDIR": str(temporary)} if short else {})


def temporary_directory(settings: Settings) -> Path:
    """Return where Dagster's programs keep sockets and scratch files: emptied by `detektor down`, as killed ones leave theirs."""
    return settings.home / "tmp"


def code_server_ready(settings: Settings) -> bool:
    """Tell whether the code server answers, and the process behind it that holds the definitions."""
    return ports.answers(settings.dagster_code_port) and _called(settings, _PING, _PING_SECONDS)


def reload_definitions(settings: Settings) -> bool:
    """Let a running code server load the definitions again, and tell whether it did; seconds.

    The webserver and the daemon notice by themselves. Runs under way end in the process that they were started in.
    """
    return ports.answers(settings.dagster_code_port) and _called(settings, _RELOAD, _RELOAD_SECONDS)


def webserver_ready(settings: Settings) -> bool:
    """Tell whether the webserver answers."""
    return ports.http_answers(settings.dagster_port, "/server_info")


def daemon_ready(settings: Settings) -> bool:
    """Tell whether the daemon that runs now has given a sign of life in the last minute."""
    row = supervisor.states(settings).get("dagster-daemon")
    if row is None or row["statename"] not in {"STARTING", "RUNNING"}:
        return False
    try:
        beats = postgres.run_sql(settings.postgres_dsn, _BEATS.format(started=int(row["start"])), connect_seconds=_CONNECT_SECONDS)
    except UserError:
        return False
    return int(beats or 0) > 0


def _called(settings: Settings, method: str, seconds: float) -> bool:
    """Call a method of the code server that needs no arguments: an empty message."""
    import grpc

    with grpc.insecure_channel(f"{ports.LOOPBACK}:{settings.dagster_code_port}") as channel:
        try:
            channel.unary_unary(method)(b"", timeout=seconds)
        except grpc.RpcError:
            return False
    return True


def _workspace(settings: Settings) -> str:
    return str(settings.dagster_home / "workspace.yaml")
