"""A Prometheus for a minute: scrapes a running stack every second, is asked, and leaves nothing behind.

For whoever wants to know whether what the dashboard asks for is there: `detektor acceptance`, tests, and the dashboard's picture.
"""

from __future__ import annotations

import json
import math
import signal
import time
import urllib.parse
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines.monitoring import started
from detektor_pipelines.monitoring.panels import ROWS, asked
from detektor_pipelines.monitoring.prometheus import Pace
from detektor_pipelines.stack import ports
from detektor_pipelines.stack.servers import embedded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from detektor_pipelines.settings import Settings

SECONDS: Final = 1.0
"""Between two scrapes, instead of fifteen."""

RATE: Final = "10s"
"""What `$__rate_interval` is then."""


@dataclass(frozen=True, slots=True)
class Series:
    """One line of an answer: its labels, and (Unix time, value) in order; values may be NaN."""

    labels: dict[str, str]
    points: tuple[tuple[float, float], ...]

    @property
    def says_something(self) -> bool:
        """Whether any of its values is a number."""
        return any(math.isfinite(value) for _, value in self.points)


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running Prometheus."""

    url: str

    def now(self, expr: str) -> list[Series]:
        """Ask for a query's value now."""
        found = self._ask("query", {"query": expr})
        if found["resultType"] == "scalar":
            return [Series({}, (_point(found["result"]),))]
        return [Series(each["metric"], (_point(each["value"]),)) for each in found["result"]]

    def over(self, expr: str, seconds: float, step: float = 1) -> list[Series]:
        """Ask for a query's values over the last seconds."""
        end = time.time()
        found = self._ask("query_range", {"query": expr, "start": end - seconds, "end": end, "step": step})
        return [Series(each["metric"], tuple(map(_point, each["values"]))) for each in found["result"]]

    def silent_panels(self, **values: str) -> list[str]:
        """Return `panel: legend` of the dashboard's queries that return no number; `values` stand for Grafana's variables."""
        return [
            f"{panel.title}: {query.legend}"
            for row in ROWS
            for panel in row.panels
            for query in panel.queries
            if not any(series.says_something for series in self.now(asked(query.expr, **{"__rate_interval": RATE, **values})))
        ]

    def _ask(self, what: str, given: dict[str, Any]) -> dict[str, Any]:
        address = f"{self.url}/api/v1/{what}?{urllib.parse.urlencode(given)}"
        with urllib.request.urlopen(address, timeout=20) as answer:  # noqa: S310 - loopback
            return dict(json.load(answer)["data"])


@contextmanager
def running(settings: Settings, directory: Path, seconds: float = SECONDS) -> Iterator[Prometheus]:
    """Run one in `directory`, which is empty or absent, until the block ends; it scrapes every so many seconds. Ready when it answers.

    Raises:
        UserError: It is not installed, or does not start.

    """
    settings = settings.model_copy(update={"prometheus_port": ports.free_port()})
    directory = directory.resolve()
    words = started.command(settings, "prometheus", directory, Pace(seconds=seconds))
    fix = "promtool check config says what is wrong."
    with embedded.running(words, directory, signal.SIGTERM, lambda: ports.http_answers(settings.prometheus_port, "/-/ready"), fix=fix):
        yield Prometheus(f"http://{ports.LOOPBACK}:{settings.prometheus_port}")


def _point(pair: list[Any]) -> tuple[float, float]:
    return float(pair[0]), float(pair[1])
