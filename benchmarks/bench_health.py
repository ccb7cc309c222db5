"""How long /health takes while the feature server works at the worst request that it accepts: 10,000 agents times 100 features.

    .venv/bin/python benchmarks/bench_health.py [--seconds 20] [--json]

One worker, with a Redis of its own that holds all of it. One client asks for the million values again and again, another asks for /health
every 20 ms and, beside it, for one agent's twelve features; both are timed first without the large requests, then with them.
"""

from __future__ import annotations

import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import measuring
import serving_clients
from serving import OURS, _servers
from serving_clients import Connection, at, body_of, latencies, one_agent, rows_of, write_values

if TYPE_CHECKING:
    from collections.abc import Callable

    from detektor_pipelines.settings import Settings

FEATURES: Final = 100
EVERY_S: Final = 0.02
SETTLE_S: Final = 5
"""In which the server has kept the values for when Redis is away, which it begins with."""


def main() -> None:
    """Measure and print."""
    parser = measuring.options(__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="with the large requests, and half as long without")
    parser.add_argument("--agents", type=int, default=10_000)
    arguments = parser.parse_args()
    figures = measuring.machine()
    with tempfile.TemporaryDirectory() as directory, measuring.servers() as (settings,):
        figures |= measure(settings, Path(directory), arguments.agents, arguments.seconds)
    measuring.show(figures, as_json=arguments.json)


def measure(settings: Settings, directory: Path, agents: int, seconds: float) -> dict[str, Any]:
    """Write the values, start the server, ask."""
    from detektor_pipelines.web.tokens import add_token

    serving_clients.AGENTS = agents
    measuring.say("Writing values, starting the server …")
    write_values(settings)
    _write_rows_over_all_projects(settings)
    token = add_token(directory / "tokens", "benchmark")
    with _servers(settings, directory, {OURS[0]: measuring.REPOSITORY}) as servers:
        port = servers[OURS[0]].port
        time.sleep(SETTLE_S)
        health, read, large = (Connection(port, body, token) for body in (b"", one_agent(), _worst(agents)))
        health.request = b"GET /health HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %b\r\n\r\n" % token.encode()
        figures = _timed("alone", health.ask, read.ask, seconds / 2)
        over, taken = threading.Event(), []

        def work() -> None:
            while not over.is_set():
                taken.extend(latencies(large.ask, 1))

        worker = threading.Thread(target=work)
        worker.start()
        try:
            figures |= _timed("beside", health.ask, read.ask, seconds)
        finally:
            over.set()
            worker.join()
    return figures | {"large_requests": len(taken), "large_p50_s": at(taken, 50) / 1_000}


def _write_rows_over_all_projects(settings: Settings) -> None:
    import pyarrow as pa

    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.stores.online.values import redis_client, write_rows

    now = time.time_ns() // 1_000
    with redis_client(settings) as client:
        for view in VIEWS:
            rows = rows_of(view).slice(0, 1).set_column(0, "agent_id", pa.array([view.agent]))
            write_rows(client, settings.project, view, rows, as_of_us=now, valid_through_us=now, snapshot="1:1:")


def _timed(when: str, health: Callable[[], None], read: Callable[[], None], seconds: float) -> dict[str, float]:
    """Ask at a steady pace, as those who watch do."""
    end, times = time.monotonic() + seconds, {"health": [], "read": []}
    while time.monotonic() < end:
        for name, ask in (("health", health), ("read", read)):
            times[name] += latencies(ask, 1)
        time.sleep(EVERY_S)
    return {
        f"{name}_{when}_{label}_ms": at(found, percent)
        for name, found in times.items()
        for label, percent in (("p50", 50), ("p99", 99), ("max", 100))
    }


def _worst(agents: int) -> bytes:
    """Return the body: all features of all views, then as many of the rows over all projects as fit."""
    from detektor_pipelines.catalog import VIEWS

    references = [f"{view.name}{row}:{each.name}" for row in ("", "@all") for view in VIEWS for each in view.features][:FEATURES]
    return body_of(references, [f"{VIEWS[0].agent}@project-{number}" for number in range(agents)])


if __name__ == "__main__":
    main()
