"""What a number of developers needs, and what breaks first when there are more: a model whose constants are the benchmarks' figures.

    .venv/bin/python benchmarks/capacity.py [DEVELOPERS] [--months 6] [--projects N] [--agents 8] [--tool-calls-a-day 185] [--json]
    .venv/bin/python benchmarks/capacity.py --page [--results benchmarks/results]

Constants come from results/side_by_side.json and results/stream.json, which `make bench` writes; assumptions are the constants in capitals
below and the options. `--page` writes the tables of docs/scaling.md anew, which says what to do with the answer; a test holds them to this
model, others hold the model to simulated histories.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

RESULTS: Final = Path(__file__).resolve().parent / "results"
PAGE: Final = Path(__file__).resolve().parents[1] / "docs/scaling.md"
BEGIN: Final = "<!-- Made by `benchmarks/capacity.py --page`: do not change by hand. -->"
END: Final = "<!-- Up to here. -->"
STREAM_BEGIN: Final = "<!-- Stream: made by `benchmarks/capacity.py --page` too. -->"
STREAM_END: Final = "<!-- Up to here, too. -->"

TOOL_CALLS_A_DAY: Final = 185.0
"""A developer's agents, on a calendar day: 34 million of 1,000 developers in six months. Each is taken for an event of one of the agents,
which is the most that it can be."""

RECORDS_A_TOOL_CALL: Final = 150 / 34
"""Lines of the logs; only ingest sees them."""

PEAK: Final = 23.0
"""Busiest second over the mean one: 50 against 2.1 tool calls a second for 1,000 developers."""

WINDOW_DAYS: Final = 30
"""The longest window: what the stream keeps in memory and a backfill of one day reads."""

MONTH_DAYS: Final = 365.25 / 12
HEADROOM: Final = 2.0
"""Cores, memory and disk are bought this many times."""

PRICES: Final = {"core_month": 30.0, "memory_gb_month": 4.0, "disk_gb_month": 0.12}
"""US$, about what the large clouds' list prices on demand were in 2026; one's own are options."""


@dataclass(frozen=True, slots=True)
class Constants:
    """What one event, row or key costs, as measured. Times are processor seconds, sizes bytes.

    Attributes:
        hours_an_event: Hours of an agent_id in which something happened, for each event, where events are few.
        busy_hours_a_day: How many such hours an agent_id has on a day at most, however many events there are.
        rows_an_hour: Rows that follow from one such hour, where hours are few: it enters, and leaves each window.
        rows_a_day: How many rows an agent_id has on a day at most.
        log_fixed: Of the log's tables and indexes, empty.
        log_an_event: Of the log, with indexes and identities.
        rows_fixed: Of the rows' tables, empty.
        bytes_a_row: With its index.
        bytes_a_key: Of a value in Redis, by MEMORY USAGE.
        append_s: Of the process that appends, an event.
        backfill_fixed_s: Of a backfill of all views, whatever its size.
        backfill_s: Of a backfill, an event.
        backfill_mb: Peak of the largest backfill that was measured.
        requests_a_second: Of one feature server, an agent × 12 a request.
        stream_events_a_second: What one worker works off on a core of its own.
        shared_events_a_second: The same of four workers: each reads every event, the busiest one has the roll-up of all.
        stream_mb: Of a worker without events.
        stream_bytes_an_event: Of a worker, an event in its windows.
        log_events_a_second: What a core of PostgreSQL as the log takes.

    """

    hours_an_event: float
    busy_hours_a_day: float
    rows_an_hour: float
    rows_a_day: float
    log_fixed: float
    log_an_event: float
    rows_fixed: float
    bytes_a_row: float
    bytes_a_key: float
    append_s: float
    backfill_fixed_s: float
    backfill_s: float
    backfill_mb: float
    requests_a_second: float
    stream_events_a_second: float
    shared_events_a_second: float
    stream_mb: float
    stream_bytes_an_event: float
    log_events_a_second: float


@dataclass(frozen=True, slots=True)
class Load:
    """What there is to carry.

    Attributes:
        events: In all `days`.
        days: How many are kept.
        agent_ids: Agents of projects, and agents across them.
        reads_an_event: Requests for features, an event.

    """

    events: float
    days: float
    agent_ids: float
    reads_an_event: float = 1.0


@dataclass(frozen=True, slots=True)
class Needs:
    """What that takes; rates are of the busiest second, GB are 10⁹ bytes."""

    events_a_second: float
    peak_events_a_second: float
    rows_a_day: float
    rows: float
    log_gb: float
    rows_gb: float
    redis_gb: float
    stream_gb: float
    backfill_core_hours: float
    cores: float
    memory_gb: float
    disk_gb: float
    dollars_a_month: float


def constants(side_by_side: dict[str, Any], stream: dict[str, Any]) -> Constants:
    """Read the constants off the figures of the smallest and the largest log that were measured."""
    sizes = sorted(side_by_side["windows"].values(), key=lambda size: float(size["events"]))
    small, large = sizes[0], sizes[-1]
    of = large["costs"]
    agent_days = of["agent_ids"] * large["days"]
    hours_an_event = small["costs"]["agent_hours"] / small["events"]
    rows_an_hour = small["costs"]["rows"] / small["costs"]["agent_hours"]
    log = _line([(size["events"], size["costs"]["log_bytes"]) for size in sizes])
    rows = _line([(size["costs"]["rows"], size["costs"]["row_bytes"]) for size in sizes])
    backfill = _line([(size["events"], size["ways"]["ours"]["cpu_s"]) for size in sizes])
    return Constants(
        hours_an_event=hours_an_event,
        busy_hours_a_day=_ceiling(large["events"] * hours_an_event / agent_days, of["agent_hours"] / agent_days),
        rows_an_hour=rows_an_hour,
        rows_a_day=_ceiling(of["agent_hours"] * rows_an_hour / agent_days, of["rows"] / agent_days),
        log_fixed=log[0],
        log_an_event=log[1],
        rows_fixed=rows[0],
        bytes_a_row=rows[1],
        bytes_a_key=of["redis_bytes_a_key"],
        append_s=of["append_cpu_s"] / large["events"],
        backfill_fixed_s=backfill[0],
        backfill_s=backfill[1],
        backfill_mb=large["ways"]["ours"]["peak_mb"],
        requests_a_second=side_by_side["serving"]["requests_per_second_of"]["ours"],
        stream_events_a_second=stream["burst_events_s"] / stream["burst_own_cpu_share"],
        shared_events_a_second=1e6 / stream["together_busiest_us_an_event"],
        stream_mb=stream["empty_mb"],
        stream_bytes_an_event=stream["bytes_an_event"],
        log_events_a_second=stream["log_events_a_postgres_core"],
    )


def read_constants(results: Path = RESULTS) -> Constants:
    """Read the constants of the results that are in the repository."""
    return constants(*(json.loads((results / name).read_text(encoding="utf-8")) for name in ("side_by_side.json", "stream.json")))


def rows_of(load: Load, of: Constants) -> float:
    """Predict the rows of all views: an hour makes rows where something entered a window or left one, and no hour makes two."""
    agent_days = load.agent_ids * load.days
    hours = agent_days * _saturated(load.events * of.hours_an_event / agent_days, of.busy_hours_a_day)
    return agent_days * _saturated(hours * of.rows_an_hour / agent_days, of.rows_a_day)


def needs(load: Load, of: Constants, prices: dict[str, float] = PRICES) -> Needs:
    """Say what a load takes."""
    mean = load.events / load.days / 86_400
    peak = mean * PEAK
    rows = rows_of(load, of)
    log_gb = (of.log_fixed + load.events * of.log_an_event) / 1e9
    rows_gb = (of.rows_fixed + rows * of.bytes_a_row) / 1e9
    redis_gb = load.agent_ids * of.bytes_a_key / 1e9
    held = load.events / load.days * min(load.days, WINDOW_DAYS)
    stream_gb = (of.stream_mb * 1e6 + held * of.stream_bytes_an_event) / 1e9
    backfill = of.backfill_fixed_s + load.events * of.backfill_s
    # At the peak: appending, folding, answering; a backfill of everything within eight hours of a night.
    cores = max(peak * (of.append_s + 1 / of.stream_events_a_second + load.reads_an_event / of.requests_a_second), backfill / (8 * 3_600))
    cores = max(2.0, math.ceil(cores * HEADROOM))
    # The newest month of the log in PostgreSQL's cache, and what Redis, the stream and a backfill hold.
    cache = log_gb * min(1.0, WINDOW_DAYS / load.days)
    memory = math.ceil(HEADROOM * (cache + redis_gb + stream_gb + of.backfill_mb / 1e3))
    disk = math.ceil(HEADROOM * (log_gb + rows_gb + redis_gb))
    dollars = cores * prices["core_month"] + memory * prices["memory_gb_month"] + disk * prices["disk_gb_month"]
    return Needs(
        events_a_second=mean,
        peak_events_a_second=peak,
        rows_a_day=rows / load.days,
        rows=rows,
        log_gb=log_gb,
        rows_gb=rows_gb,
        redis_gb=redis_gb,
        stream_gb=stream_gb,
        backfill_core_hours=backfill / 3_600,
        cores=cores,
        memory_gb=memory,
        disk_gb=disk,
        dollars_a_month=dollars,
    )


@dataclass(frozen=True, slots=True)
class Limit:
    """What one of a thing carries, and what to do beyond it."""

    what: str
    of: Callable[[Needs, Constants], float]
    most: Callable[[Constants], float]
    then: str


LIMITS: Final = (
    Limit(
        "one stream worker's rate (events/s at the peak)",
        lambda needs, _: needs.peak_events_a_second,
        lambda of: of.stream_events_a_second,
        "more workers: eight shards, taken by leases",
    ),
    Limit(
        "one stream worker's memory (16 GB)",
        lambda needs, _: needs.stream_gb,
        lambda _: 16.0,
        "more workers: each holds its shards' windows",
    ),
    Limit(
        "four stream workers' rate (events/s at the peak): each reads every event",
        lambda needs, _: needs.peak_events_a_second,
        lambda of: of.shared_events_a_second,
        "an installation for each group of projects",
    ),
    Limit(
        "PostgreSQL as the live log (events/s at the peak)",
        lambda needs, _: needs.peak_events_a_second,
        lambda of: of.log_events_a_second,
        "Kafka before it, appended in batches (`detektor consume`)",
    ),
    Limit(
        "one PostgreSQL's disk (2 TB of log and rows)",
        lambda needs, _: needs.log_gb + needs.rows_gb,
        lambda _: 2_000.0,
        "retention; months of the log in Parquet; a database a group of projects",
    ),
    Limit(
        "a backfill of everything on eight cores within a night (64 core hours)",
        lambda needs, _: needs.backfill_core_hours,
        lambda _: 64.0,
        "Spark with the same definitions (`--engine spark`)",
    ),
    Limit("one Redis (64 GB)", lambda needs, _: needs.redis_gb, lambda _: 64.0, "Redis Cluster: keys are agent_ids, no command spans two"),
    Limit(
        "one feature server (requests/s at the peak)",
        lambda needs, _: needs.peak_events_a_second,
        lambda of: of.requests_a_second,
        "more copies: they share nothing",
    ),
)


def breaks(developers: Load, of: Constants) -> list[tuple[float, Limit]]:
    """Say at how many times a load each limit is reached, the first one first."""
    found = []
    for limit in LIMITS:
        low, high = 1e-6, 1e9
        while high / low > 1.001:
            middle = math.sqrt(low * high)
            low, high = (low, middle) if limit.of(needs(times(developers, middle), of), of) > limit.most(of) else (middle, high)
        found.append((low, limit))
    return sorted(found, key=lambda pair: pair[0])


def times(load: Load, factor: float) -> Load:
    """Return so many times the load: as many times the projects, each as busy as before."""
    return replace(load, events=load.events * factor, agent_ids=load.agent_ids * factor)


def load_of(developers: float, *, months: float = 6, projects: float = 0, agents: int = 8, calls: float = TOOL_CALLS_A_DAY) -> Load:
    """Return what so many developers make: by default a project each."""
    days = months * MONTH_DAYS
    return Load(events=developers * calls * days, days=days, agent_ids=agents * ((projects or developers) + 1))


def main() -> None:
    """Answer for a number of developers, and for 10, 100 and 1,000 times as many."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("developers", nargs="?", type=float, default=1_000)
    parser.add_argument("--months", type=float, default=6)
    parser.add_argument("--projects", type=float, default=0, help="by default as many as developers")
    parser.add_argument("--agents", type=int, default=8)
    parser.add_argument("--tool-calls-a-day", type=float, default=TOOL_CALLS_A_DAY, help="of a developer")
    for name, price in PRICES.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=price, help="US$")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--page", action="store_true", help="write the tables of docs/scaling.md; of other results, a copy beside them")
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    if given.page:
        to = PAGE if given.results.resolve() == RESULTS else given.results / PAGE.name
        to.write_text(with_tables(PAGE.read_text(encoding="utf-8"), given.results), encoding="utf-8")
    load = load_of(given.developers, months=given.months, projects=given.projects, agents=given.agents, calls=given.tool_calls_a_day)
    of, prices = read_constants(given.results), {name: getattr(given, name) for name in PRICES}
    if given.json:
        print(json.dumps({"load": asdict(load), "needs": asdict(needs(load, of, prices)), "constants": asdict(of)}))
    else:
        print("\n".join(table(given.developers, load, of, prices)))


ROWS: Final = (
    ("events", lambda load, _: load.events),
    ("records read by ingest", lambda load, _: load.events * RECORDS_A_TOOL_CALL),
    ("agent_ids", lambda load, _: load.agent_ids),
    ("events/s, mean", lambda _, found: found.events_a_second),
    ("events/s, busiest", lambda _, found: found.peak_events_a_second),
    ("rows a day", lambda _, found: found.rows_a_day),
    ("rows", lambda _, found: found.rows),
    ("log in PostgreSQL, GB", lambda _, found: found.log_gb),
    ("rows in PostgreSQL, GB", lambda _, found: found.rows_gb),
    ("Redis, GB", lambda _, found: found.redis_gb),
    ("stream's windows, GB", lambda _, found: found.stream_gb),
    ("backfill of all, core hours", lambda _, found: found.backfill_core_hours),
    ("cores", lambda _, found: found.cores),
    ("memory, GB", lambda _, found: found.memory_gb),
    ("disk, GB", lambda _, found: found.disk_gb),
    ("US$ a month", lambda _, found: found.dollars_a_month),
)
FACTORS: Final = (1, 10, 100, 1_000)


def figures(load: Load, of: Constants, prices: dict[str, float] = PRICES) -> list[tuple[str, list[str]]]:
    """Return the table's rows: what it is, and its figure for each of FACTORS."""
    columns = [(times(load, factor), needs(times(load, factor), of, prices)) for factor in FACTORS]
    return [(name, [_short(read(each, found)) for each, found in columns]) for name, read in ROWS]


def table(developers: float, load: Load, of: Constants, prices: dict[str, float]) -> list[str]:
    """Lay the answer out in 80 columns."""
    lines = [f"{'developers':<28}" + "".join(f"{_short(developers * factor):>12}" for factor in FACTORS)]
    lines += [f"{name:<28}" + "".join(f"{each:>12}" for each in values) for name, values in figures(load, of, prices)]
    lines += ["", "What breaks first, at how many times this, and what then:"]
    for factor, limit in breaks(load, of):
        lines += [f"{_short(factor):>8} ×  {limit.what}", f"            {limit.then}"]
    return lines


def with_tables(page: str, results: Path = RESULTS) -> str:
    """Return the page with its tables made of the results, for 1,000 developers and so many times as many."""
    load, of = load_of(1_000), read_constants(results)
    needed = ["| developers | " + " | ".join(_short(1_000 * factor) for factor in FACTORS) + " |", "|---|" + "---:|" * len(FACTORS)]
    needed += [f"| {name} | {' | '.join(values)} |" for name, values in figures(load, of)]
    needed += ["", "| at × 1,000 developers | what ends | what then |", "|---:|---|---|"]
    needed += [f"| {_short(factor)} | {limit.what} | {limit.then} |" for factor, limit in breaks(load, of)]
    stream = json.loads((results / "stream.json").read_text(encoding="utf-8"))
    shards = ", ".join(map(str, stream["together_shards"]))
    on = f"on {stream['cores']} cores, load {stream['load_before']:.1f} before, on {stream['date']}"
    measured = [f"{stream['workers']} workers ({shards} shards) {on}:", ""]
    measured += [f"| | {stream['rate']:,.0f} events/s asked for | nothing held back |", "|---|---:|---:|"]
    for name, what in STREAM_ROWS:
        measured.append(f"| {what} | {_figure(stream[f'together_{name}'])} | {_figure(stream[f'log_{name}'])} |")
    measured += ["", "Without workers, more and more senders, each a hundred events a transaction after another:", ""]
    measured += ["| senders | events/s | PostgreSQL, cores |", "|---:|---:|---:|"]
    measured += [f"| {each['senders']} | {each['events_s']:,.0f} | {each['postgres_cores']:.2f} |" for each in stream["senders"]]
    measured += ["", f"A core of PostgreSQL took {stream['log_events_a_postgres_core']:,.0f} events/s at the highest of these rates."]
    whole = _between(page, BEGIN, END, needed)
    return _between(whole, STREAM_BEGIN, STREAM_END, measured)


STREAM_ROWS: Final = (
    ("events_s", "events/s committed"),
    ("catch_up_s", "until the last one was counted everywhere, s"),
    ("busiest_worker_cores", "the busiest worker, cores"),
    ("workers_cores", "all workers, cores"),
    ("us_an_event", "a worker's processor time an event heard, mean, µs"),
    ("busiest_us_an_event", "the busiest worker's, µs"),
    ("postgres_cores", "PostgreSQL, cores"),
)


def _between(page: str, begin: str, end: str, lines: Sequence[str]) -> str:
    before, _, rest = page.partition(begin)
    return before + "\n".join([begin, "", *lines, "", end]) + rest.partition(end)[2]


def _line(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return intercept and slope of the line through the first and the last point.

    Through the origin and the last one where there is no other, or where more cost less: sizes so small tell nothing of each other.
    """
    (x0, y0), (x1, y1) = points[0], points[-1]
    if x1 <= x0 or y1 <= y0:
        return 0.0, y1 / x1
    slope = (y1 - y0) / (x1 - x0)
    return max(0.0, y0 - slope * x0), slope


def _saturated(wanted: float, most: float) -> float:
    """Return how many of `most` places are taken by so many that choose one at random."""
    return most * -math.expm1(-wanted / most)


def _ceiling(wanted: float, seen: float) -> float:
    """Return the `most` for which `_saturated(wanted, most)` is what was seen."""
    low, high = seen * (1 + 1e-9), 1e9
    while high / low > 1.0001:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if _saturated(wanted, middle) < seen else (low, middle)
    return high


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _short(value: float) -> str:
    """Write a number with two or three figures: 34 M."""
    for size, letter in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e4, " k")):
        if value >= size:
            scaled = value / (1e3 if letter == " k" else size)
            return f"{scaled:,.0f}{letter}" if scaled >= 10 else f"{scaled:.1f}{letter}"
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


if __name__ == "__main__":
    main()
