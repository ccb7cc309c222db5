"""What Prometheus asks a worker: its health, and whether served values were right when they were last looked at."""

from __future__ import annotations

import logging
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines.compile import loaded
from detektor_pipelines.errors import UserError
from detektor_pipelines.metric import Metric
from detektor_pipelines.stream.report import report
from detektor_pipelines.web.exposition import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stream.worker import Health

_LAG: Final = Metric(
    "detektor_stream_lag_seconds",
    "gauge",
    "How far the newest values lie behind the clock. Above 5: docs/runbooks/stream-lag.md.",
    unit="seconds",
)
_AHEAD: Final = Metric(
    "detektor_stream_ahead_seconds",
    "gauge",
    "By how much something online lies ahead of the clock. Above 0: set the clocks right, then detektor online repair.",
    unit="seconds",
)
_LOAD: Final = Metric(
    "detektor_stream_load_seconds",
    "gauge",
    "How long the last beginning took: reading the longest windows. For that long values are old after a start.",
    unit="seconds",
)
_HEARTBEAT: Final = Metric(
    "detektor_stream_heartbeat_timestamp_seconds",
    "gauge",
    "When the worker last finished a round, whether or not it could write; Unix time. 10 s ago or more: docs/runbooks/stream-lag.md.",
    unit="seconds",
)
_GAUGES: Final = {
    "horizon": Metric(
        "detektor_stream_open_transactions",
        "gauge",
        "Transactions of the log that were still running. Many for minutes: somebody holds one open, see pg_stat_activity.",
    ),
    "keys": Metric(
        "detektor_stream_keys", "gauge", "Keys with an event in some window; 0 with events in the log: the worker has no shards."
    ),
    "waiting": Metric(
        "detektor_stream_waiting_events",
        "gauge",
        "Events ahead of the clock; they count when it comes to them. Growing: a host's clock is ahead.",
    ),
    "pending": Metric(
        "detektor_stream_pending_values", "gauge", "Values that Redis has not taken yet. While it grows: docs/runbooks/redis-down.md."
    ),
    "unresolved": Metric(
        "detektor_stream_unresolved_values",
        "gauge",
        "Values that the guard refused and that are not made good yet. For minutes: detektor parity --repair.",
    ),
}
_COUNTERS: Final = {
    "events": Metric("detektor_stream_events_total", "counter", "Events heard. 0 a minute while agents work: docs/runbooks/silent-log.md."),
    "values": Metric("detektor_stream_values_total", "counter", "Values written online; none while events come: look at the worker's log."),
    "refused": Metric("detektor_stream_refused_values_total", "counter", "Writes that the guard refused. While it grows: detektor parity."),
    "lost": Metric(
        "detektor_stream_lost_values_total",
        "counter",
        "Values that Redis had lost, written again. While it grows: docs/runbooks/evicted-values.md.",
    ),
    "rejected": Metric(
        "detektor_stream_rejected_events_total",
        "counter",
        "Events that could not be counted. While it grows: docs/runbooks/rejected-events.md.",
    ),
    "loads": Metric(
        "detektor_stream_loads_total", "counter", "How often the worker started again. Several an hour: the reason is in logs/stream.log."
    ),
}
_PARITY_DO: Final = "docs/runbooks/parity.md."
_COMPARED: Final = Metric(
    "detektor_parity_compared", "gauge", f"Agents whose values were computed again, last time. 0: {_PARITY_DO}", ("view",)
)
_STATES: Final = Metric(
    "detektor_parity_agents", "gauge", f"In which state these were. Any that is an error: {_PARITY_DO}", ("view", "state")
)
_MISMATCHES: Final = Metric(
    "detektor_parity_mismatches",
    "gauge",
    f'Features that are not right, and their sum for feature="". Above 0: {_PARITY_DO}',
    ("view", "feature"),
)
_COMPARED_AT: Final = Metric(
    "detektor_parity_timestamp_seconds", "gauge", "When they were compared; Unix time. Over a day ago: run detektor parity.", unit="seconds"
)
METRICS: Final = (
    _LAG,
    _AHEAD,
    _LOAD,
    _HEARTBEAT,
    *_GAUGES.values(),
    *_COUNTERS.values(),
    _COMPARED,
    _STATES,
    _MISMATCHES,
    _COMPARED_AT,
    *loaded.METRICS,
)
"""What a worker answers at /metrics."""

HUNG_S: Final = 90
"""A round that takes longer is none: its statements are ended after 60 s."""

STALE_S: Final = 5

_SECOND: Final = 1_000_000
_logger = logging.getLogger(__name__)


def serve(settings: Settings, health: Health, port: int) -> AbstractContextManager[None]:
    """Answer `GET /metrics` and `GET /health` while open; not, with a word in the log file, when another has the port."""
    try:
        host, names = settings.stream_metrics_host, (settings.server_names or "").split(",")
        return serving(port, _Metrics(settings, health), lambda: health_page(health), host=host, names=names)
    except OSError as error:
        _logger.warning("No metrics: port %d: %s. Give another one by --metrics-port.", port, error)
        return nullcontext()


def health_page(health: Health) -> tuple[int, dict[str, Any]]:
    """Return the status and the body of /health.

    503 means that a new start helps: rounds have stopped. A worker that cannot write is no better for it, so that is 200, and `STALE`.
    """
    state = report(health)
    silent, lag = time.time() - health.beat, state["lag_us"] / _SECOND
    if health.loading:
        return 200, {"status": "LOADING", "reason": "It reads the events of the longest windows."} | state
    if silent > HUNG_S:
        fix = "The watchdog ends it; by hand: detektor restart stream"
        return 503, {"status": "HUNG", "reason": f"No round was finished for {silent:.0f} s.", "fix": fix} | state
    if lag > STALE_S:
        fix = "Its log file says what it waits for: PostgreSQL or Redis, see detektor status"
        return 200, {"status": "STALE", "reason": f"The newest values are {lag:.0f} s old.", "fix": fix} | state
    return 200, {"status": "OK"} | state


class _Metrics:
    """A collector of prometheus_client: asked at each scrape."""

    def __init__(self, settings: Settings, health: Health) -> None:
        self._settings = settings
        self._health = health

    def collect(self) -> Iterator[Any]:
        """Yield the metrics."""
        state = report(self._health)
        yield _LAG.family([((), state["lag_us"] / _SECOND)])
        yield _AHEAD.family([((), state["ahead_us"] / _SECOND)])
        yield _LOAD.family([((), state["load_seconds"])])
        yield _HEARTBEAT.family([((), state["beat"])])
        for field, metric in (_GAUGES | _COUNTERS).items():
            yield metric.family([((), state[field])])
        yield from loaded.families()
        yield from self._parity()

    def _parity(self) -> Iterator[Any]:
        from detektor_pipelines.quality.parity.check import STATES, last_results

        try:
            last = last_results(self._settings)
        except UserError:
            last = None
        views = last["views"] if last else {}
        yield _COMPARED.family(((view,), found["compared"]) for view, found in views.items())
        yield _STATES.family(((view, state), found["states"].get(state, 0)) for view, found in views.items() for state in STATES)
        yield _MISMATCHES.family(
            ((view, feature), number)
            for view, found in views.items()
            for feature, number in {"": sum(found["by_feature"].values()), **found["by_feature"]}.items()
        )
        yield _COMPARED_AT.family([((), last["at"] / _SECOND)] if last else [])
