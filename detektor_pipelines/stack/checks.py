"""What `detektor doctor` asks of the machine, the environment and the servers."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from http import HTTPStatus
from importlib import metadata
from typing import TYPE_CHECKING

from detektor_pipelines.errors import UserError
from detektor_pipelines.installation import DISTRIBUTION, ROOT, completing
from detektor_pipelines.settings import LOGIN_PREFIX
from detektor_pipelines.stack import binaries, lifecycle, ports, survivors
from detektor_pipelines.stack.programs import PROGRAMS
from detektor_pipelines.stack.servers import privileges

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stack.lifecycle import ServiceStatus

_PYTHON = ((3, 11), (3, 13))
_LOCK = ROOT / "requirements.txt"
_GIGABYTE = 1024**3
_STRANGER = "page.invalid"
_ASKED = {
    "mlflow": "/",
    "stream": "/metrics",
    "serve": "/openapi.json",
    "registry": "/openapi.json",
    "exporter": "/metrics",
    "alertmanager": "/api/v2/status",
    "prometheus": "/api/v1/labels",
    "dagster": "/server_info",
}
_NEEDED_GB = 2  # a demo's cluster with its log takes about one
_COMFORTABLE_GB = 10


@dataclass(frozen=True)
class Check:
    """One finding: `result` is `ok`, `warning` or `failed`; `fix` is empty when nothing is to be done."""

    name: str
    result: str
    found: str
    fix: str = ""


def all_checks(settings: Settings) -> Iterator[Check]:
    """Run every check, cheapest first; changes nothing."""
    yield _python()
    yield _packages()
    yield from _wheels()
    yield _state_directory(settings)
    yield _disk(settings)
    if os.geteuid() == 0:
        yield _root(settings)
    services = lifecycle.status(settings).services
    yield from (_server(settings, service) for service in services)
    yield _logins(settings, services)
    yield from _pages(settings, services)


def _pages(settings: Settings, services: Iterable[ServiceStatus]) -> Iterator[Check]:
    """Say of each running server with an HTTP port whether it answers a web page under a name that is not its own: a line each."""
    for service in services:
        path = _ASKED.get(service.name)
        program = PROGRAMS[service.name]
        port = program.port(settings)
        if path is None or port is None or not service.ready or program.external(settings):
            continue
        tls = service.name in {"serve", "registry"} and settings.serve_tls_cert is not None
        name = f"Host at {port}"
        if ports.http_status(port, path, tls=tls, called=_STRANGER) == HTTPStatus.OK:
            yield Check(name, "warning", f"{service.title}: any page", "docs/security.md")
        else:
            yield Check(name, "ok", f"{service.title}: no foreign page")


def _python() -> Check:
    found = ".".join(map(str, sys.version_info[:3]))
    first, last = _PYTHON
    if first <= sys.version_info[:2] <= last:
        return Check("Python", "ok", found)
    return Check("Python", "failed", found, "It runs on Python 3.11, 3.12 and 3.13: remove .venv, then `make .venv PYTHON=python3.11`")


def _packages() -> Check:
    """Compare what is installed with the lock; without one, with what the wheel asks for."""
    if not _LOCK.is_file():
        return _asked_for()
    from packaging.requirements import Requirement

    lines = (line.rstrip(" \\") for line in _LOCK.read_text(encoding="utf-8").splitlines() if "==" in line and line[0].isalnum())
    pinned = [each for each in map(Requirement, lines) if each.marker is None or each.marker.evaluate()]
    different = [each.name for each in pinned if not each.specifier.contains(_installed(each.name) or "0", prereleases=True)]
    if different:
        return Check(
            "packages",
            "failed",
            f"{len(different)} differ from the lock: {', '.join(different[:5])}",
            "rm -f .venv/.complete && make .venv",
        )
    return Check("packages", "ok", "as in requirements.txt")


def _asked_for() -> Check:
    """Look for the packages that the extras `platform` is made of name."""
    names = {
        re.split(r"[^A-Za-z0-9._-]", each)[0]
        for each in metadata.requires(DISTRIBUTION) or []
        if not re.search(r"(spark|python_version)", each)
    }
    absent = sorted(name for name in names if _installed(name) is None)
    if absent:
        return Check("packages", "failed", f"{len(absent)} are not installed: {', '.join(absent[:5])}", completing())
    return Check("packages", "ok", "all that the platform asks for")


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _wheels() -> Iterator[Check]:
    programs: dict[str, Callable[[], str]] = {
        "PostgreSQL program": lambda: binaries.postgres("postgres"),
        "Redis program": binaries.redis_server,
        "process manager": lambda: binaries.script("supervisord"),
        "MLflow program": lambda: binaries.script("mlflow"),
        "Dagster program": lambda: binaries.script("dagster-webserver"),
    }
    for name, find in programs.items():
        try:
            yield Check(name, "ok", _first_line([find(), "--version"]) if name in {"PostgreSQL program", "Redis program"} else find())
        except UserError as error:
            yield Check(name, "failed", error.what, error.fix or "")


def _first_line(words: list[str]) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).strip().partition("\n")[0].partition(" sha=")[0]  # redis-server adds its build


def _state_directory(settings: Settings) -> Check:
    existing = next(path for path in (settings.home, *settings.home.parents) if path.exists())
    if not os.access(existing, os.W_OK | os.X_OK):
        return Check(
            "state directory", "failed", f"{existing} is not yours to write", "Set DETEKTOR_HOME to a directory that you may write to"
        )
    if existing == settings.home and settings.home.stat().st_mode & 0o077:
        return Check("state directory", "warning", f"others may read {settings.home}", f"chmod 700 {settings.home}")
    return Check("state directory", "ok", str(settings.home))


def _disk(settings: Settings) -> Check:
    existing = next(path for path in (settings.home, *settings.home.parents) if path.exists())
    free = shutil.disk_usage(existing).free / _GIGABYTE
    result = "failed" if free < _NEEDED_GB else "warning" if free < _COMFORTABLE_GB else "ok"
    fix = "" if result == "ok" else "Free some space, or set DETEKTOR_HOME to a larger disk"
    return Check("disk space", result, f"{free:.0f} GB free at {existing}", fix)


def _root(settings: Settings) -> Check:
    if privileges.namespaces_work():
        return Check("PostgreSQL as root", "ok", "in a user namespace")
    user = os.environ.get(privileges.OS_USER_VARIABLE, "nobody")
    try:
        privileges.check_reachable(settings.home, user)
    except UserError as error:
        return Check("PostgreSQL as root", "failed", error.what, error.fix or "")
    return Check("PostgreSQL as root", "ok", f"as the OS user {user}")


def _server(settings: Settings, service: ServiceStatus) -> Check:
    program = PROGRAMS[service.name]
    if service.ready:
        return Check(service.title, "ok", f"{service.state} at {service.address}" if service.address else service.state)
    port = program.port(settings)
    if service.state == "stopped" and port and not ports.is_free(port):
        return Check(
            service.title,
            "failed",
            f"stopped, and port {port} is taken by another program",
            f"{program.port_variable}={ports.free_port()} detektor up, or detektor up --free-ports",
        )
    if service.state == "unreachable":
        return _unreachable(service)
    if service.state == "failed":
        return Check(service.title, "failed", "failed", f"Read {service.log}; detektor up {service.name}")
    if found := _unwell(service):
        return found
    result = "warning" if service.name in lifecycle.DEFAULT_SERVICES else "ok"
    return Check(service.title, result, service.state, f"detektor up {service.name}" if service.state == "stopped" else "")


def _unreachable(service: ServiceStatus) -> Check:
    if service.why:
        return Check(service.title, "failed", f"{service.why.what} {service.why.where}", service.why.fix or "")
    return Check(service.title, "failed", f"yours at {service.address} does not answer", "Start it, or correct its address")


def _logins(settings: Settings, services: Iterable[ServiceStatus]) -> Check:
    """Check that each program that runs logs in as itself."""
    if settings.external_postgres_url:
        found = f"your PostgreSQL: every program of `detektor up` logs in as {settings.postgres_user}"
        return Check("logins", "ok", found, "For a login each, start them yourself: docs/roles.md")
    asking = [(service.name, service.login) for service in services if service.login]
    as_owner = [name for name, login in asking if not login.startswith(LOGIN_PREFIX)]
    if as_owner:
        return Check("logins", "warning", f"as the owner, who may do everything: {', '.join(as_owner)}", "detektor down, then detektor up")
    return Check("logins", "ok", f"each its own: {', '.join(name for name, _ in asking)}" if asking else "none of the programs runs")


def _unwell(service: ServiceStatus) -> Check | None:
    """Say what is wrong with a process that runs; None when nothing is, or it is starting."""
    if service.state == "foreign":
        fix = f"End the process that listens at {service.address} (`ss -ltnp`), then: detektor down, detektor up"
        return Check(service.title, "failed", f"another process answers at {service.address}", fix)
    if service.state == "hung" and survivors.is_stopped(service.pid):
        return Check(service.title, "failed", f"somebody stopped process {service.pid} (SIGSTOP)", "detektor up")
    if service.state == "hung":
        fix = f"The watchdog ends it within a minute, and it starts anew; by hand: detektor restart {service.name}. Read {service.log}"
        return Check(service.title, "failed", f"hangs: its process runs since {service.seconds} s and does not answer", fix)
    if service.state == "unwell":
        return Check(service.title, "failed", "answers that it is not ready", f"See what else failed here; read {service.log}")
    return None
