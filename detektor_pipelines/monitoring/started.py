"""Prometheus and Alertmanager beside the stack: their files are written for the ports in use, then the process becomes the program."""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING, Final

from detektor_pipelines.errors import UserError
from detektor_pipelines.monitoring import prometheus
from detektor_pipelines.stack import ports

if TYPE_CHECKING:
    from pathlib import Path
    from typing import NoReturn

    from detektor_pipelines.settings import Settings

INSTALL: Final = "apt-get install -y --no-install-recommends prometheus prometheus-alertmanager"

_NAMES: Final = {"prometheus": ("prometheus",), "alertmanager": ("alertmanager", "prometheus-alertmanager")}
"""What the programs are called, by their authors and by Debian."""

_TOKEN: Final = "DETEKTOR_SERVE_TOKEN"  # noqa: S105 - the name of a variable


def program(name: str) -> str:
    """Return the path of `prometheus` or `alertmanager`.

    Raises:
        UserError: It is not installed.

    """
    found = next((path for each in _NAMES[name] if (path := shutil.which(each))), None)
    if found is None:
        raise UserError(f"There is no program {name} on this machine.", where="PATH", fix=f"As root on Debian or Ubuntu: {INSTALL}")
    return found


def command(settings: Settings, name: str, directory: Path, pace: prometheus.Pace = prometheus.USUAL) -> list[str]:
    """Write what a program reads into `directory`, and return its command line.

    Raises:
        UserError: It is not installed.

    """
    found = program(name)
    runbooks = f"{settings.source_url}/docs/runbooks" if settings.source_url else "docs/runbooks"
    prometheus.write(directory, prometheus.render(settings, pace=pace, runbooks=runbooks, token_file=_token_file(directory)))
    log = ["--log.format=json"]
    if name == "alertmanager":
        where = f"{ports.LOOPBACK}:{settings.alertmanager_port}"
        files = [f"--config.file={directory / prometheus.ALERTMANAGER}", f"--storage.path={directory / 'data'}"]
        return [found, *files, f"--web.listen-address={where}", "--cluster.listen-address=", *log]
    where = f"{ports.LOOPBACK}:{settings.prometheus_port}"
    own = rf"--web.cors.origin=http://({re.escape(ports.LOOPBACK)}|localhost):{settings.prometheus_port}"  # by default any page may read
    files = [f"--config.file={directory / prometheus.CONFIGURATION}", f"--storage.tsdb.path={directory / 'data'}"]
    return [found, *files, f"--web.listen-address={where}", own, "--storage.tsdb.retention.time=30d", *log]


def become(settings: Settings, name: str) -> NoReturn:
    """Replace this process by the program.

    Raises:
        UserError: It is not installed.

    """
    words = command(settings, name, settings.home / "servers" / name)
    os.execv(words[0], words)  # noqa: S606 - our own words


def _token_file(directory: Path) -> Path | None:
    """Keep the token of the environment where Prometheus reads it; None without one."""
    token = os.environ.get(_TOKEN)
    if not token:
        return None
    prometheus.write(directory, {"token": token})
    return directory / "token"
