"""Commands as a person types them: `detektor …`, `feast …`, psql; and plain HTTP to a server of this machine."""

from __future__ import annotations

import http.client
import os
import ssl
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from detektor_pipelines.errors import UserError
from detektor_pipelines.files import HOME_VARIABLE
from detektor_pipelines.stack import binaries
from detektor_pipelines.stores.feast import registry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from detektor_pipelines.settings import Settings

REPOSITORY: Final = Path(__file__).resolve().parents[2]
SECONDS: Final = 900
"""No command of a row takes longer."""

_TIMEOUT_S: Final = 10
_UNKNOWN: Final = "No such command"


def run(settings: Settings, program: str, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a console script of this environment on these settings and return what it said; its exit code is the caller's business.

    Raises:
        UserError: It is not installed, or takes more than SECONDS.

    """
    environment = {**os.environ, HOME_VARIABLE: str(settings.home), "PYTHONWARNINGS": "ignore", "COLUMNS": "160", **variables}
    try:
        return subprocess.run(
            [binaries.script(program), *words],
            env=environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise UserError(f"It takes more than {SECONDS} s.", where=" ".join([program, *words]), fix="Run it by hand and watch it.") from None


def detektor(settings: Settings, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `detektor …`."""
    return run(settings, "detektor", *words, **variables)


def has_command(settings: Settings, *words: str) -> bool:
    """Tell whether `detektor` has a command; its help is asked for."""
    done = detektor(settings, *words, "--help")
    return done.returncode == 0 and _UNKNOWN not in done.stderr


def feast(settings: Settings, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the stock `feast …` in feature_repo, as after `eval "$(detektor env)"`."""
    return run(settings, "feast", "-c", str(REPOSITORY / "feature_repo"), *words, **registry.environment(settings))


def said(done: subprocess.CompletedProcess[str]) -> str:
    """Return the last line that a command wrote, for a message."""
    lines = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    return lines[-1][:200] if lines else f"it said nothing and ended with {done.returncode}"


@contextmanager
def connected(url: str) -> Iterator[http.client.HTTPConnection]:
    """Open a connection to a server of ours that stays open; whose certificate it has does not matter here."""
    parts = urlsplit(url)
    host, port = parts.hostname or "127.0.0.1", parts.port
    if parts.scheme == "https":
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
    try:
        yield connection
    except (OSError, http.client.HTTPException) as error:
        raise UserError(f"{url} does not answer: {error}.", where=url, fix="detektor up") from None
    finally:
        connection.close()


def ask(connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None) -> tuple[int, Mapping[str, str], bytes]:
    """Ask once; returns status, headers by lower-case name, and body. A token of DETEKTOR_SERVE_TOKEN goes along."""
    token = os.environ.get("DETEKTOR_SERVE_TOKEN")
    connection.request(method, path, body, {"Authorization": f"Bearer {token}"} if token else {})
    response = connection.getresponse()
    return response.status, {name.lower(): text for name, text in response.getheaders()}, response.read()


def get(url: str, path: str) -> tuple[int, str]:
    """Return status and text of one GET.

    Raises:
        UserError: Nothing answers.

    """
    with connected(url) as connection:
        status, _, body = ask(connection, "GET", path)
    return status, body.decode("utf-8", "replace")


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered)) - 1))]
