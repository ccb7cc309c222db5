"""The servers as `detektor up` keeps them."""

from __future__ import annotations

import json
import os
import signal
import ssl
import urllib.request
from typing import TYPE_CHECKING

import psutil
import pytest
from support import certificates
from support.serving_client import Server
from support.waiting import eventually

from detektor_pipelines import stack
from detektor_pipelines.compile.loaded import combined_hash
from detektor_pipelines.settings import get_settings
from detektor_pipelines.stack import survivors
from detektor_pipelines.stack.lifecycle import DEFAULT_SERVICES
from detektor_pipelines.stores.schema import migrate
from detektor_pipelines.web.tokens import add_token

if TYPE_CHECKING:
    from pathlib import Path

    from detektor_pipelines.settings import Settings

pytestmark = pytest.mark.slow


def test_up_keeps_the_feature_server(settings: Settings) -> None:
    assert "serve" in DEFAULT_SERVICES
    status = stack.up(settings, ("serve",), free_ports=True)
    try:
        assert {each.name for each in status.services if each.state == "running"} == {"redis", "serve"}
        address = f"http://127.0.0.1:{status.settings.serve_port}/health"
        assert json.load(urllib.request.urlopen(address, timeout=10))["status"] == "OK"
        server = Server(status.settings.serve_port, None, settings.home)
        killed = status["serve"].pid
        assert killed is not None
        os.killpg(killed, signal.SIGKILL)
        assert server.get("/health").status == 200, "its spare process has the same socket: nobody is refused"
        while (again := stack.status(status.settings)["serve"]).state != "running":
            assert again.state == "starting"
            assert server.get("/health").status == 200
        assert again.pid not in {None, killed}
        assert eventually(lambda: _spares(again.pid), 60), "it has a spare of its own"
        assert eventually(lambda: len(_processes(settings)) == 2, 60), "the spare of the one before has ended"
        assert again.pid is not None
        log = settings.home / "logs" / "serve.log"
        begun = log.read_text().count("Listening:")
        os.kill(again.pid, signal.SIGHUP)
        assert eventually(lambda: log.read_text().count("Listening:") > begun, 60), log.read_text()
        assert json.load(urllib.request.urlopen(address, timeout=10))["status"] == "OK", "the connection waits until it has begun"
        assert stack.status(status.settings)["serve"].pid == again.pid
        assert eventually(lambda: _spares(again.pid)), "the one that restarted in place has one too"
    finally:
        said: list[str] = []
        ended = stack.down(settings, on_progress=said.append)
    assert "feature server" in " ".join(ended).lower()
    assert [each for each in said if "process manager" in each] == [], "ended cleanly, it takes its spare along"


def _spares(pid: int | None) -> bool:
    """Tell whether a server has started its spare."""
    return bool(psutil.Process(pid).children())


def _processes(settings: Settings) -> list[int]:
    """Return the processes of the feature server."""
    return [pid for pid in survivors.find(settings) if "--spare" in psutil.Process(pid).cmdline()]


def test_up_keeps_the_registry_server(settings: Settings) -> None:
    assert "registry" in DEFAULT_SERVICES
    begun = stack.up(settings, ("postgres",), free_ports=True).settings
    try:
        migrate(begun)  # as the command does: the roles are the tables'
        status = stack.up(begun, ("registry",), free_ports=True)
        assert {each.name for each in status.services if each.state == "running"} == {"postgres", "registry"}
        address = f"http://127.0.0.1:{status.settings.registry_port}/health"
        said = json.load(urllib.request.urlopen(address, timeout=10))
        assert (said["status"], said["postgres"], said["feature_views"]) == ("OK", "up", 0)
        assert said["definitions"]["hash"] == combined_hash()
    finally:
        stack.down(settings)


def test_up_knows_that_a_server_over_tls_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = certificates.make(tmp_path)
    add_token(tmp_path / "tokens", "tests")
    given = {"TLS_CERT": files.certificate, "TLS_KEY": files.key, "TOKENS_FILE": tmp_path / "tokens", "HOST": "0.0.0.0"}  # noqa: S104
    for name, value in given.items():
        monkeypatch.setenv(f"DETEKTOR_SERVE_{name}", str(value))
    get_settings.cache_clear()
    status = stack.up(get_settings(), ("serve",), free_ports=True)
    try:
        assert status["serve"].ready
        context = ssl.create_default_context(cafile=str(files.authority))
        server = Server(status.settings.serve_port, None, tmp_path, context)
        assert server.get("/health").json == {"status": "OK"}
        assert server.get("/metrics").status == 401
    finally:
        stack.down(get_settings())
