"""Every metric of every process, as data: which server exposes it, its name, kind, labels, unit, and a HELP that says what to do.

docs/metrics.md is made from this list, the exposition of each server is held to it by tests, rules and dashboards take names from it. A
name is never changed: `feast_online_serving_latency` and `feast_feature_drift_score` are what others already ask for, all further ones
begin with `detektor_` and end in their unit. Labels are views, features, states and the like, which the definitions bound, and twenty
projects; never an agent_id, an address or a text.

Prometheus finds a server by the job of the same name: `detektor-serve`, `detektor-stream`, `detektor-exporter`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from detektor_pipelines.compile import loaded
from detektor_pipelines.metric import Metric
from detektor_pipelines.stream.metrics import METRICS as STREAM

if TYPE_CHECKING:
    from collections.abc import Mapping

DAY_STATES: Final = ("fresh", "stale", "missing")
"""Values of `state` of OFFLINE_DAYS: published and true, published before events that reach it, not published."""

DRIFT_LEVELS: Final = ("calm", "watch", "alert", "too_few")

# The feature server ----------------------------------------------------------------------------------------------------------

LATENCY: Final = Metric(
    "feast_online_serving_latency",
    "histogram",
    "Seconds from a request's arrival to its answer, /get-online-features. p99 above 0.05: docs/runbooks/serving-latency.md.",
    unit="seconds",
)
REQUESTS: Final = Metric(
    "feast_online_requests_total",
    "counter",
    "Answers of /get-online-features. 5xx among them use up the objective of 99.9 %: docs/runbooks/serving-errors.md.",
    ("status",),
)
AGENTS: Final = Metric(
    "feast_online_agents_total", "counter", "Agents asked for; many a request are one large answer, see serve_entities_limit."
)
FALLBACK: Final = Metric(
    "feast_online_fallback_total",
    "counter",
    "Answers from values kept earlier, with Redis away. While it grows: docs/runbooks/redis-down.md.",
)
LATE: Final = Metric(
    "feast_online_late_total",
    "counter",
    "Of these, the ones that Redis was late for. While it grows, look at Redis' slow log and at the machine's load.",
)
REFUSED: Final = Metric(
    "detektor_serve_refused_total",
    "counter",
    "Requests and connections turned away unread. page: Host or Origin; peer: too many connections or bad tokens. While it grows, the"
    " log says who: docs/security.md.",
    ("reason",),
)
REDIS_UP: Final = Metric("feast_online_redis_up", "gauge", "1 while Redis answers the feature server. 0: docs/runbooks/redis-down.md.")
AHEAD: Final = Metric(
    "feast_online_ahead_seconds",
    "gauge",
    "By how much what is online lies ahead of the clock: nobody trusts it. Above 0: set the clocks right, then detektor online repair.",
    unit="seconds",
)
ONLINE_AGE: Final = Metric(
    "detektor_online_age_seconds",
    "gauge",
    "Age of what is served: seconds since the instant up to which all of the view's values are true. NaN when nothing says so. Above 10:"
    " docs/runbooks/stale-values.md.",
    ("view",),
    "seconds",
)
ONLINE_FRESH: Final = Metric(
    "detektor_online_fresh",
    "gauge",
    "1 while /health says OK or STATIC; 0 while what is served is old, ahead of the clock, dropped or away. 0: ask GET /health why.",
)

# The exporter ----------------------------------------------------------------------------------------------------------------

SERVER_UP: Final = Metric(
    "detektor_server_up",
    "gauge",
    "1 while the server of the stack answers as it should. 0: docs/runbooks/server-down.md.",
    ("server",),
)
SERVER_MEMORY: Final = Metric(
    "detektor_server_memory_bytes",
    "gauge",
    "Resident memory of the server's processes. Growth for days is a leak: detektor restart, and say so.",
    ("server",),
    "bytes",
)
OFFLINE_AGE: Final = Metric(
    "detektor_offline_age_seconds",
    "gauge",
    "Age of the published rows: seconds since the instant up to which they are true, whatever any job says. Above 10800:"
    " docs/runbooks/stale-rows.md.",
    ("view",),
    "seconds",
)
OFFLINE_DAYS: Final = Metric(
    "detektor_offline_days",
    "gauge",
    "Days from the first event to today by state: fresh, stale (newer events reach it), missing (not published). stale or missing for"
    " hours: docs/runbooks/missing-days.md.",
    ("view", "state"),
)
OFFLINE_ROWS: Final = Metric(
    "detektor_offline_rows",
    "gauge",
    "Published rows of the present version. They never become fewer by themselves: then see the check rows_did_not_shrink.",
    ("view",),
)
NULL_RATIO: Final = Metric(
    "detektor_offline_null_ratio",
    "gauge",
    "Share of nulls in the rows of the newest seven published days. A jump: a reader no longer finds a measure, see the check"
    " nulls_are_usual.",
    ("view", "feature"),
    "ratio",
)
LOG_AGE: Final = Metric(
    "detektor_log_age_seconds",
    "gauge",
    "Seconds since anything arrived in the raw log. Above three days: docs/runbooks/silent-log.md.",
    unit="seconds",
)
LOG_EVENTS: Final = Metric(
    "detektor_log_events",
    "gauge",
    "Rows of the raw log by agent, revisions among them, as PostgreSQL's statistics estimate them; for how it grows.",
    ("agent",),
)
PROJECT_EVENTS: Final = Metric(
    "detektor_project_events",
    "gauge",
    "Rows of the raw log of the last seven days by the agent's view and project, the busiest twenty by name; a project that falls"
    " silent: docs/runbooks/silent-log.md.",
    ("view", "project"),
)
REJECTED: Final = Metric(
    "detektor_log_rejected_events_total",
    "counter",
    "Records that could not be read or counted. While it grows: docs/runbooks/rejected-events.md.",
)
BACKFILL_RUNNING: Final = Metric(
    "detektor_backfill_running_seconds",
    "gauge",
    "For how long the longest backfill that is under way has been so; 0 without one. Above 14400: docs/runbooks/slow-backfill.md.",
    unit="seconds",
)
BACKFILL_LAST: Final = Metric(
    "detektor_backfill_last_seconds",
    "gauge",
    "How long the backfill took that ended last. Much more than the ones before: look at its run in Dagster.",
    unit="seconds",
)
GATE_FAILURES: Final = Metric(
    "detektor_gate_failures_total",
    "counter",
    "Times that the gate held rows of a view back. While it grows: docs/runbooks/gate-failures.md.",
    ("view",),
)
CHECK_FAILING: Final = Metric(
    "detektor_check_failing",
    "gauge",
    "1 while the newest verdict of a check of the view is that it did not pass. 1: the check's page in Dagster says what to do.",
    ("view", "check"),
)
ONLINE_KEYS: Final = Metric(
    "detektor_online_keys",
    "gauge",
    "Values in Redis of the view's present version. Fewer than before: docs/runbooks/evicted-values.md.",
    ("view",),
)
ONLINE_MISSING: Final = Metric(
    "detektor_online_missing_keys",
    "gauge",
    "Agents with published rows and no value online: readers get NOT_FOUND. Above 0 for minutes: docs/runbooks/evicted-values.md.",
    ("view",),
)
HEARTBEAT_AGE: Final = Metric(
    "detektor_stream_heartbeat_age_seconds",
    "gauge",
    "Seconds since any stream worker last finished a round; NaN when there has never been one. Above 10: docs/runbooks/stream-lag.md.",
    unit="seconds",
)
REDIS_MEMORY: Final = Metric(
    "detektor_redis_memory_bytes", "gauge", "Memory that Redis uses. Near the limit: docs/runbooks/evicted-values.md.", unit="bytes"
)
REDIS_LIMIT: Final = Metric(
    "detektor_redis_memory_limit_bytes", "gauge", "What Redis may use (maxmemory); 0 for no limit. Set by who runs Redis.", unit="bytes"
)
EVICTED: Final = Metric(
    "detektor_redis_evicted_keys_total",
    "counter",
    "Keys that Redis dropped because it was full. While it grows: docs/runbooks/evicted-values.md.",
)
EVICTS: Final = Metric(
    "detektor_redis_evicts",
    "gauge",
    "1 when a full Redis drops feature values (maxmemory-policy allkeys-…). 1: set noeviction or volatile-lru.",
)
REGISTRY_AGE: Final = Metric(
    "detektor_registry_age_seconds",
    "gauge",
    "Seconds since Feast's registry was last written; old is well. Young without a release: ask who applied what.",
    unit="seconds",
)
REGISTRY_VIEWS: Final = Metric(
    "detektor_registry_views", "gauge", "Feature views in Feast's registry. Fewer than the catalogue has: feast apply, or detektor restart."
)
DRIFT: Final = Metric(
    "feast_feature_drift_score",
    "gauge",
    "How far a feature's values lie from the reference window. Below 0.1 is calm; above 0.2: docs/runbooks/feature-drift.md.",
    ("view", "feature", "method"),
)
DRIFT_FEATURES: Final = Metric(
    "detektor_drift_features",
    "gauge",
    "Features of the view by what their drift is: calm, watch, alert, too_few (rows to judge). alert: docs/runbooks/feature-drift.md.",
    ("view", "level"),
)
QUERY_UP: Final = Metric(
    "detektor_exporter_query_up",
    "gauge",
    "1 when the exporter's last question of this kind was answered. 0: what it answers is absent; see logs/exporter.log.",
    ("query",),
)
QUERY_SECONDS: Final = Metric(
    "detektor_exporter_query_seconds",
    "gauge",
    "How long the exporter's last question of this kind took. Above 1: raise DETEKTOR_EXPORTER_SECONDS, and look at PostgreSQL.",
    ("query",),
    "seconds",
)

SERVING: Final = (LATENCY, REQUESTS, AGENTS, FALLBACK, LATE, REFUSED, REDIS_UP, AHEAD, ONLINE_AGE, ONLINE_FRESH, *loaded.METRICS)
EXPORTER: Final = (
    SERVER_UP,
    SERVER_MEMORY,
    OFFLINE_AGE,
    OFFLINE_DAYS,
    OFFLINE_ROWS,
    NULL_RATIO,
    LOG_AGE,
    LOG_EVENTS,
    PROJECT_EVENTS,
    REJECTED,
    BACKFILL_RUNNING,
    BACKFILL_LAST,
    GATE_FAILURES,
    CHECK_FAILING,
    ONLINE_KEYS,
    ONLINE_MISSING,
    HEARTBEAT_AGE,
    REDIS_MEMORY,
    REDIS_LIMIT,
    EVICTED,
    EVICTS,
    REGISTRY_AGE,
    REGISTRY_VIEWS,
    DRIFT,
    DRIFT_FEATURES,
    QUERY_UP,
    QUERY_SECONDS,
    *loaded.METRICS,
)

METRICS: Final[Mapping[str, tuple[Metric, ...]]] = {"serve": SERVING, "stream": STREAM, "exporter": EXPORTER}
"""By server, in the order of its page."""
