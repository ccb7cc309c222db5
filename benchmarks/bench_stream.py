"""The stream worker by itself: its start, a burst, a midnight, its memory; then several workers, and PostgreSQL as their log.

    .venv/bin/python benchmarks/bench_stream.py [--history 1000000] [--keys 10000] [--burst 100000] [--workers 4] [--rate 5000]
        [--seconds 20] [--senders 1,4,8,16,32] [--results benchmarks/results] [--json]

The history is simulated, 184 days of eight agents; on top of it each of `--keys` projects of the code-reviewer has three reviews on the
days before, so that as many agent_ids are in the windows. `start_s` is from nothing to every key written. The burst is committed in
transactions of ten events while the worker is away and then worked off tick by tick; `burst_own_cpu_share` is the worker's part of a core
meanwhile, the rest of the time it waited for PostgreSQL and Redis. At midnight the windows of 30 days let a day of all keys go at once:
the lag is how long the tick took in which they did.

`together_`: so many workers, each a process, follow writers that commit `--rate` events a second of one agent in 1,000 projects, so that
one worker's roll-up key hears all of them; `catch_up_s` is from the last commit to the moment when the roll-up and the sum of the projects
are what was written, both read by the Feast SDK. `…_cores`: processor time of the workers and of PostgreSQL, a second; `…_us_an_event`
that of one worker an event, on the average or the busiest one's. `log_`: the same when nothing holds the writers back. `senders`: without
workers, so many processes append as quickly as they can, each a hundred events a transaction; `log_events_a_postgres_core` is what a core
of PostgreSQL took at the highest of these rates. `bytes_an_event` is what a worker's process holds more over the history than over an
empty log, by the events in its windows.
`--results` writes stream.json, of which the capacity model (`capacity.py`) is made.
"""

from __future__ import annotations

import datetime as dt
import json
import multiprocessing
import os
import signal
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import measuring
from measuring import say

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stream.worker import Worker

MIDNIGHT: Final = dt.datetime.combine(measuring.END, dt.time(), dt.UTC)
_DAY: Final = dt.timedelta(days=1)


def main() -> None:
    """Measure and print."""
    parser = measuring.options(__doc__)
    parser.add_argument("--history", type=int, default=1_000_000)
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--burst", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=4, help="that share the keys; 0 leaves that part out")
    parser.add_argument("--rate", type=float, default=5_000.0, help="events a second for them")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--senders", default="1,4,8,16,32", help="how many append at once, in turn")
    parser.add_argument("--results", type=Path, help="directory to write stream.json to")
    arguments = parser.parse_args()
    figures = measuring.machine() | vars(arguments)
    for name in ("json", "results", "senders"):
        figures.pop(name)
    with measuring.servers() as (settings,):
        measure(settings, arguments, figures)
    if arguments.workers:
        os.environ.pop("DETEKTOR_NOW")
        with measuring.servers() as (settings,):
            together(settings, arguments, figures)
            appending(settings, arguments, figures)
    if arguments.results:
        figures |= {"date": f"{dt.datetime.now(dt.UTC):%Y-%m-%d}"}
        rounded = {name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in figures.items()}
        (arguments.results / "stream.json").write_text(json.dumps(rounded, indent=1) + "\n", encoding="utf-8")
    measuring.show(figures, as_json=arguments.json)


def measure(settings: Settings, arguments: Any, figures: dict[str, Any]) -> None:
    """Fill the figures."""
    import resource

    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.stores.raw_log.bulk import append_table
    from detektor_pipelines.stream.worker import Worker

    say(f"Writing {arguments.history} events of history and {arguments.keys} further agent_ids")
    append_table(settings, measuring.history(arguments.history, 20, 184))
    append_table(settings, reviews(3 * arguments.keys, arguments.keys, MIDNIGHT - 3 * _DAY, 2 * _DAY, "k"))
    clock_at(MIDNIGHT - dt.timedelta(minutes=5))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with _workers(settings, 1) as (process,):
        figures["worker_mb"] = _process(process).memory_info().rss / 2**20
    with Worker(settings, VIEWS) as worker:
        started = time.perf_counter()
        worker.tick()
        figures["start_s"] = time.perf_counter() - started
        figures["keys_in_windows"] = worker.health.keys
        figures["rss_mb"] = current_rss()
        figures["rss_peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        figures["rss_before_mb"] = before / 1024
        figures["events_in_windows"] = in_windows(settings)
        say(f"A burst of {arguments.burst}")
        commit_in_tens(settings, reviews(arguments.burst, 200, MIDNIGHT - dt.timedelta(minutes=10), dt.timedelta(minutes=4), "b"))
        burst(worker, figures)
        say("Midnight, and the midnight after which the reviews of a day are 30 days old")
        clock_at(MIDNIGHT + 28 * _DAY - dt.timedelta(seconds=1))
        worker.tick()
        clock_at(MIDNIGHT + 28 * _DAY + dt.timedelta(microseconds=1))
        written, started = worker.health.values, time.perf_counter()
        worker.tick()
        figures["midnight_lag_ms"] = 1000 * (time.perf_counter() - started)
        figures["midnight_values"] = worker.health.values - written


def burst(worker: Worker, figures: dict[str, Any]) -> None:
    """Work off what was committed."""
    events, ticks = worker.health.events, 0
    started, busy = time.perf_counter(), time.process_time()
    while worker.tick() or worker.health.behind:
        ticks += 1
    seconds = time.perf_counter() - started
    figures["burst_events_s"] = (worker.health.events - events) / seconds
    figures["burst_ticks"] = ticks
    figures["burst_own_cpu_share"] = (time.process_time() - busy) / seconds


def in_windows(settings: Settings) -> int:
    """Count the events of the eight agents in the longest window."""
    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.stores.connections import connect

    with connect(settings) as connection:
        row = connection.execute(
            "SELECT count(*) FROM ml_learning.agent_events WHERE occurred_at > %s AND agent_type = ANY(%s)",
            (MIDNIGHT - 30 * _DAY, [view.agent for view in VIEWS]),
        ).fetchone()
    return int(row[0]) if row else 0


# Several workers ---------------------------------------------------------------------------------------------------------------

PROJECTS: Final = 1_000
WRITERS: Final = 2
TURN_S: Final = 0.02
"""Each writer commits so often, what is due by then in one transaction."""
BATCH: Final = 100
"""Without a rate: events a transaction."""
LONGEST_S: Final = 5.0
"""Each number of senders appends so long at most."""

_INSERT: Final = """
WITH due AS (
    SELECT %(writer)s::text || '-' || n AS event_id, 'p' || (n * 7919::bigint) %% %(projects)s::integer AS project
    FROM generate_series(%(first)s::integer, %(last)s::integer) n
),
identity AS (
    INSERT INTO ml_learning.event_ids (event_id, revision, body_hash, occurred_at)
    SELECT event_id, 1, md5(event_id)::uuid, clock_timestamp() FROM due RETURNING event_id, occurred_at
)
INSERT INTO ml_learning.agent_events (event_id, revision, agent_type, raw_name, project, operation, occurred_at, known_at, ingested_at,
    derived, simulated, retracted, source, reader_revision, verdict, issues_found, duration_ms, task_id, review_round)
SELECT event_id, 1, 'code-reviewer', 'bench', project, 'review', occurred_at, occurred_at, occurred_at,
    false, true, false, 'bench', 1, 'approved', 3, 60000, 't', 1 FROM identity JOIN due USING (event_id)
"""


def together(settings: Settings, arguments: Any, figures: dict[str, Any]) -> None:
    """Let several workers follow a steady rate, then as much as can be written."""
    import live

    from detektor_pipelines.stores.feast import registry as feast_repo

    live._months(settings)  # noqa: SLF001 - this month's partition, as the other benchmark of live values makes it
    feast_repo.apply(settings)
    written = 0
    say("Starting the workers")
    with feast_repo.closing_store(settings) as store, _workers(settings, arguments.workers) as processes:
        figures["together_shards"] = _shards(settings)
        figures["empty_mb"] = sum(_process(each).memory_info().rss for each in processes) / len(processes) / 2**20
        figures["bytes_an_event"] = 2**20 * (figures["worker_mb"] - figures["empty_mb"]) / figures["events_in_windows"]
        for name, rate in (("together", arguments.rate), ("log", 0.0)):
            say(f"{arguments.workers} workers, {rate or 'unlimited':} events a second for {arguments.seconds:g} s")
            workers, postgres, started = _busy(processes), _busy_postgres(settings), time.perf_counter()
            number, seconds = _write(settings, rate, arguments.seconds, name)
            committed = time.perf_counter()
            written += number
            _wait_for(store, written)
            figures[f"{name}_events_s"] = number / seconds
            figures[f"{name}_catch_up_s"] = time.perf_counter() - committed
            spent = time.perf_counter() - started
            took = [after - before for after, before in zip(_busy(processes), workers, strict=True)]
            figures[f"{name}_busiest_worker_cores"] = max(took) / spent
            figures[f"{name}_workers_cores"] = sum(took) / spent
            figures[f"{name}_postgres_cores"] = (_busy_postgres(settings) - postgres) / spent
            figures[f"{name}_us_an_event"] = 1e6 * sum(took) / len(took) / number
            figures[f"{name}_busiest_us_an_event"] = 1e6 * max(took) / number
        figures["together_rss_mb"] = [round(_process(each).memory_info().rss / 2**20) for each in processes]


def appending(settings: Settings, arguments: Any, figures: dict[str, Any]) -> None:
    """Let more and more senders append with nobody else there: the rate at which PostgreSQL as the log ends."""
    found = []
    for senders in map(int, arguments.senders.split(",")):
        seconds = min(arguments.seconds, LONGEST_S)
        say(f"{senders} senders for {seconds:g} s")
        before = _busy_postgres(settings)
        number, took = _write(settings, 0.0, seconds, f"alone-{senders}", senders)
        busy = _busy_postgres(settings) - before
        figure = {"senders": senders, "events_s": number / took, "postgres_cores": busy / took, "events_a_postgres_core": number / busy}
        found.append({name: round(value, 2) for name, value in figure.items()})
    figures["senders"] = found
    most = max(found, key=lambda each: each["events_s"])
    figures["log_end_events_s"], figures["log_events_a_postgres_core"] = most["events_s"], most["events_a_postgres_core"]


@contextmanager
def _workers(settings: Settings, number: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Run so many workers, once they have shared the shards out; ends them."""
    import live

    from detektor_pipelines.stores.online.values import SHARDS

    processes = [live._start_worker(settings) for _ in range(number)]  # noqa: SLF001 - the other benchmark's
    try:
        deadline = time.monotonic() + 120
        while len(found := _shards(settings)) != number or sum(found) != SHARDS or max(found) > -(-SHARDS // number):
            if time.monotonic() > deadline:
                message = f"the workers did not share the shards out within two minutes: {found}"
                raise RuntimeError(message)
            time.sleep(0.1)
        yield processes
    finally:
        for each in processes:
            os.killpg(each.pid, signal.SIGTERM)
        for each in processes:
            each.wait()


def _shards(settings: Settings) -> list[int]:
    from detektor_pipelines.stream.run import workers

    return [len(each["shards"]) for each in workers(settings) if each["loads"] and not each["behind"]]


def _write(settings: Settings, rate: float, seconds: float, name: str, writers: int = WRITERS) -> tuple[int, float]:
    """Commit from so many processes; returns how many events, and the seconds from the first one's begin to the last one's end."""
    counts, together = multiprocessing.Queue(), multiprocessing.Barrier(writers)
    arguments = [(settings, rate / writers, seconds, f"{name}-{number}", counts, together) for number in range(writers)]
    processes = [multiprocessing.Process(target=_one_writer, args=each) for each in arguments]
    for each in processes:
        each.start()
    for each in processes:
        each.join()
    if any(each.exitcode for each in processes):
        message = "a writer ended with an error"
        raise RuntimeError(message)
    written, began, ended = zip(*(counts.get() for _ in processes), strict=True)
    return sum(written), max(ended) - min(began)


def _one_writer(settings: Settings, rate: float, seconds: float, name: str, counts: Any, together: Any) -> None:
    """Commit what is due, each TURN_S; without a rate a hundred events after another. All writers begin together."""
    import psycopg

    with psycopg.connect(settings.postgres_dsn, autocommit=True) as connection:
        together.wait(60)
        written, elapsed, started = 0, 0.0, time.perf_counter()
        while elapsed < seconds:
            if rate and written:
                time.sleep(TURN_S)
            elapsed = min(time.perf_counter() - started, seconds)
            due = round(elapsed * rate) - written if rate else BATCH
            if due:
                values = {"writer": name, "projects": PROJECTS, "first": written, "last": written + due - 1}
                connection.execute(_INSERT, values, prepare=True)
                written += due
        counts.put((written, started, time.perf_counter()))


def _wait_for(store: Any, number: int) -> None:
    """Wait until the agent across projects has so many events, and its projects together as many; ends the benchmark after minutes."""
    agents = ["code-reviewer", *(f"code-reviewer@p{project}" for project in range(PROJECTS))]
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        rows = [{"agent_id": agent} for agent in agents]
        answer = store.get_online_features(features=["code_review_features:weekly_reviews_count"], entity_rows=rows).to_dict()
        rollup, *projects = (value or 0 for value in answer["weekly_reviews_count"])
        if rollup == sum(projects) == number:
            return
        time.sleep(0.05)
    message = f"of {number} events the agent across projects has {rollup}, its projects {sum(projects)}"
    raise RuntimeError(message)


def _busy(processes: Sequence[subprocess.Popen[bytes]]) -> list[float]:
    """Return the processor time that each worker has used so far."""
    return [sum(_process(each).cpu_times()[:2]) for each in processes]


def _busy_postgres(settings: Settings) -> float:
    """Return the processor time that PostgreSQL has used so far."""
    import psutil

    from detektor_pipelines.stores.connections import connect

    with connect(settings) as connection:
        row = connection.execute("SELECT pg_backend_pid()").fetchone()
        server = psutil.Process(row[0] if row else os.getpid()).parent() or psutil.Process()
    own = server.cpu_times()
    # What ends meanwhile counts for its parent.
    seconds = own.user + own.system + own.children_user + own.children_system
    for each in server.children():
        with suppress(psutil.NoSuchProcess):
            seconds += sum(each.cpu_times()[:2])
    return float(seconds)


def _process(started: subprocess.Popen[bytes]) -> Any:
    import psutil

    return psutil.Process(started.pid)


def reviews(number: int, projects: int, start: dt.datetime, span: dt.timedelta, name: str) -> pa.Table:
    """Reviews spread evenly over a span and over projects."""
    import pyarrow as pa

    instants = [start + span * (position / number) for position in range(number)]
    stamps = pa.array(instants, pa.timestamp("us", "UTC"))
    return pa.table(
        {
            "event_id": [f"{name}-{position}" for position in range(number)],
            "agent_type": ["code-reviewer"] * number,
            "raw_name": ["bench"] * number,
            "project": [f"{name}{position % projects}" for position in range(number)],
            "operation": ["review"] * number,
            "occurred_at": stamps,
            "known_at": stamps,
            "ingested_at": stamps,
            "source": ["bench"] * number,
            "simulated": [True] * number,
            "duration_ms": [1000 * (position % 900) for position in range(number)],
            "issues_found": [position % 7 for position in range(number)],
            "verdict": ["approved" if position % 3 else "rejected" for position in range(number)],
            "task_id": [f"t{position % 500}" for position in range(number)],
        }
    )


def commit_in_tens(settings: Settings, table: pa.Table) -> None:
    """Insert a table, ten events a transaction, as live writers would."""
    import psycopg

    rows = table.append_column("revision", [[1] * table.num_rows]).append_column("reader_revision", [[1] * table.num_rows])
    for flag in ("derived", "retracted"):
        rows = rows.append_column(flag, [[False] * table.num_rows])
    names = rows.column_names
    insert = f"INSERT INTO ml_learning.agent_events ({', '.join(names)}) VALUES ({', '.join(f'%({name})s' for name in names)})"
    records = rows.to_pylist()
    with psycopg.connect(settings.postgres_dsn, options="-c synchronous_commit=off") as connection, connection.cursor() as cursor:
        for start in range(0, len(records), 10):
            cursor.executemany(insert, records[start : start + 10])
            connection.commit()


def clock_at(instant: dt.datetime) -> None:
    """Set the platform's clock."""
    os.environ["DETEKTOR_NOW"] = instant.isoformat()


def current_rss() -> float:
    """Return the resident memory of this process, MB."""
    import psutil

    return float(psutil.Process().memory_info().rss / 2**20)


if __name__ == "__main__":
    main()
