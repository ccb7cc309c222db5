"""From an event's commit to its feature in the Feast SDK, beside writers at a steady rate.

    .venv/bin/python benchmarks/live.py [--rate 200] [--seconds 60] [--agents 50] [--history 100000] [--plot live.png] [--json]

PostgreSQL, Redis, the worker (a process of its own), the writers (another) and the reader share this machine. The writers commit one
event a transaction. Further events, `--probes` a second, are waited for: from the moment their commit returned until the Feast SDK's
`get_online_features` gives the greater count, polled without a pause; the time that a read takes is part of the figure. The last line's
`p99_ms` is theirs. `read_ms` is a read by itself, `commit_ms` what a commit took.
"""

from __future__ import annotations

import datetime as dt
import json
import multiprocessing
import os
import random
import signal
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import measuring
from measuring import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detektor_pipelines.settings import Settings

warnings.filterwarnings("ignore")
AGENT: Final = "code-reviewer"
PROBE: Final = "probe"
FEATURE: Final = "code_review_features:recent_reviews_count"
_INSERT: Final = """
WITH identity AS (
    INSERT INTO ml_learning.event_ids (event_id, revision, body_hash, occurred_at)
    VALUES (%(id)s, 1, md5(%(id)s)::uuid, clock_timestamp()) RETURNING event_id, occurred_at
)
INSERT INTO ml_learning.agent_events (event_id, revision, agent_type, raw_name, project, operation, occurred_at, known_at, ingested_at,
    derived, simulated, retracted, source, reader_revision, verdict, issues_found, duration_ms, task_id, review_round)
SELECT event_id, 1, 'code-reviewer', 'bench', %(project)s, 'review', occurred_at, occurred_at, occurred_at,
    false, true, false, 'bench', 1, 'approved', %(issues)s, 60000, %(task)s, 1 FROM identity
"""


def main() -> None:
    """Measure and print."""
    parser = measuring.options(__doc__)
    parser.add_argument("--rate", type=float, default=200.0, help="events a second")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--agents", type=int, default=50, help="projects that the events are spread over")
    parser.add_argument("--history", type=int, default=100_000, help="simulated events of the last 184 days to begin with")
    parser.add_argument("--probes", type=float, default=10.0, help="events a second that are waited for")
    parser.add_argument("--writers", type=int, default=4, help="connections that write")
    parser.add_argument("--plot", type=Path, help="write the latencies as a picture")
    arguments = parser.parse_args()
    figures = measuring.machine() | {"rate": arguments.rate, "seconds": arguments.seconds}
    with measuring.servers() as (settings,):
        latencies = measure(settings, arguments, figures)
    if arguments.plot:
        plot(latencies, figures, arguments.plot)
    if not arguments.json:
        measuring.show(figures, as_json=False)
    print(json.dumps({name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in figures.items()}))


def measure(settings: Settings, arguments: Any, figures: dict[str, Any]) -> list[tuple[float, float]]:
    """Return (second of the run, milliseconds) of every probe; fills the figures."""
    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.simulation.simulator import simulate_table
    from detektor_pipelines.stores.feast import registry as feast_repo
    from detektor_pipelines.stores.raw_log.bulk import append_table

    say(f"Writing {arguments.history} events of history")
    today = dt.datetime.now(dt.UTC).date()
    append_table(settings, simulate_table(days=184, projects=arguments.agents, seed=1, end=today, events=arguments.history))
    _months(settings)
    feast_repo.apply(settings)
    worker = _start_worker(settings)
    try:
        figures["start_s"] = _until_live(settings)
        stop, counts = multiprocessing.Event(), multiprocessing.Value("q", 0)
        writer = multiprocessing.Process(target=write, args=(settings, arguments, stop, counts))
        writer.start()
        with feast_repo.closing_store(settings) as store:
            say(f"{arguments.rate:g} events a second for {arguments.seconds:g} s")
            latencies, commits = _probe(settings, store, arguments, writer)
            reads = [_timed(lambda: _read(store)) for _ in range(200)]
        stop.set()
        writer.join()
        figures["events"] = counts.value
        figures["rate_seen"] = counts.value / arguments.seconds
        figures |= _of_worker(settings, worker.pid, VIEWS)
        figures["commit_ms"] = 1000 * statistics.median(commits)
        figures["read_ms"] = 1000 * statistics.median(reads)
        figures["probes"] = len(latencies)
        ordered = sorted(milliseconds for _, milliseconds in latencies)
        for name, share in (("p50_ms", 0.5), ("p90_ms", 0.9), ("p99_ms", 0.99), ("worst_ms", 1.0)):
            figures[name] = ordered[min(int(share * len(ordered)), len(ordered) - 1)]
        return latencies
    finally:
        os.killpg(worker.pid, signal.SIGTERM)
        worker.wait()


def write(settings: Settings, arguments: Any, stop: Any, counts: Any) -> None:
    """Commit events at the rate, one a transaction, over some connections in threads of one process."""
    import threading

    import psycopg

    def one(number: int) -> None:
        chance, interval = random.Random(number), arguments.writers / arguments.rate
        with psycopg.connect(settings.postgres_dsn, autocommit=True) as connection:
            due, written = time.perf_counter() + interval * number / arguments.writers, 0
            while not stop.is_set():
                time.sleep(max(0.0, due - time.perf_counter()))
                due += interval
                project = f"p{chance.randrange(arguments.agents)}"
                values = {"id": f"load-{number}-{written}", "project": project, "issues": 3, "task": f"t{chance.randrange(100)}"}
                connection.execute(_INSERT, values, prepare=True)
                written += 1
        with counts.get_lock():
            counts.value += written

    threads = [threading.Thread(target=one, args=(number,)) for number in range(arguments.writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _probe(settings: Settings, store: Any, arguments: Any, writer: Any) -> tuple[list[tuple[float, float]], list[float]]:
    """Commit probes and wait for each; returns their latencies and what their commits took (s)."""
    import psycopg

    latencies, commits = [], []
    expected = _read(store) or 0
    started = time.perf_counter()
    with psycopg.connect(settings.postgres_dsn, autocommit=True) as connection:
        while (elapsed := time.perf_counter() - started) < arguments.seconds:
            if not writer.is_alive():
                message = "the writers ended"
                raise RuntimeError(message)
            values = {"id": f"probe-{len(latencies)}", "project": PROBE, "issues": 1, "task": "t"}
            commits.append(_timed(lambda values=values: connection.execute(_INSERT, values, prepare=True)))
            committed = time.perf_counter()
            expected += 1
            while (_read(store) or 0) < expected:
                if time.perf_counter() > committed + 30:
                    message = f"probe {len(latencies)} was not readable within 30 s"
                    raise RuntimeError(message)
            latencies.append((elapsed, 1000 * (time.perf_counter() - committed)))
            time.sleep(random.expovariate(arguments.probes))
    return latencies, commits


def _read(store: Any) -> int | None:
    answer = store.get_online_features(features=[FEATURE], entity_rows=[{"agent_id": f"{AGENT}@{PROBE}"}]).to_dict()
    return answer["recent_reviews_count"][0]


def _timed(run: Any) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def _months(settings: Settings) -> None:
    """Make this month's partition; the writers write into it directly."""
    from detektor_pipelines.clock import from_us, now_us
    from detektor_pipelines.stores.connections import connect

    first = from_us(now_us()).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    after = (first.replace(day=28) + dt.timedelta(days=4)).replace(day=1)
    name = f"ml_learning.agent_events_y{first:%Y}m{first:%m}"
    span = f"FROM ('{first}') TO ('{after}')"
    with connect(settings) as connection:
        connection.execute(f"CREATE TABLE IF NOT EXISTS {name} PARTITION OF ml_learning.agent_events FOR VALUES {span}")


def _start_worker(settings: Settings) -> subprocess.Popen[bytes]:
    environment = os.environ | {
        "DETEKTOR_HOME": str(settings.home),
        "DETEKTOR_EXTERNAL_POSTGRES_URL": settings.external_postgres_url or "",
        "DETEKTOR_EXTERNAL_REDIS_URL": settings.external_redis_url or "",
    }
    command = [str(Path(sys.executable).with_name("detektor")), "stream", "--quiet"]
    return subprocess.Popen(command, env=environment, start_new_session=True, stderr=subprocess.DEVNULL)


def _until_live(settings: Settings) -> float:
    from detektor_pipelines.stream.run import workers

    started = time.perf_counter()
    while time.perf_counter() < started + 120:
        if any(each["loads"] and not each["behind"] for each in workers(settings)):
            return time.perf_counter() - started
        time.sleep(0.02)
    message = "the worker did not become live within two minutes"
    raise RuntimeError(message)


def _of_worker(settings: Settings, pid: int, views: Sequence[Any]) -> dict[str, Any]:
    """What the worker says of itself, what it has used, and whether its values are batch's."""
    import psutil

    from detektor_pipelines.quality.parity.check import check
    from detektor_pipelines.stream.run import workers

    process = psutil.Process(pid)
    busy = process.cpu_times()
    (state,) = workers(settings)
    parity = check(settings, views, 64)
    return {
        "worker_load_s": state["load_seconds"],
        "worker_cpu_s": busy.user + busy.system,
        "worker_rss_mb": process.memory_info().rss / 2**20,
        "worker_keys": state["keys"],
        "parity_compared": sum(each.compared for each in parity),
        "parity_mismatches": sum(len(each.mismatches) for each in parity),
    }


def plot(latencies: Sequence[tuple[float, float]], figures: dict[str, Any], path: Path) -> None:
    """Draw each probe over the run, and their distribution."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (over, spread) = plt.subplots(1, 2, figsize=(11, 4), width_ratios=(2, 1), layout="constrained")
    over.plot(*zip(*latencies, strict=True), ".", markersize=3)
    over.axhline(figures["p99_ms"], color="tab:red", linewidth=1, label=f"p99 {figures['p99_ms']:.1f} ms")
    over.set(xlabel="second of the run", ylabel="commit to readable, ms", yscale="log", title=f"{figures['rate']:g} events/s")
    over.legend()
    ordered = sorted(milliseconds for _, milliseconds in latencies)
    spread.plot(ordered, [100 * (number + 1) / len(ordered) for number in range(len(ordered))])
    spread.set(xlabel="ms", ylabel="% of probes", xscale="log", title="distribution")
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
