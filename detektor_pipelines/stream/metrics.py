"""What Prometheus asks a worker: its health, and whether served values were right when they were last looked at."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from detektor_pipelines.compile import loaded
from detektor_pipelines.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from wsgiref.simple_server import WSGIServer

    from detektor_pipelines.settings import Settings

_GAUGES = {
    "lag_us": ("detektor_stream_lag_seconds", "How far the newest values lie behind the clock.", 1_000_000),
    "horizon": ("detektor_stream_open_transactions", "Transactions of the log that were still running.", 1),
    "keys": ("detektor_stream_keys", "Keys with an event in some window.", 1),
    "waiting": ("detektor_stream_waiting_events", "Events ahead of the clock.", 1),
    "pending": ("detektor_stream_pending_values", "Values that Redis has not taken yet.", 1),
    "unresolved": ("detektor_stream_unresolved_values", "Values that the guard refused and that are not made good yet.", 1),
    "ahead_us": ("detektor_stream_ahead_seconds", "By how much something online lies ahead of the clock.", 1_000_000),
    "load_seconds": ("detektor_stream_load_seconds", "How long the last beginning took.", 1),
}
_COUNTERS = {
    "events": ("detektor_stream_events", "Events heard."),
    "values": ("detektor_stream_values", "Values written online."),
    "refused": ("detektor_stream_refused_values", "Writes that the guard refused."),
    "lost": ("detektor_stream_lost_values", "Values that Redis had lost, written again."),
    "rejected": ("detektor_stream_rejected_events", "Events that could not be counted."),
    "loads": ("detektor_stream_loads", "How often the worker started again."),
}

_logger = logging.getLogger(__name__)


def serve(settings: Settings, state: Callable[[], dict[str, Any]], port: int) -> WSGIServer | None:
    """Answer `GET /metrics` on loopback; None, with a word in the log file, when the port is taken by another worker."""
    from prometheus_client import CollectorRegistry, start_http_server

    registry = CollectorRegistry()
    registry.register(_Metrics(settings, state))
    try:
        server, _ = start_http_server(port, addr="127.0.0.1", registry=registry)
    except OSError as error:
        _logger.warning("No metrics: port %d: %s. Give another one by --metrics-port.", port, error)
        return None
    return server


class _Metrics:
    """A collector of prometheus_client: asked at each scrape."""

    def __init__(self, settings: Settings, state: Callable[[], dict[str, Any]]) -> None:
        self._settings = settings
        self._state = state

    def collect(self) -> Iterator[Any]:
        """Yield the metrics."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        state = self._state()
        for field, (name, text, unit) in _GAUGES.items():
            yield GaugeMetricFamily(name, text, value=state[field] / unit)
        for field, (name, text) in _COUNTERS.items():
            yield CounterMetricFamily(name, text, value=state[field])
        yield from loaded.families()
        yield from self._parity()

    def _parity(self) -> Iterator[Any]:
        from prometheus_client.core import GaugeMetricFamily

        from detektor_pipelines.quality.parity.check import STATES, last_results

        compared = GaugeMetricFamily("detektor_parity_compared", "Agents whose values were computed again, last time.", labels=["view"])
        states = GaugeMetricFamily("detektor_parity_agents", "In which state these were.", labels=["view", "state"])
        mismatches = GaugeMetricFamily("detektor_parity_mismatches", "Features that are not right.", labels=["view", "feature"])
        at = GaugeMetricFamily("detektor_parity_timestamp_seconds", "When they were compared.")
        try:
            last = last_results(self._settings)
        except UserError:
            last = None
        if last is not None:
            at.add_metric([], last["at"] / 1_000_000)
            for view, found in last["views"].items():
                compared.add_metric([view], found["compared"])
                for state in STATES:
                    states.add_metric([view, state], found["states"].get(state, 0))
                mismatches.add_metric([view, ""], sum(found["by_feature"].values()))
                for feature, number in found["by_feature"].items():
                    mismatches.add_metric([view, feature], number)
        yield from (compared, states, mismatches, at)
