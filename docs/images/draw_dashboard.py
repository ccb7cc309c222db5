"""Draw the dashboard's panels without Grafana: `make dashboard-picture` (three minutes; needs `detektor up` and Debian's prometheus).

A Prometheus of its own scrapes the running stack of DETEKTOR_HOME every five seconds, while features are read and, on a simulated log,
events come in (which are retracted at the end). Then each panel's queries are asked of it and drawn where the dashboard's grid has the
panel. Grafana draws more beautifully; what is shown, from which query, with which limits, is the same.
"""

from __future__ import annotations

import argparse
import math
import re
import tempfile
import threading
import time
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator

from detektor_pipelines.acceptance.online import read_once
from detektor_pipelines.clock import now_us
from detektor_pipelines.ingest.live.writer import LiveWriter
from detektor_pipelines.language.records import AgentEvent
from detektor_pipelines.monitoring import throwaway
from detektor_pipelines.monitoring.panels import ROWS, TITLE, WIDTH, Panel, Row, asked, placed
from detektor_pipelines.settings import Settings, get_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from detektor_pipelines.monitoring.panels import Limit, Placed
    from detektor_pipelines.monitoring.throwaway import Prometheus, Series

TARGET: Final = Path(__file__).with_name("dashboard.png")
COLOURS: Final = {"green": "#2e7d4f", "yellow": "#c98a00", "red": "#c0392b"}
LINES: Final = ("#3b6fb6", "#d1793a", "#4a9d6e", "#8d5fb0", "#b64b6a", "#5b8fa8", "#96803c", "#777777")
INK: Final = "#22262b"
LINE: Final = "#d5d9de"
COLUMN_IN, ROW_IN = 0.62, 0.34
"""Inches of the grid's columns and rows."""
DPI: Final = 110
SCRAPE_S: Final = 5.0
RATE: Final = "20s"
"""What `$__rate_interval` is then: four scrapes."""

LEGEND_LINES: Final = 3
CHARACTERS_AN_INCH: Final = 17
"""Of the legends' letters."""


def main() -> None:
    """Measure and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=150, help="for which the stack is scraped")
    parser.add_argument("--to", type=Path, default=TARGET)
    arguments = parser.parse_args()
    settings = get_settings()
    with (
        tempfile.TemporaryDirectory() as scratch,
        throwaway.running(settings, Path(scratch) / "prometheus", SCRAPE_S) as prometheus,
        _load(settings),
    ):
        time.sleep(arguments.seconds)
        figure = draw(prometheus, arguments.seconds - 15)
    figure.savefig(arguments.to, dpi=DPI, facecolor="#f4f5f7", pil_kwargs={"optimize": True})
    print(f"{arguments.to.name}: {arguments.to.stat().st_size // 1024} KB")


def draw(prometheus: Prometheus, seconds: float) -> Figure:
    """Return the whole dashboard over the last seconds as one figure."""
    grid = list(placed(ROWS))
    height = max(each.y + each.height for each in grid) + 2
    figure = plt.figure(figsize=(WIDTH * COLUMN_IN, height * ROW_IN))
    figure.text(0.008, 1 - 1.1 / height, TITLE, fontsize=15, weight="bold", color=INK, va="center")
    figure.text(0.992, 1 - 1.1 / height, "agent: All    project: All", fontsize=10, color=INK, va="center", ha="right")
    for each in grid:
        box = _box(each, height)
        if isinstance(each.what, Row):
            figure.text(0.008, box[1] + box[3] * 0.4, each.what.title, fontsize=11.5, weight="bold", color=INK, va="center")
        else:
            _frame(figure, box)
            _panel(figure, each.what, box, prometheus, seconds)
    return figure


def _box(each: Placed, height: int) -> tuple[float, float, float, float]:
    """Return left, bottom, width and height in shares of the figure."""
    return each.x / WIDTH, 1 - (each.y + 2 + each.height) / height, each.width / WIDTH, each.height / height


def _frame(figure: Figure, box: tuple[float, float, float, float]) -> None:
    left, bottom, width, height = box
    gap_x, gap_y = 0.003, 0.0009
    figure.add_artist(
        Rectangle(
            (left + gap_x, bottom + gap_y),
            width - 2 * gap_x,
            height - 2 * gap_y,
            facecolor="white",
            edgecolor=LINE,
            linewidth=0.8,
            zorder=-1,
        )
    )


def _panel(figure: Figure, panel: Panel, box: tuple[float, float, float, float], prometheus: Prometheus, seconds: float) -> None:
    left, bottom, width, height = box
    figure.text(left + 0.008, bottom + height * 0.91, panel.title, fontsize=9, weight="bold", color=INK, va="center")
    if panel.kind == "stat":
        axes = figure.add_axes((left + 0.003, bottom + height * 0.02, width - 0.006, height * 0.8))
        _stat(axes, panel, prometheus)
        return
    found = [
        (re.sub(r"{{(\w+)}}", lambda match, of=each: of.labels.get(match.group(1), ""), query.legend), each)
        for query in panel.queries
        for each in prometheus.over(asked(query.expr, __rate_interval=RATE), seconds)
        if each.says_something
    ]
    indent = 0.075 if panel.kind == "state-timeline" else 0.042
    axes = figure.add_axes((left + indent, bottom + height * 0.3, width - indent - 0.012, height * 0.54))
    (_states if panel.kind == "state-timeline" else _lines)(axes, panel, found)
    axes.set_xlim(-seconds, 0)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: f"{at:.0f} s"))
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.tick_params(labelsize=7, colors="#555c64", length=0)
    for side in axes.spines.values():
        side.set_visible(False)


def _stat(axes: Axes, panel: Panel, prometheus: Prometheus) -> None:
    """A number on the colour of its limit."""
    found = prometheus.now(asked(panel.queries[0].expr, __rate_interval=RATE))
    value = found[0].points[-1][1] if found else math.nan
    axes.set_facecolor(COLOURS[_colour(panel.limits, value)])
    axes.set(xticks=[], yticks=[])
    for side in axes.spines.values():
        side.set_visible(False)
    text = "nothing yet" if math.isnan(value) else _said(value, panel.unit)
    axes.text(0.5, 0.52, text, fontsize=19, color="white", weight="bold", ha="center", va="center", transform=axes.transAxes)


def _lines(axes: Axes, panel: Panel, found: list[tuple[str, Series]]) -> None:
    """Lines over time, limits dashed where they are in sight."""
    end = max((series.points[-1][0] for _, series in found), default=0)
    columns, shown = _legend(panel, [name for name, _ in found])
    for number, (name, series) in enumerate(found):
        label = name if number < shown else None
        at, values = zip(*series.points, strict=True)
        axes.plot([each - end for each in at], values, color=LINES[number % len(LINES)], linewidth=1.1, label=label)
    known = [value for _, series in found for _, value in series.points if math.isfinite(value)]
    top = panel.most or max(known, default=0) * 1.15 or 1
    low = panel.least if panel.least is not None else min(known, default=0)
    limits = [each for each in panel.limits if each.above is not None]
    first = next((each.above for each in limits), None)
    if first is not None and panel.most is None and top < first <= max(4 * top, 1.05):
        top = first * 1.1
    axes.set_ylim(low, top if top > low else low + 1)
    for each in limits:
        if low <= each.above <= top:
            axes.axhline(each.above, color=COLOURS[each.colour], linewidth=0.9, linestyle=(0, (5, 3)))
    axes.grid(axis="y", color="#eceff2", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _said(value, panel.unit)))
    if found:
        if len(found) > shown:
            axes.plot([], [], color="none", label=f"and {len(found) - shown} more")
        axes.legend(
            loc="upper left",
            bbox_to_anchor=(-0.8 / panel.width, -0.14),
            ncols=columns,
            fontsize=6.5,
            frameon=False,
            handlelength=1.2,
            columnspacing=1.0,
            labelspacing=0.25,
        )
    else:
        axes.text(0.5, 0.5, "no data", color="#888888", ha="center", va="center", transform=axes.transAxes)


def _legend(panel: Panel, names: list[str]) -> tuple[int, int]:
    """Return the columns of the legend, and how many names fit into its LEGEND_LINES lines."""
    longest = max((len(name) for name in names), default=1)
    columns = max(1, int(panel.width * COLUMN_IN * CHARACTERS_AN_INCH) // (longest + 5))
    room = columns * LEGEND_LINES
    return columns, len(names) if len(names) <= room else room - 1


def _states(axes: Axes, panel: Panel, found: list[tuple[str, Series]]) -> None:
    """A band for each, in the colour of its state."""
    end = max((series.points[-1][0] for _, series in found), default=0)
    for number, (_, series) in enumerate(found):
        for at, value in series.points:
            axes.barh(number, 1.05, left=at - end, height=0.75, color=COLOURS[_colour(panel.limits, value)], linewidth=0)
    axes.set_yticks(range(len(found)), [name for name, _ in found])
    axes.invert_yaxis()


def _colour(limits: tuple[Limit, ...], value: float) -> str:
    return next((each.colour for each in reversed(limits) if each.above is None or value >= each.above), "green")


def _said(value: float, unit: str) -> str:
    """Write a value as Grafana does."""
    if unit == "percentunit":
        return f"{value * 100:.4g} %"
    if unit == "s":
        return _seconds(value)
    if unit == "bytes":
        return f"{value / 2**20:.3g} MiB"
    return f"{value:,.4g}/s" if unit in ("reqps", "ops") else f"{value:,.4g}"


def _seconds(value: float) -> str:
    if value == 0:
        return "0"
    for limit, factor, name in ((1, 1000, "ms"), (120, 1, "s"), (7_200, 1 / 60, "min"), (math.inf, 1 / 3600, "h")):
        if abs(value) < limit:
            return f"{value * factor:.3g} {name}"
    return f"{value:g} s"


@contextmanager
def _load(settings: Settings) -> Iterator[None]:
    """Read features all the time, faster and slower; on a simulated log let agents act, too."""
    over = threading.Event()
    events: list[str] = []

    def read() -> None:
        while not over.wait(0.02 + 0.06 * (1 + math.sin(time.time() / 12))):
            read_once(settings)

    def act() -> None:
        with LiveWriter(settings) as writer:
            while writer.holds_simulated_events_only() and not over.wait(0.5 + 1.5 * abs(math.sin(time.time() / 17))):
                event = AgentEvent(
                    f"picture-{uuid.uuid4().hex}", "code-reviewer", "code-reviewer", "review", now_us(), "picture", simulated=True
                )
                writer.write([event])
                events.append(event.event_id)
            writer.retract(events)

    threads = [threading.Thread(target=work, daemon=True) for work in (read, act)]
    for each in threads:
        each.start()
    try:
        yield
    finally:
        over.set()
        for each in threads:
            each.join(20)


if __name__ == "__main__":
    main()
