"""What a metric is: its name as Prometheus stores it, what it counts, in which unit, by which labels, and what a person does about it.

Each program declares its own (`stream.metrics`, `compile.loaded`, `monitoring.metrics`); `monitoring.metrics` gathers them all. Nothing
here imports prometheus_client before something is exposed: it takes 50 ms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of one program.

    Attributes:
        name: As Prometheus stores it; a counter ends in `_total`, a histogram's series add `_bucket`, `_count` and `_sum`.
        kind: What it is to Prometheus.
        text: Its HELP: what it says, then what to do about it.
        labels: Their names, in order.
        unit: Of its values: `seconds`, `bytes`, `ratio` (0 to 1), or empty for a number of things.

    """

    name: str
    kind: Kind
    text: str
    labels: tuple[str, ...] = ()
    unit: str = ""

    @property
    def declared(self) -> str:
        """The name as prometheus_client is given it: it adds `_total` to a counter's by itself."""
        return self.name.removesuffix("_total") if self.kind == "counter" else self.name

    def family(self, samples: Iterable[tuple[tuple[str, ...], float]] = ()) -> Any:
        """Return it with samples, (labels' values, value) each, for a collector that is asked at each scrape.

        Raises:
            ValueError: It is a histogram, which counts by itself.

        """
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        if self.kind == "histogram":
            message = f"{self.name} is a histogram"
            raise ValueError(message)
        made = (CounterMetricFamily if self.kind == "counter" else GaugeMetricFamily)(self.declared, self.text, labels=self.labels)
        for labels, value in samples:
            made.add_metric(labels, value)
        return made
