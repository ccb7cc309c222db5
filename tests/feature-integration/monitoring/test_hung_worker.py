"""A stream worker that stands still, with the stack as `detektor up` keeps it."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from detektor_pipelines import stack
from detektor_pipelines.cli import build_app
from detektor_pipelines.settings import get_settings
from detektor_pipelines.stores.schema import migrate

if TYPE_CHECKING:
    from collections.abc import Callable

    from detektor_pipelines.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.long]


def until(condition: Callable[[], object], seconds: float, why: Callable[[], object]) -> float:
    """Wait; returns how long that took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, why()
        time.sleep(0.2)
    return time.monotonic() - began


def test_it_is_said_within_ten_seconds_and_ended_by_the_watchdog(settings: Settings) -> None:
    begun = stack.up(settings, ("postgres", "redis"), free_ports=True)
    migrate(begun.settings)
    status = stack.up(begun.settings, ("stream", "serve"), free_ports=True)
    get_settings.cache_clear()

    def health() -> dict[str, Any]:
        address = f"http://127.0.0.1:{status.settings.serve_port}/health"
        return dict(json.load(urllib.request.urlopen(address, timeout=10)))

    try:
        until(lambda: health()["status"] == "OK" and health()["newest_valid_through"], 60, health)
        time.sleep(12)  # the watchdog has heard of it
        hung = stack.status(settings)["stream"].pid
        assert hung is not None
        os.kill(hung, signal.SIGSTOP)
        assert until(lambda: health()["status"] == "STALE", 30, health) < 10
        assert "detektor restart stream" in health()["fix"]
        shown = " ".join(CliRunner().invoke(build_app(), ["status"]).stdout.split())
        assert "The feature server says STALE" in shown
        checks = json.loads(CliRunner().invoke(build_app(), ["doctor", "--json"]).stdout)["checks"]
        (served,) = (each for each in checks if each["name"] == "served values")
        assert (served["result"], "STALE" in served["found"]) == ("failed", True)
        until(lambda: stack.status(settings)["stream"].pid not in {None, hung}, 90, (settings.home / "logs/watchdog.log").read_text)
        until(lambda: health()["status"] == "OK", 90, health)
    finally:
        stack.down(settings)
