"""Dagster's three programs: the code server, which loads the definitions and starts runs, the webserver, and the daemon."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from detektor_pipelines.errors import UserError
from detektor_pipelines.stack import binaries, ports, postgres

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings

LOCATION: Final = "detektor_pipelines"
"""The name of the code location, as dagster_home/workspace.yaml and the addresses of pages have it."""

_PING: Final = "/api.DagsterApi/Ping"
_PING_SECONDS: Final = 2
_NEWEST_HEARTBEAT: Final = "SELECT count(*) FROM dagster.daemon_heartbeats WHERE timestamp > (now() AT TIME ZONE 'UTC') - interval '75 s'"
"""A daemon beats each 30 s; the table is there once one has run."""


def code_server_command(settings: Settings) -> list[str]:
    """Return the command line of the code server."""
    where = ["--host", ports.LOOPBACK, "--port", str(settings.dagster_code_port)]
    what = ["--module-name", "detektor_pipelines.definitions", "--location-name", LOCATION]
    return [binaries.script("dagster"), "code-server", "start", *where, *what]


def webserver_command(settings: Settings) -> list[str]:
    """Return the command line of the webserver."""
    where = ["--host", ports.LOOPBACK, "--port", str(settings.dagster_port)]
    return [binaries.script("dagster-webserver"), *where, "--workspace", _workspace(settings)]


def daemon_command(settings: Settings) -> list[str]:
    """Return the command line of the daemon."""
    return [binaries.script("dagster-daemon"), "run", "--workspace", _workspace(settings)]


def environment(settings: Settings) -> dict[str, str]:
    """Return the variables of all three: where the definitions and Dagster's storage find addresses and passwords."""
    return {
        "DAGSTER_HOME": str(settings.dagster_home),
        "DETEKTOR_HOME": str(settings.home),
        "DETEKTOR_DAGSTER_CODE_PORT": str(settings.dagster_code_port),
        # The code server starts `dagster` by its bare name, and a virtual environment need not be activated
        "PATH": os.pathsep.join([os.path.dirname(binaries.script("dagster")), os.environ.get("PATH", os.defpath)]),  # noqa: PTH120
    }


def code_server_ready(settings: Settings) -> bool:
    """Tell whether the code server answers, and the process behind it that holds the definitions."""
    if not ports.answers(settings.dagster_code_port):
        return False
    import grpc

    with grpc.insecure_channel(f"{ports.LOOPBACK}:{settings.dagster_code_port}") as channel:
        try:
            channel.unary_unary(_PING)(b"", timeout=_PING_SECONDS)
        except grpc.RpcError:
            return False
    return True


def webserver_ready(settings: Settings) -> bool:
    """Tell whether the webserver answers."""
    return ports.http_answers(settings.dagster_port, "/server_info")


def daemon_ready(settings: Settings) -> bool:
    """Tell whether a daemon has given a sign of life in the last minute."""
    try:
        return postgres.run_sql(settings.postgres_dsn, _NEWEST_HEARTBEAT).strip() not in {"", "0"}
    except UserError:
        return False


def _workspace(settings: Settings) -> str:
    return str(settings.dagster_home / "workspace.yaml")
