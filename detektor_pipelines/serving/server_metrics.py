"""What Prometheus asks the feature server: how long answers take, how many there are by status.

With several workers the figures are kept in files that all of them share (`SHARED_METRICS` names their directory before this module's
metrics are made), so that whichever worker is asked answers for all. prometheus_client has a variable of its own for that, which Feast
sets for every process that comes after it; so ours decides.
"""

from __future__ import annotations

import os
import sys
from typing import Any, Final

from detektor_pipelines.compile import loaded
from detektor_pipelines.web.listening import SHARED_METRICS

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
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self._registry = CollectorRegistry()
        self.latency = Histogram(
            "feast_online_serving_latency",
            "Seconds from a request's arrival to its answer, /get-online-features.",
            buckets=BUCKETS,
            registry=self._registry,
        )
        self._requests = Counter("feast_online_requests", "Answers of /get-online-features.", ["status"], registry=self._registry)
        self.agents = Counter("feast_online_agents", "Agents asked for.", registry=self._registry)
        self.fallback = Counter("feast_online_fallback", "Answers from values kept earlier, with Redis away.", registry=self._registry)
        self.late = Counter("feast_online_late", "Of these, the ones that Redis was late for.", registry=self._registry)
        self.redis_up = Gauge(
            "feast_online_redis_up", "1 while Redis answers the server.", registry=self._registry, multiprocess_mode="livemin"
        )
        self.ahead = Gauge(
            "feast_online_ahead_seconds",
            "By how much what is online lies ahead of the clock: then nobody trusts it.",
            registry=self._registry,
            multiprocess_mode="mostrecent",
        )
        self._note_definitions()
        self._by_status = {status: self._requests.labels(str(status)) for status in (200, 503)}

    def _note_definitions(self) -> None:
        """Say which definitions the process has loaded; while workers are replaced, those of the old ones and of the new ones."""
        from prometheus_client import Gauge

        options: dict[str, Any] = {"registry": self._registry, "multiprocess_mode": "livemax"}
        each = Gauge(loaded.INFO, loaded.INFO_TEXT, ["view", "version", "hash"], **options)
        for name, view in loaded.definitions()["views"].items():
            each.labels(name, view["version"], view["hash"]).set(1)
        Gauge(loaded.COMBINED, loaded.COMBINED_TEXT, ["hash"], **options).labels(loaded.combined_hash()).set(1)

    def count(self, status: int, seconds: float) -> None:
        """Note an answer."""
        self.latency.observe(seconds)
        counter = self._by_status.get(status)
        if counter is None:
            counter = self._by_status[status] = self._requests.labels(str(status))
        counter.inc()

    def refused(self, status: int) -> None:
        """Note a request that was turned away unread, because of who asks."""
        self._requests.labels(str(status)).inc()

    def exposition(self) -> tuple[bytes, str]:
        """Return the metrics as Prometheus reads them, and their media type."""
        from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        registry = self._registry
        if os.environ.get(SHARED_METRICS):
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry), CONTENT_TYPE_LATEST
