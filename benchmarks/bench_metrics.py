"""What it costs to be watched: scraping the whole stack every 15 s, and counting in the feature server.

    .venv/bin/python benchmarks/bench_metrics.py [--events 200000] [--seconds 60] [--requests 3000] [--turns 3] [--json]

The stack is PostgreSQL, Redis, a stream worker, a feature server and the exporter over a published history of six months. Cost is processor
time of all of these together: for so many seconds with the exporter asking and all three servers scraped every 15 s, less the same without
exporter and scrapes. Beside it stands the exporter's own processor time. Latency is of one client that keeps its connection; a server
whose counting is switched off takes turns with one as it is, which is scraped meanwhile.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import measuring
import psutil
from serving_clients import Connection, at, latencies, one_agent, write_values

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detektor_pipelines.settings import Settings

SCRAPE_S: Final = 15
DAYS: Final = 184
_DETEKTOR: Final = str(Path(sys.executable).with_name("detektor"))
_UNCOUNTED: Final = (
    "import sys; from detektor_pipelines.serving.server_metrics import ServerMetrics; ServerMetrics.count = lambda *_: None;"
    " from detektor_pipelines.cli import main; sys.argv[1:] = {words}; main()"
)


def main() -> None:
    """Measure and print."""
    parser = measuring.options(__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--projects", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--requests", type=int, default=3_000, help="of one client, a turn")
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    measuring.stop_the_clock()
    figures = measuring.machine()
    with measuring.servers() as (settings,):
        _history(settings, arguments.events, arguments.projects)
        figures |= _cost(settings, arguments.seconds)
        figures |= _latency(settings, arguments.requests, arguments.turns)
    measuring.show(figures, as_json=arguments.json)


def _history(settings: Settings, events: int, projects: int) -> None:
    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.engine.backfill import backfill
    from detektor_pipelines.stores.raw_log.bulk import append_table

    measuring.say(f"Simulating and publishing {events:,} events …")
    append_table(settings, measuring.history(events, projects, DAYS))
    for _ in backfill(settings, VIEWS, measuring.last_days(DAYS)):
        pass
    write_values(settings)


def _cost(settings: Settings, seconds: float) -> dict[str, Any]:
    """Return processor time by second of time, as shares of a core."""
    with ExitStack() as exits:
        ports = {name: exits.enter_context(_program(settings, name)) for name in ("stream", "serve")}
        time.sleep(3)
        alone = _busy(seconds, {})
        ports["exporter"] = exits.enter_context(_program(settings, "exporter"))
        time.sleep(10)  # its first turn asks everything
        exporter = next(each for each in psutil.Process().children() if "exporter" in " ".join(each.cmdline()))
        before = _seconds_of(exporter)
        watched = _busy(seconds, ports)
        own = (_seconds_of(exporter) - before) / seconds
        sizes = {f"{name}_bytes": len(_scrape(port)) for name, port in ports.items()}
    return {
        "stack_alone_percent": 100 * alone,
        "stack_watched_percent": 100 * watched,
        "watching_percent_of_a_core": 100 * (watched - alone),
        "exporter_percent_of_a_core": 100 * own,
    } | sizes


def _busy(seconds: float, ports: dict[str, int]) -> float:
    """Return the processor time of all processes started here, by second, while the ports are scraped."""
    began, before, scraped = time.monotonic(), _seconds_of_all(), -SCRAPE_S
    while (now := time.monotonic() - began) < seconds:
        if now >= scraped + SCRAPE_S:
            scraped = now
            for port in ports.values():
                _scrape(port)
        time.sleep(0.2)
    return (_seconds_of_all() - before) / (time.monotonic() - began)


def _seconds_of_all() -> float:
    return sum(_seconds_of(each) for each in psutil.Process().children(recursive=True))


def _seconds_of(process: psutil.Process) -> float:
    try:
        found = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(found.user + found.system)


def _scrape(port: int) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        return bytes(answer.read())


def _latency(settings: Settings, requests: int, turns: int) -> dict[str, Any]:
    """Let a server that counts and is scraped take turns with one that does neither."""
    times: dict[str, list[float]] = {"on": [], "off": []}
    with ExitStack() as exits:
        ports = {
            "on": exits.enter_context(_program(settings, "serve")),
            "off": exits.enter_context(_program(settings, "serve", counted=False)),
        }
        ask = {name: Connection(port, one_agent()).ask for name, port in ports.items()}
        for turn in range(turns + 1):
            measuring.say(f"Turn {turn} of {turns} …")
            for name in ("on", "off") if turn % 2 else ("off", "on"):
                if name == "on":
                    _scrape(ports["on"])
                found = latencies(ask[name], requests if turn else 50)
                times[name] += found if turn else []
    figures = {
        f"metrics_{name}_{figure}_ms": at(found, percent) for name, found in times.items() for figure, percent in (("p50", 50), ("p99", 99))
    }
    return figures | {"p99_on_over_off": figures["metrics_on_p99_ms"] / figures["metrics_off_p99_ms"]}


@contextmanager
def _program(settings: Settings, name: str, *, counted: bool = True) -> Iterator[int]:
    """Run a server; yield its port when it answers."""
    from detektor_pipelines.stack.ports import free_port, http_answers

    port = free_port()
    words = [name, *(("--quiet", "--metrics-port") if name == "stream" else ("--port",)), str(port)]
    command = [_DETEKTOR, *words] if counted else [sys.executable, "-c", _UNCOUNTED.format(words=words)]
    given = {
        "DETEKTOR_HOME": str(settings.home),
        "DETEKTOR_EXTERNAL_REDIS_URL": settings.redis_url,
        "DETEKTOR_EXTERNAL_POSTGRES_URL": settings.postgres_dsn,
    }
    with subprocess.Popen(command, env=os.environ | given, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            while not http_answers(port, "/metrics"):
                if process.poll() is not None:
                    message = f"detektor {name} ended with {process.returncode}"
                    raise RuntimeError(message)
                time.sleep(0.2)
            yield port
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
