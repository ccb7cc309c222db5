"""The feature server for a long time at a share of the highest rate it reaches: errors, latency over time, and whether its memory grows.

    .venv/bin/python benchmarks/soak_serving.py [--minutes 30] [--share 0.7] [--plot soak.png] [--json]

First it is measured what 16 clients that ask again at once get answered. Then requests are due at fixed instants, whoever still waits; a
request's time counts from when it was due, so a pause shows in all the requests that it held up. Seven of ten ask for an agent's twelve
features, two for the eight agents of a project, one for a hundred agents; every second a view is published again, and every five /metrics
is read. Memory's slope is a straight line through the resident size of the process, once a second, after the first fifth of the time.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import selectors
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from array import array
from collections import deque
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import measuring
import psutil
from serving_clients import CLIENTS, Connection, agents_of, at, body_of, eight_agents, one_agent, throughput, write_values

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detektor_pipelines.settings import Settings

CONNECTIONS: Final = 32
WARM_UP: Final = 0.2
"""Share of the time whose memory does not count: caches fill, the allocator takes what it needs."""

ROWS: Final = 10


def main() -> None:
    """Measure and print."""
    parser = measuring.options(__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--share", type=float, default=0.7, help="of the highest rate")
    parser.add_argument("--plot", type=Path, help="draw it into this file")
    arguments = parser.parse_args()
    figures: dict[str, Any] = measuring.machine()
    with tempfile.TemporaryDirectory() as directory, _server(Path(directory)) as (settings, port, process):
        write_values(settings)
        measuring.say("Finding the highest rate …")
        throughput(port, one_agent(), 1)
        figures["highest_rate"] = throughput(port, one_agent(), 4 if arguments.minutes >= 1 else 1.5)
        mixed = throughput_of_mix(port, seconds=4 if arguments.minutes >= 1 else 1.5)
        figures["highest_rate_of_the_mix"] = mixed
        rate = arguments.share * mixed
        measuring.say(f"{rate:,.0f} requests/s for {arguments.minutes:g} minutes …")
        soak = Soak(settings, port, process, rate, arguments.minutes * 60)
        soak.run()
    figures |= {"share": arguments.share, "minutes": arguments.minutes, "rate": rate} | soak.figures()
    if arguments.plot:
        _draw(soak, figures, arguments.plot)
    print(json.dumps(figures) if arguments.json else _table(figures))


def bodies() -> list[bytes]:
    """Return ten requests, in the proportion in which they are sent."""
    from detektor_pipelines.catalog import VIEWS

    hundred = body_of([f"{VIEWS[0].name}:{each.name}" for each in VIEWS[0].features], agents_of(VIEWS[0]))
    return [one_agent()] * 4 + [eight_agents()] + [one_agent()] * 3 + [eight_agents(), hundred]


def throughput_of_mix(port: int, seconds: float) -> float:
    """Return the answers a second when clients that ask again at once send the mix."""
    with _Clients(port, CLIENTS) as clients:
        kinds, answered, started = itertools.cycle(bodies()), 0, time.perf_counter()
        while time.perf_counter() - started < seconds:
            while clients.idle:
                clients.send(next(kinds), time.perf_counter())
            answered += len(clients.answers(0.1))
        return answered / (time.perf_counter() - started)


class Soak:
    """One run, and what it has seen: the seconds and instants of all answers, the server's memory once a second."""

    def __init__(self, settings: Settings, port: int, process: subprocess.Popen[bytes], rate: float, seconds: float) -> None:
        self._settings, self._port, self._rate, self.seconds = settings, port, rate, seconds
        self._server = psutil.Process(process.pid)
        self.ended, self.times = array("d"), array("f")
        self.memory: list[tuple[float, float]] = []
        self.sources: dict[str, int] = {}
        self.errors: list[str] = []
        self._over = threading.Event()

    def run(self) -> None:
        """Ask for as long as was said."""
        beside = [threading.Thread(target=each, daemon=True) for each in (self._watch, self._publish)]
        self._started = time.perf_counter()
        for each in beside:
            each.start()
        with _Clients(self._port, CONNECTIONS) as clients:
            self._ask(clients)
            self.errors += clients.errors
            self.sources = clients.sources
        self._over.set()
        for each in beside:
            each.join(20)

    def _ask(self, clients: _Clients) -> None:
        kinds, due, waiting = itertools.cycle(bodies()), self._started, deque[float]()
        while (now := time.perf_counter()) - self._started < self.seconds:
            while due <= now:
                waiting.append(due)
                due += 1 / self._rate
            while waiting and clients.idle:
                clients.send(next(kinds), waiting.popleft())
            for ended, seconds in clients.answers(max(0.0, min(due - time.perf_counter(), 0.05))):
                self.ended.append(ended - self._started)
                self.times.append(seconds)

    def _watch(self) -> None:
        """Note the server's memory, and read its metrics as Prometheus does."""
        import http.client

        while not self._over.wait(1):
            self.memory.append((time.perf_counter() - self._started, self._server.memory_info().rss / 2**20))
            if len(self.memory) % 5 == 0:
                connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
                try:
                    connection.request("GET", "/metrics")
                    if connection.getresponse().status != http.HTTPStatus.OK:
                        self.errors.append("/metrics")
                except OSError as error:
                    self.errors.append(f"/metrics: {error!r}")
                finally:
                    connection.close()

    def _publish(self) -> None:
        from detektor_pipelines.catalog import VIEWS

        for view in itertools.cycle(VIEWS):
            write_values(self._settings, [view])
            if self._over.wait(1):
                return

    def figures(self) -> dict[str, Any]:
        """Return the run's figures."""
        slope, uncertainty = self.slope()
        return {
            "requests": len(self.times),
            "errors": len(self.errors),
            "first_errors": self.errors[:5],
            "sources": self.sources,
            "p50_ms": at(self.times, 50),
            "p99_ms": at(self.times, 99),
            "p999_ms": at(self.times, 99.9),
            "longest_ms": max(self.times) * 1_000,
            "memory_mb": self.memory[-1][1],
            "memory_mb_an_hour": slope,
            "memory_mb_an_hour_plus_minus": uncertainty,
            "over_time": [self._part(number) for number in range(ROWS)],
        }

    def slope(self) -> tuple[float, float]:
        """Return MB an hour by least squares, and twice the standard error of it (the residuals of neighbours are not independent)."""
        counted = [(seconds / 3_600, size) for seconds, size in self.memory if seconds >= WARM_UP * self.seconds]
        hours, sizes = zip(*counted, strict=True)
        fit = statistics.linear_regression(hours, sizes)
        rest = [size - fit.intercept - fit.slope * hour for hour, size in counted]
        spread = sum((hour - statistics.fmean(hours)) ** 2 for hour in hours)
        error = (sum(each**2 for each in rest) / max(1, len(rest) - 2) / spread) ** 0.5
        return fit.slope, 2 * error

    def _part(self, number: int) -> dict[str, float]:
        """Return the figures of one tenth of the time."""
        start, end = (self.seconds * each / ROWS for each in (number, number + 1))
        times = [seconds for ended, seconds in zip(self.ended, self.times, strict=True) if start <= ended < end]
        sizes = [size for seconds, size in self.memory if start <= seconds < end]
        return {
            "until_s": end,
            "requests": len(times),
            "p50_ms": at(times, 50) if times else float("nan"),
            "p99_ms": at(times, 99) if times else float("nan"),
            "longest_ms": max(times, default=float("nan")) * 1_000,
            "memory_mb": statistics.fmean(sizes) if sizes else float("nan"),
        }


class _Clients:
    """Connections that each have one request under way at most."""

    def __init__(self, port: int, number: int) -> None:
        self._connections = [Connection(port, b"") for _ in range(number)]
        self._selector = selectors.DefaultSelector()
        self._due: dict[Connection, float] = {}
        self.idle = list(self._connections)
        self.errors: list[str] = []
        self.sources: dict[str, int] = {}

    def __enter__(self) -> Self:
        for each in self._connections:
            self._selector.register(each.socket, selectors.EVENT_READ, each)
        return self

    def __exit__(self, *_: object) -> None:
        deadline = time.perf_counter() + 30
        while self._due and time.perf_counter() < deadline:
            self.answers(0.1)
        if self._due:
            self.errors += [f"no answer within 30 s: {len(self._due)}"]
        for each in self._connections:
            each.socket.close()
        self._selector.close()

    def send(self, body: bytes, due: float) -> None:
        """Send a request on an idle connection."""
        connection = self.idle.pop()
        connection.set_body(body)
        self._due[connection] = due
        try:
            connection.socket.sendall(connection.request)
        except OSError as error:
            self._failed(connection, error)

    def answers(self, seconds: float) -> list[tuple[float, float]]:
        """Wait for answers: when each came, and how long after it was due."""
        found = []
        for key, _ in self._selector.select(seconds):
            connection = key.data
            try:
                if not connection.heard():
                    continue
            except (OSError, RuntimeError) as error:
                self._failed(connection, error)
                continue
            now = time.perf_counter()
            found.append((now, now - self._due.pop(connection)))
            self.sources[connection.source] = self.sources.get(connection.source, 0) + 1
            self.idle.append(connection)
        return found

    def _failed(self, connection: Connection, error: Exception) -> None:
        self.errors.append(repr(error)[:300])
        self._due.pop(connection, None)
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(connection.socket)
        connection.reopen()
        self._selector.register(connection.socket, selectors.EVENT_READ, connection)
        self.idle.append(connection)


@contextmanager
def _server(directory: Path) -> Iterator[tuple[Settings, int, subprocess.Popen[bytes]]]:
    """Run a Redis and the feature server."""
    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stack.ports import free_port, http_answers
    from detektor_pipelines.stack.servers import embedded

    with embedded.start_redis(directory / "redis") as redis, (directory / "server.log").open("wb") as log:
        settings, port = Settings(home=directory / "home", external_redis_url=redis.url()), free_port()
        command = [str(Path(sys.executable).with_name("detektor")), "serve", "--port", str(port)]
        variables = {
            "DETEKTOR_HOME": str(settings.home),
            "DETEKTOR_EXTERNAL_REDIS_URL": redis.url(),
            "DETEKTOR_SERVE_FALLBACK_SECONDS": "5",
        }
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, env=os.environ | variables)
        try:
            deadline = time.monotonic() + 60
            while not http_answers(port, "/health"):
                if time.monotonic() > deadline or process.poll() is not None:
                    raise RuntimeError((directory / "server.log").read_text(encoding="utf-8")[-3_000:])
                time.sleep(0.1)
            yield settings, port, process
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


def _table(figures: dict[str, Any]) -> str:
    slope = f"{figures['memory_mb_an_hour']:+.2f} ± {figures['memory_mb_an_hour_plus_minus']:.2f} MB an hour"
    highest = f"highest rate {figures['highest_rate']:,.0f} requests/s of one agent, {figures['highest_rate_of_the_mix']:,.0f} of the mix"
    lines = [
        f"{figures['cores']} cores, load {figures['load_before']:.1f} before",
        f"{highest}; {figures['share']:.0%} of that, {figures['rate']:,.0f}/s, for {figures['minutes']:g} minutes",
        f"{figures['requests']:,} requests, {figures['errors']} errors, answered from {figures['sources']}",
        f"p50 {figures['p50_ms']:.2f}, p99 {figures['p99_ms']:.2f}, p99.9 {figures['p999_ms']:.2f}, longest {figures['longest_ms']:.1f} ms",
        f"memory {figures['memory_mb']:.1f} MB, {slope}",
        f"{'until s':>10}{'requests':>12}{'p50 ms':>10}{'p99 ms':>10}{'longest ms':>12}{'memory MB':>12}",
    ]
    return "\n".join(
        lines
        + [
            f"{each['until_s']:>10,.0f}{each['requests']:>12,}{each['p50_ms']:>10.2f}{each['p99_ms']:>10.2f}"
            f"{each['longest_ms']:>12.1f}{each['memory_mb']:>12.1f}"
            for each in figures["over_time"]
        ]
    )


def _draw(soak: Soak, figures: dict[str, Any], file: Path) -> None:
    """Draw latency and memory over time."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    width = max(1.0, soak.seconds / 200)
    parts: dict[int, list[float]] = {}
    for ended, seconds in zip(soak.ended, soak.times, strict=True):
        parts.setdefault(int(ended / width), []).append(seconds)
    minutes = [number * width / 60 for number in sorted(parts)]
    picture, (above, below) = plt.subplots(2, 1, sharex=True, figsize=(9, 6))
    for percent in (50, 99):
        above.plot(minutes, [at(parts[number], percent) for number in sorted(parts)], label=f"p{percent}", linewidth=1)
    above.set(yscale="log", ylabel="ms from when it was due", title=f"{figures['rate']:,.0f} requests/s, {figures['errors']} errors")
    above.legend()
    below.plot([seconds / 60 for seconds, _ in soak.memory], [size for _, size in soak.memory], linewidth=1)
    below.set(xlabel="minutes", ylabel="resident MB", title=f"{figures['memory_mb_an_hour']:+.2f} MB an hour")
    picture.tight_layout()
    picture.savefig(file, dpi=120)


if __name__ == "__main__":
    main()
