"""What Prometheus asks the feature server: how long answers take, how many there are by status.

With several workers the figures are kept in files that all of them share (`SHARED_METRICS` names their directory before this module's
metrics are made), so that whichever worker is asked answers for all. prometheus_client has a variable of its own for that, which Feast
sets for every process that comes after it; so ours decides.
"""

from __future__ import annotations

import os
import sys
from bisect import bisect_left
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines.compile import loaded
from detektor_pipelines.monitoring import metrics
from detektor_pipelines.web.listening import SHARED_METRICS

if TYPE_CHECKING:
    from prometheus_client import Gauge

    from detektor_pipelines.metric import Metric

_ITS_OWN: Final = "PROMETHEUS_MULTIPROC_DIR"

BUCKETS: Final = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
"""Seconds; they show an objective of 1 ms and of 10 ms."""


class ServerMetrics:
    """One process's metrics."""

    def __init__(self) -> None:
        if directory := os.environ.get(SHARED_METRICS):
            os.environ[_ITS_OWN] = directory
        elif "prometheus_client" not in sys.modules:  # which reads it when it is imported, and from then on needs what it has read
            os.environ.pop(_ITS_OWN, None)
        from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics

        # When a series began would be one more series for each, and nobody asks
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        text, registry = metrics.LATENCY.text, self._registry
        self.latency = Histogram(metrics.LATENCY.declared, text, buckets=BUCKETS, registry=registry)
        self._requests, self.agents, self.fallback, self.late, self._refused = (
            Counter(each.declared, each.text, each.labels, registry=registry)
            for each in (metrics.REQUESTS, metrics.AGENTS, metrics.FALLBACK, metrics.LATE, metrics.REFUSED)
        )
        self.redis_up = self._gauge(metrics.REDIS_UP, "livemin")
        self.ahead, self.age, self.fresh = (
            self._gauge(each, "mostrecent") for each in (metrics.AHEAD, metrics.ONLINE_AGE, metrics.ONLINE_FRESH)
        )
        self._note_definitions()
        self._noted = [0] * (len(BUCKETS) + 1)
        self._noted_s, self._noted_agents = 0.0, 0
        self._by_status = {status: self._requests.labels(str(status)) for status in (200, 503)}

    def _gauge(self, metric: Metric, of_workers: Any) -> Gauge:
        """Make a gauge; `of_workers` says what its value is where several workers have one."""
        from prometheus_client import Gauge

        return Gauge(metric.declared, metric.text, metric.labels, registry=self._registry, multiprocess_mode=of_workers)

    def _note_definitions(self) -> None:
        """Say which definitions the process has loaded; while workers are replaced, those of the old ones and of the new ones."""
        each = self._gauge(loaded.INFO, "livemax")
        for name, view in loaded.definitions()["views"].items():
            each.labels(name, view["version"], view["hash"]).set(1)
        self._gauge(loaded.COMBINED, "livemax").labels(loaded.combined_hash()).set(1)

    def count(self, status: int, seconds: float) -> None:
        """Note an answer."""
        self.latency.observe(seconds)
        counter = self._by_status.get(status)
        if counter is None:
            counter = self._by_status[status] = self._requests.labels(str(status))
        counter.inc()

    def note(self, agents: int, seconds: float) -> None:
        """Note a good answer about some agents, to be counted by `flush`: prometheus_client takes as long as a fifth of such an answer."""
        self._noted[bisect_left(BUCKETS, seconds)] += 1
        self._noted_s += seconds
        self._noted_agents += agents

    def flush(self) -> None:
        """Count what was noted."""
        noted, self._noted = self._noted, [0] * (len(BUCKETS) + 1)
        for bucket, answers in zip(self.latency._buckets, noted, strict=True):  # noqa: SLF001 - has no call for several at once
            if answers:
                bucket.inc(answers)
        self.latency._sum.inc(self._noted_s)  # noqa: SLF001
        self._by_status[200].inc(sum(noted))
        self.agents.inc(self._noted_agents)
        self._noted_s, self._noted_agents = 0.0, 0

    def refused(self, status: int, reason: str, *, counted: bool = True) -> None:
        """Note what was turned away unread, because of who asks or how; `counted`: with the answers too, as it was a whole request."""
        self._refused.labels(reason).inc()
        if counted:
            self._requests.labels(str(status)).inc()

    def exposition(self) -> tuple[bytes, str]:
        """Return the metrics as Prometheus reads them, and their media type."""
        from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        self.flush()
        registry = self._registry
        if os.environ.get(SHARED_METRICS):
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry), CONTENT_TYPE_LATEST
