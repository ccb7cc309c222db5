"""What Prometheus records and when it alerts, as data. `prometheus` makes its files of it, `runbooks` has the pages.

The objective: of a month's requests to the feature server 99.9 % are answered with values (fallback values count, they say so), and it is
there 99.9 % of the time. What is worse of the two counts. It burns fast when a month's budget would last two days (14.4 times as fast as
it may), slowly when it would last five (6 times); both are looked at over a long and a short window, so that an alert ends when its cause
does.

Tested on Prometheus 2.42 and written for 3 as well: no feature flags, plain names, ranges long enough for either way of counting ends.
"""

from __future__ import annotations

from typing import Final

from detektor_pipelines.monitoring.alert import Alert, Recording

OBJECTIVE: Final = 0.999
_BUDGET: Final = round(1 - OBJECTIVE, 6)
FAST: Final = 14.4
SLOW: Final = 6
LATENCY_S: Final = 0.05
DRIFT_SCORE: Final = 0.2
BACKFILL_S: Final = 4 * 3600
ROWS_S: Final = 3 * 3600
VALUES_S: Final = 10
LAG_S: Final = 5
SILENT_S: Final = 72 * 3600
REJECTED: Final = 20


def _errors(window: str) -> Recording:
    requests = 'sum(rate(feast_online_requests_total{status=~"5.."}[$W])) / sum(rate(feast_online_requests_total[$W]))'
    uptime = '1 - avg(avg_over_time(up{job="detektor-serve"}[$W]))'
    worse = f'max(label_replace({requests}, "of", "requests", "", "") or label_replace({uptime}, "of", "uptime", "", ""))'
    return Recording(f"detektor:serving_errors:ratio_{window}", worse.replace("$W", f"${window}"))


def _latency(quantile: str) -> Recording:
    return Recording(
        f"detektor:serving_latency_seconds:p{quantile}_5m",
        f"histogram_quantile(0.{quantile}, sum by (le) (rate(feast_online_serving_latency_bucket[$5m])))",
    )


RECORDINGS: Final = (
    _latency("50"),
    _latency("95"),
    _latency("99"),
    Recording("detektor:serving_requests:rate_5m", "sum(rate(feast_online_requests_total[$5m]))"),
    *(_errors(window) for window in ("5m", "30m", "1h", "6h")),
    Recording(
        "view:detektor_completeness:ratio",
        'sum by (view) (detektor_offline_days{state=~"fresh|stale"}) / sum by (view) (detektor_offline_days)',
    ),
    Recording("view:detektor_null_ratio:max", "max by (view) (detektor_offline_null_ratio)"),
)


def _burns(times: float, long: str, short: str) -> str:
    ratio = "detektor:serving_errors:ratio_{} > {:.6g}"
    return f"{ratio.format(long, times * _BUDGET)} and {ratio.format(short, times * _BUDGET)}"


ALERTS: Final = (
    Alert(
        "ServingLatencyHigh",
        "serving-latency",
        f"detektor:serving_latency_seconds:p99_5m > {LATENCY_S}",
        "$5m",
        "warning",
        "One read in a hundred takes {{ $value | humanizeDuration }} or longer.",
    ),
    Alert(
        "ErrorBudgetBurnsFast",
        "serving-errors",
        _burns(FAST, "1h", "5m"),
        "$2m",
        "critical",
        "{{ $value | humanizePercentage }} of reads or of the time failed: a month's error budget lasts less than two days.",
    ),
    Alert(
        "ErrorBudgetBurnsSlowly",
        "serving-errors",
        _burns(SLOW, "6h", "30m"),
        "$15m",
        "warning",
        "{{ $value | humanizePercentage }} of reads or of the time failed: a month's error budget lasts less than five days.",
    ),
    Alert(
        "FeatureServerDown",
        "server-down",
        'up{job="detektor-serve"} == 0 or absent(up{job="detektor-serve"})',
        "$1m",
        "critical",
        "The feature server {{ $labels.instance }} does not answer.",
    ),
    Alert(
        "ServerDown",
        "server-down",
        'detektor_server_up == 0 or label_replace(up{job=~"detektor-(stream|exporter)"} == 0, "server", "$1", "job", "detektor-(.+)")',
        "$2m",
        "warning",
        "The server {{ $labels.server }} does not answer as it should.",
    ),
    Alert(
        "RedisDown",
        "redis-down",
        "min(feast_online_redis_up) == 0",
        "$30s",
        "critical",
        "Redis does not answer the feature server: readers get values kept earlier, or 503.",
    ),
    Alert(
        "ServingFallback",
        "redis-down",
        "sum(increase(feast_online_fallback_total[$5m])) > 0",
        "$2m",
        "warning",
        "{{ $value | humanize }} reads of the last minutes were answered from values kept earlier.",
    ),
    Alert(
        "ValuesStale",
        "stale-values",
        f"max by (view) (detektor_online_age_seconds) > {VALUES_S} and on () min(detektor_online_fresh) == 0",
        "$30s",
        "critical",
        "What is served of {{ $labels.view }} is true only up to {{ $value | humanizeDuration }} ago.",
    ),
    Alert(
        "ValuesAhead",
        "values-ahead",
        "max(feast_online_ahead_seconds) > 0",
        "$1m",
        "critical",
        "Values lie {{ $value | humanizeDuration }} ahead of the clock: nobody trusts them.",
    ),
    Alert(
        "ValuesDropped",
        "evicted-values",
        "sum(increase(detektor_redis_evicted_keys_total[$10m])) > 0 or sum(increase(detektor_stream_lost_values_total[$10m])) > 0",
        "$0m",
        "critical",
        "Redis has dropped {{ $value | humanize }} keys: some agents are, or were, NOT_FOUND.",
    ),
    Alert(
        "ValuesMissing",
        "evicted-values",
        "detektor_online_missing_keys > 0",
        "$5m",
        "warning",
        "{{ $value }} agents of {{ $labels.view }} have published rows and no value online.",
    ),
    Alert(
        "StreamLag",
        "stream-lag",
        f"max(detektor_stream_lag_seconds) > {LAG_S} or detektor_stream_heartbeat_age_seconds > 60",
        "$1m",
        "critical",
        "The stream is {{ $value | humanizeDuration }} behind.",
    ),
    Alert(
        "ParityBroken",
        "parity",
        'detektor_parity_mismatches{feature=""} > 0',
        "$0m",
        "critical",
        "{{ $value }} served features of {{ $labels.view }} are not what the raw log gives.",
    ),
    Alert(
        "RowsStale",
        "stale-rows",
        f"detektor_offline_age_seconds > {ROWS_S}",
        "$10m",
        "warning",
        "Published rows of {{ $labels.view }} are true only up to {{ $value | humanizeDuration }} ago.",
    ),
    Alert(
        "DaysBehind",
        "missing-days",
        'sum by (view) (detektor_offline_days{state=~"stale|missing"}) > 0',
        "$3h",
        "warning",
        "{{ $value }} days of {{ $labels.view }} are not published, or no longer say what the log says.",
    ),
    Alert(
        "BackfillSlow",
        "slow-backfill",
        f"detektor_backfill_running_seconds > {BACKFILL_S}",
        "$0m",
        "warning",
        "A backfill has been under way for {{ $value | humanizeDuration }}.",
    ),
    Alert(
        "GateFailing",
        "gate-failures",
        "increase(detektor_gate_failures_total[$1h]) > 0",
        "$0m",
        "warning",
        "The gate held rows of {{ $labels.view }} back.",
    ),
    Alert(
        "FeatureDrift",
        "feature-drift",
        f"max by (view, feature) (feast_feature_drift_score) > {DRIFT_SCORE}",
        "$5m",
        "warning",
        "{{ $labels.view }}:{{ $labels.feature }} has drifted: {{ $value | humanize }}.",
    ),
    Alert(
        "LogSilent",
        "silent-log",
        f"detektor_log_age_seconds > {SILENT_S}",
        "$10m",
        "warning",
        "Nothing has arrived in the raw log for {{ $value | humanizeDuration }}.",
    ),
    Alert(
        "EventsRejected",
        "rejected-events",
        f"sum(increase(detektor_log_rejected_events_total[$15m])) > {REJECTED}",
        "$0m",
        "warning",
        "{{ $value | humanize }} records of the last minutes could not be read or counted.",
    ),
    Alert(
        "DefinitionsDiffer",
        "definitions-differ",
        "count(count by (hash) (detektor_definitions_combined_info)) > 1",
        "$15m",
        "warning",
        "Processes have {{ $value }} different sets of definitions loaded.",
    ),
    Alert(
        "ExporterBlind",
        "exporter-blind",
        "detektor_exporter_query_up == 0",
        "$5m",
        "warning",
        "The exporter gets no answer to {{ $labels.query }}: what that would say is unknown.",
    ),
)
