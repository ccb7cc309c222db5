"""Make docs/performance.md and its plots of benchmarks/results/side_by_side.json, the figures of one run.

    .venv/bin/python benchmarks/performance_page.py

`side_by_side.py` calls it at its end; a test holds the page to the JSON.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    Figures = dict[str, Any]

HERE: Final = Path(__file__).resolve().parent
RESULTS: Final = HERE / "results"
PAGE: Final = HERE.parent / "docs/performance.md"
COLOURS: Final = {"ours": "#1f77b4", "pandas": "#888888", "polars": "#bbbbbb", "duckdb": "#e0a030", "spark": "#c05040", "stock": "#888888"}
WAYS: Final = {
    "ours": "`engine.backfill`: late knowledge, versions of rows, the gate, an atomic publication of each day, values online",
    "pandas": "`pandas_peer.py`: ADBC, Arrow-backed columns, `cumsum` and `merge_asof`; holds the gate, nothing else of it",
    "polars": "`polars_peer.py`: lazy expressions, `cum_sum` and `join_asof`, `rolling_max_by`; no gate",
    "duckdb": "`duckdb_peer.py`: one SQL query a view, RANGE frames over hourly cells; no gate",
    "spark": "`spark_peer.py`: Spark SQL, local mode, Parquet in and out; no gate, no store, its session's start apart",
}


def main(results: Path = RESULTS) -> None:
    """Write the page: into docs of the repository's own results, beside them of others."""
    to = PAGE if results.resolve() == RESULTS else results / PAGE.name
    to.write_text(page(json.loads((results / "side_by_side.json").read_text(encoding="utf-8"))), encoding="utf-8")


def page(figures: Figures) -> str:
    """Return the page's text."""
    return "\n".join([*_head(figures), *_windows(figures), *_slower(figures), *_feast(figures)]) + "\n"


def _head(figures: Figures) -> Iterator[str]:
    of = figures["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in figures["versions"].items())
    yield f"""# Performance: ours beside the others

<!-- Made by benchmarks/performance_page.py of benchmarks/results/side_by_side.json: change neither by hand. -->

One run of `{figures["command"]}` on {figures["date"]}:
{of["cores"]} cores ({of["processor"]}), {of["memory_gb"]} GB, Python {of["python"]}, load {of["load_before"]:.1f} in the minute before;
{figures["minutes"]:.0f} minutes. {versions}. `make bench` runs all benchmarks and ends with this one.

Each way is a version that somebody who knows that library would write, over the same data; its results are held to ours, row by row, and a
difference ends the run. Ways take turns; figures are medians. Read the ratios: absolute figures are the machine's. What each benchmark
measures, and more of them: [benchmarks](../benchmarks/README.md). What follows for more developers: [scaling](scaling.md)."""
    for way, why in figures["left_out"].items():
        yield ""
        yield f"**Left out: {way}**, {why}."


def _windows(figures: Figures) -> Iterator[str]:
    yield ""
    yield "## Windows: from events to rows in both stores"
    yield ""
    yield """All features of the eight views, over simulated events of half a year in PostgreSQL; rows go to PostgreSQL, the newest ones
to Redis. Each way is a process of its own. Wall and processor time count from when its imports are done and leave out what PostgreSQL and
Redis spend; `process` is the whole process, start and imports included; `peak` is its greatest resident memory."""
    for size in figures["windows"].values():
        ours = size["ways"]["ours"]
        yield ""
        yield f"{size['events']:,} events of {size['projects']} projects → {ours['rows']:,} rows, turns: {size['turns']}"
        yield ""
        yield "| way | wall, s | process, s | processor, s | peak, MB | wall, × ours |"
        yield "|---|---:|---:|---:|---:|---:|"
        for way, each in size["ways"].items():
            costs = f"{each['s']:.2f} | {each['process_s']:.2f} | {each['cpu_s']:.2f} | {each['peak_mb']:,.0f}"
            yield f"| {way} | {costs} | {each['s'] / ours['s']:.2f} |"
        worst = max((each["greatest_relative_difference"] for each in size["unlike_ours"].values()), default=0.0)
        yield ""
        yield f"Every row, null and integer of the others equals ours; floats differ by {worst:.1g} of their value at most."
    yield ""
    yield "![Wall time and memory of the ways](../benchmarks/results/windows.svg)"
    yield ""
    yield "| way | what it is |"
    yield "|---|---|"
    named = {way for size in figures["windows"].values() for way in size["ways"]}
    yield from (f"| {way} | {what} |" for way, what in WAYS.items() if way in named)


def _slower(figures: Figures) -> Iterator[str]:
    """Say where ours is not the quickest, or not the smallest, of this page's figures."""
    yield ""
    yield "### Where ours is slower"
    yield ""
    lines = []
    for size in figures["windows"].values():
        ours = size["ways"]["ours"]
        for figure, what in (("s", "wall time"), ("cpu_s", "processor time"), ("peak_mb", "memory")):
            less = [f"{way} {ours[figure] / each[figure]:.1f}" for way, each in size["ways"].items() if each[figure] < ours[figure]]
            if less:
                lines.append(f"- {size['events']:,} events, {what}: ours takes more than others, by these factors: {', '.join(less)}.")
    lines += [
        f"- {what}: ours takes {factor:.1f} times as long as {other}." for what, other, factor in _beside_feast(figures) if factor > 1
    ]
    yield from lines or ["- In no figure of this page."]
    yield ""
    yield """What the others leave out is part of it: ours keeps what was known when, writes a row again only where it changed, holds each
day against the gate before anybody reads it, and publishes a day as a whole. Speed at one machine's sizes is not why it exists: the same
definition also runs in PostgreSQL, in the stream and as training sets, to the same number."""


def _beside_feast(figures: Figures) -> Iterator[tuple[str, str, float]]:
    """Yield what is compared, with whom, and how many times as long ours takes."""
    rates, found, serving = figures["online"]["rows_per_second"], figures["historical"], figures["serving"]
    for ours, stock in (
        ("publish_online", "stock materialize"),
        ("materialize, our stores", "stock materialize"),
        ("write_rows", "stock online_write_batch"),
    ):
        yield f"`{ours}`", f"`{stock}`", rates[stock] / rates[ours]
    labels = found["labels"]
    for name, other in (("stock", "stock Feast"), ("asof_read", "DuckDB's ASOF join by hand")):
        yield f"Historical read of {labels:,} labels", other, found[f"ours_{labels}_s"] / found[f"{name}_{labels}_s"]
    latency = serving["latency"]
    for name in latency:
        what, _, other = name.partition(": ")
        if other.startswith("stock"):
            for figure in ("p50", "p99"):
                yield f"{what}, {figure}", other, latency[f"{what}: ours"][f"{figure}_ms"] / latency[name][f"{figure}_ms"]
    for name, rate in serving["requests_per_second_of"].items():
        if name != "ours":
            yield "A request of 16 clients", name, rate / serving["requests_per_second_of"]["ours"]


def _feast(figures: Figures) -> Iterator[str]:
    online, rates = figures["online"], figures["online"]["rows_per_second"]
    yield ""
    yield "## Stock Feast"
    yield ""
    yield """Stock Feast is asked for what it is for, rows that are there already. Each of its three ways is compared by itself, over the
same tables and the same Redis, with Feast's own PostgreSQL and Redis stores."""
    yield ""
    yield f"**Materialize**, {online['agents']:,} agent_ids × {online['features']} features from the offline store to an empty Redis:"
    yield ""
    yield "| way | rows/s | × stock |"
    yield "|---|---:|---:|"
    yield from (f"| {name} | {rate:,.0f} | {rate / rates['stock materialize']:.1f} |" for name, rate in rates.items())
    found, labels = figures["historical"], figures["historical"]["labels"]
    yield ""
    yield f"**`get_historical_features`**, {labels:,} labels × {found['features']} features over {found['rows']:,} rows:"
    yield ""
    yield "| way | s | × ours |"
    yield "|---|---:|---:|"
    names = {"ours": "our offline store", "stock": "stock Feast", "asof_read": "DuckDB's ASOF join by hand, reading included"}
    for name, what in names.items():
        yield f"| {what} | {found[f'{name}_{labels}_s']:.2f} | {found[f'{name}_{labels}_s'] / found[f'ours_{labels}_s']:.2f} |"
    serving = figures["serving"]
    yield ""
    yield "**Online reads**, by HTTP and by SDK, one worker each, beside the bare round trips to Redis:"
    yield ""
    yield "| way | p50, ms | p99, ms |"
    yield "|---|---:|---:|"
    yield from (f"| {name} | {each['p50_ms']:.2f} | {each['p99_ms']:.2f} |" for name, each in serving["latency"].items())
    if "half_rate_p99_over_ping_by_http" in serving:
        yield ""
        over = {name: serving[f"half_rate_{name}"] for name in ("p99_over_ping", "p99_over_ping_by_http", "usual_p99_over_ping")}
        yield f"""Half the rate: 5,000 requests a second at most, from when each was due. "PING by HTTP" is a server that only passes a PING
on: the bare round trip with as many processes on the cores. The p99 of ours is {over["p99_over_ping"]:.1f} times a PING's, that of the
median half second {over["usual_p99_over_ping"]:.1f} times; over that server's it is {over["p99_over_ping_by_http"]:.1f} times."""
    yield ""
    yield "| 16 clients | requests/s |"
    yield "|---|---:|"
    yield from (f"| {name} | {rate:,.0f} |" for name, rate in serving["requests_per_second_of"].items())
    yield ""
    yield "![Stock Feast and ours](../benchmarks/results/feast.svg)"


# Plots -------------------------------------------------------------------------------------------------------------------------


def plots(figures: Figures, directory: Path) -> None:
    """Draw windows.svg and feast.svg."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams |= {"svg.hashsalt": "side by side", "svg.fonttype": "none"}
    _plot_windows(figures, directory / "windows.svg")
    _plot_feast(figures, directory / "feast.svg")


def _plot_windows(figures: Figures, path: Path) -> None:
    from matplotlib import pyplot as plt

    sizes = list(figures["windows"].values())
    figure, axes = plt.subplots(len(sizes), 2, figsize=(10, 0.9 + 2.1 * len(sizes)), layout="constrained", squeeze=False)
    for (wall, memory), size in zip(axes, sizes, strict=True):
        ways = list(size["ways"])[::-1]
        colours = [COLOURS[way] for way in ways]
        for axis, name, what in ((wall, "s", "wall, s"), (memory, "peak_mb", "peak memory, MB")):
            bars = axis.barh(ways, [size["ways"][way][name] for way in ways], color=colours)
            axis.bar_label(bars, fmt=lambda value: f"{value:,.3g}" if value < 100 else f"{value:,.0f}", padding=3)
            axis.margins(x=0.15)
            axis.set(xlabel=what, title=f"{size['events']:,} events")
            axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _plot_feast(figures: Figures, path: Path) -> None:
    """Draw how many times as long stock Feast takes."""
    from matplotlib import pyplot as plt

    labels, found, latency = figures["historical"]["labels"], figures["historical"], figures["serving"]["latency"]
    rates, served = figures["online"]["rows_per_second"], figures["serving"]["requests_per_second_of"]

    def latency_ratio(what: str, stock: str) -> float:
        return float(latency[f"{what}: {stock}"]["p50_ms"] / latency[f"{what}: ours"]["p50_ms"])

    ratios = {
        "materialize": rates["publish_online"] / rates["stock materialize"],
        f"historical, {labels:,} labels": found[f"stock_{labels}_s"] / found[f"ours_{labels}_s"],
        "HTTP, one agent, p50": latency_ratio("HTTP, 1 agent", "stock, no recycling"),
        "HTTP, requests/s": served["ours"] / served["stock, no recycling"],
        "HTTP, eight agents, p50": latency_ratio("HTTP, eight agents", "stock, no recycling"),
        "SDK, one agent, p50": latency_ratio("SDK, 1 agent", "stock"),
        "SDK, 100 agents, p50": latency_ratio("SDK, 100 agents", "stock"),
    }
    figure, axis = plt.subplots(figsize=(9, 3.4), layout="constrained")
    bars = axis.barh(list(ratios)[::-1], list(ratios.values())[::-1], color=COLOURS["ours"])
    axis.bar_label(bars, fmt="%.1f ×", padding=3)
    axis.axvline(1, color="black", linewidth=0.8)
    axis.margins(x=0.12)
    axis.set(title="How many times as quick as stock Feast")
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    main()
