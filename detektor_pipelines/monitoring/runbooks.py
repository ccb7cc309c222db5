"""The pages of docs/runbooks as data: what an alert means, what to look at, what to do, and how to see that it has worked."""

from __future__ import annotations

from typing import Final

from detektor_pipelines.monitoring.alert import Runbook

RUNBOOKS: Final = (
    Runbook(
        "serving-latency",
        "Reads are slow",
        "Readers wait; a caller with a deadline of its own sees errors. The objective is 10 ms, the alert 50 ms.",
        (
            "`detektor status`: is Redis running, does the feature server say OK?",
            "`curl -s localhost:6566/metrics | grep -E 'late_total|fallback_total'`: does Redis answer late? Then it is Redis, not the server.",
            (
                '`grep \'"path": "/get-online-features"\' .detektor/logs/serve.log | tail`: slow requests have a line each, with `ms`. Are they'
                " large (thousands of agents), or do they come from one caller?"
            ),
            "`uptime` and the memory of the machine: a backfill beside it, swapping?",
        ),
        (
            "Large requests: ask their caller for smaller ones, or lower DETEKTOR_SERVE_ENTITIES_LIMIT.",
            "A busy core: run more processes, `detektor serve --workers 2`.",
            "A slow Redis: `redis-cli SLOWLOG GET 10` names the command; end what sends it. A Redis that swaps needs more memory.",
            "A backfill on the same machine: cancel it in Dagster, and run it at night.",
        ),
        "`detektor:serving_latency_seconds:p99_5m` falls below 0.05; the alert ends after five minutes at most.",
    ),
    Runbook(
        "serving-errors",
        "The error budget burns",
        "More reads fail, or the server is away longer, than 99.9 % a month allows. Fast: at this rate the month's budget is gone in two days."
        " Slowly: in five.",
        (
            "Is FeatureServerDown or RedisDown firing too? Begin with that page.",
            (
                "`sum by (status) (rate(feast_online_requests_total[5m]))` in Prometheus: which answers are they? 503 is Redis or the token"
                " provider, 500 a fault of ours."
            ),
            (
                '`grep \'"level": "error"\' .detektor/logs/serve.log | tail`: each failed request has a line with `detail` and `request_id`; the'
                " line before it with the same id holds the traceback."
            ),
        ),
        (
            "503: see redis-down.md. With an OIDC provider: is it reachable from here?",
            "500: go back to the release before (`detektor rollback`), and file the traceback.",
            "Nothing else helps and Redis is the reason: `detektor rollback --static` serves the values kept last.",
        ),
        "`detektor:serving_errors:ratio_5m` falls to 0, and with it the alert within minutes: the long window alone does not keep it up.",
    ),
    Runbook(
        "server-down",
        "A server does not answer",
        "Of the feature server: readers get nothing. Of the stream worker: values grow old. Of the exporter: nobody sees the data's age. Of"
        " Dagster: days are not published.",
        (
            "`detektor status`: is it stopped, failed, hung or unwell? `detektor doctor` says what fixes each.",
            "Its log, `.detektor/logs/<server>.log`; the last lines of one that failed say why.",
            "`.detektor/logs/watchdog.log`: was it ended because it hung?",
            "On another machine: does Prometheus reach the port, and does it have a token where one is wanted?",
        ),
        (
            "Stopped or failed: `detektor up`. It names a port that is taken, or the reason.",
            "Hung: the watchdog ends it within a minute; by hand `detektor restart <server>`.",
            "PostgreSQL does not start: is the disk full (`df -h`)? Free space; never delete files below `servers/postgres`.",
        ),
        "`detektor status` says running, `up` and `detektor_server_up` are 1.",
    ),
    Runbook(
        "redis-down",
        "Redis does not answer",
        "Readers get the values kept last (`X-Feature-Source: fallback`, with their age), and 503 where nothing was kept. The stream goes on"
        " counting and writes when Redis is back. Nothing is lost: everything online can be made again from PostgreSQL.",
        (
            "`curl -s localhost:6566/health`: FALLBACK or DOWN, and the reason.",
            "`detektor status`, and `.detektor/logs/redis.log`: out of memory, a full disk, killed?",
            "For your own Redis: is it reachable from this host, has its password changed?",
            "ServingFallback alone, Redis up: it answers late. `redis-cli --latency`, `redis-cli SLOWLOG GET 10`.",
        ),
        (
            "`detektor up redis`, or start your own.",
            "Out of memory: raise its limit, then `detektor online prune` lets retired versions go.",
            "It came back empty: the stream worker fills it by itself within seconds; without one, `detektor parity --repair` does.",
        ),
        "/health says OK; `feast_online_redis_up` is 1 and `feast_online_fallback_total` grows no more. Then `detektor parity`.",
    ),
    Runbook(
        "stale-values",
        "Served values are old",
        "Readers get values that were right a while ago, with their age in `X-Feature-Age-Seconds`; beyond a view's max_age they get"
        " OUTSIDE_MAX_AGE. /health says STALE, with 200: see docs/monitoring.md.",
        (
            "`curl -s localhost:6566/health`: the reason says since when, and when a stream worker was last heard of.",
            "`detektor status`: is the stream worker running, hung, starting? A worker that starts reads the longest windows first.",
            "`.detektor/logs/stream.log`: does it wait for PostgreSQL or Redis, or start again and again?",
            "`detektor_stream_unresolved_values`: values that the guard refuses keep their shard back.",
        ),
        (
            "No worker: `detektor up stream`.",
            "A worker that hangs: the watchdog ends it within a minute; `detektor restart stream` at once.",
            "PostgreSQL away, or somebody holds a transaction open (`SELECT * FROM pg_stat_activity WHERE state LIKE 'idle in%'`): end that.",
            "Unresolved values: `detektor parity --repair`.",
            "No worker is wanted here any more: set DETEKTOR_SERVE_STALE_SECONDS to what batch gives, 10800.",
        ),
        "/health says OK, `detektor_online_age_seconds` is below 2 for every view.",
    ),
    Runbook(
        "values-ahead",
        "Values lie ahead of the clock",
        "Somebody's clock was wrong when they were written. Readers get OUTSIDE_MAX_AGE, and newer values do not replace them.",
        (
            "`date -u` on every host that writes: which one is ahead?",
            "`detektor doctor`: how many values, how far ahead.",
        ),
        ("Set the clocks right (NTP) first.", "`detektor online repair` drops what lies ahead; the stream writes it again."),
        "/health says OK, `feast_online_ahead_seconds` is 0, `detektor parity` finds nothing.",
    ),
    Runbook(
        "evicted-values",
        "Redis drops values",
        "Agents whose values are gone are NOT_FOUND to readers until they are written again; the stream worker looks for such and does that.",
        (
            "`detektor doctor`: does this Redis evict (`allkeys-…`)?",
            "`detektor_redis_memory_bytes` against `detektor_redis_memory_limit_bytes`: is it full? What else is kept in it?",
            "`detektor_online_missing_keys`: how many agents have rows and no value?",
        ),
        (
            "`CONFIG SET maxmemory-policy noeviction` (or volatile-lru: our keys never expire), and in its configuration.",
            "More memory, or `detektor online prune` for retired versions; what may be evicted belongs into a Redis of its own.",
            "Values that stay missing: `detektor parity --repair`.",
        ),
        "`detektor_redis_evicted_keys_total` grows no more, `detektor_online_missing_keys` is 0, /health says OK ten minutes later.",
    ),
    Runbook(
        "stream-lag",
        "The stream is behind",
        "What agents have just done is not in the served values yet; without a heartbeat for a minute, nobody counts it at all.",
        (
            "`detektor status`: does the worker run? Is it hung?",
            "`detektor_stream_pending_values` grows: Redis does not take them. `detektor_stream_open_transactions`: somebody holds one open.",
            "`rate(detektor_stream_events_total[1m])`: a burst (an ingest of months) is worked off at thousands a second.",
        ),
        (
            "A burst: wait. It ends by itself.",
            "A second worker takes half of the shards: run `detektor stream` on another core.",
            "Hung: `detektor restart stream`. Redis or PostgreSQL away: their pages.",
        ),
        "`detektor_stream_lag_seconds` is below 0.1, `detektor_stream_heartbeat_age_seconds` below 20.",
    ),
    Runbook(
        "parity",
        "Served values are not what the log gives",
        "Readers get wrong numbers. This must never be: it is a fault of ours, or somebody wrote into Redis by hand.",
        (
            "`detektor parity`: which agents and features, what is served, what is right, since when.",
            "`detektor features get <view> --agent-id <agent_id> --why`: who wrote the value, from which snapshot, what was refused.",
        ),
        ("`detektor parity --repair` writes them again from the raw log.", "Keep the output of both commands, and file it."),
        "`detektor parity` ends with exit code 0, `detektor_parity_mismatches` is 0.",
    ),
    Runbook(
        "stale-rows",
        "Published rows are old",
        "Training sets end earlier than they could, and with no stream worker served values are old too. Two hourly runs are missing.",
        (
            "Dagster, Automation: is hourly_open_day on? Runs: do they fail? `detektor status` says whether the daemon runs.",
            "`detektor status`: have all processes the same definitions loaded?",
            "Does the gate hold the day back (GateFailing)? Then that page.",
        ),
        ("`detektor up` for what does not run; switch the schedule on.", "By hand: the command that `detektor status` prints."),
        "`detektor_offline_age_seconds` is below 7200 after the next full hour.",
    ),
    Runbook(
        "missing-days",
        "Days are missing or stale",
        "For these days training sets get no rows, or rows that do not know of events that came late.",
        (
            "`detektor status`: which days, and the command that publishes them.",
            "Dagster, Runs: does repair_late_data run, and succeed? Is a backfill under way?",
        ),
        ("Run the command that `detektor status` prints.", "A day that fails again and again: see gate-failures.md."),
        "`detektor status` says 0 stale and 0 missing; `view:detektor_completeness:ratio` is 1.",
    ),
    Runbook(
        "slow-backfill",
        "A backfill takes too long",
        "Half a year of eight views takes minutes. One of four hours is stuck, or computes far more than was meant.",
        (
            "Dagster, Runs: which one, since when, what does its last event say? Is it queued behind others?",
            "`SELECT pid, state, wait_event_type, left(query, 80) FROM pg_stat_activity WHERE state <> 'idle'`: does it wait for a lock?",
            "`uptime`, `df -h`: is the machine out of memory or disk?",
        ),
        (
            "Stuck: cancel it in Dagster. What it published stays; a new `detektor backfill` computes only what is missing.",
            "A process that was killed leaves its run open: Dagster's monitor ends it within two hours, the page of the run at once.",
        ),
        "`detektor_backfill_running_seconds` is 0; `detektor status` says 0 missing.",
    ),
    Runbook(
        "gate-failures",
        "The gate held rows back",
        "Days with rows outside their bounds are not published: readers keep the rows from before.",
        (
            "Dagster, the view's asset, check values_are_valid: which days, which rows, which rule.",
            "`detektor features explain <view>:<feature> --agent-id <agent_id>`: the events behind such a value. Is the event wrong, or the bound?",
        ),
        (
            "Wrong events: correct them with a revision (docs/agent-logs.md); the days are computed again by themselves.",
            (
                "A bound that is too narrow: widen it in the catalogue, `detektor generate`, `detektor restart`, then the command of"
                " `detektor status`."
            ),
        ),
        "The check is green on the next run, `detektor status` says 0 missing.",
    ),
    Runbook(
        "feature-drift",
        "A feature has drifted",
        "Its values lie far from those that models were trained on. Either agents work differently, or the logs say it differently.",
        (
            "`detektor drift`: which features, against which reference, how many rows. With `--plot`, both distributions side by side.",
            "`detektor_offline_null_ratio` of the feature: has it become null?",
            "Did a release change its definition or a reader? `git log -- detektor_pipelines/catalog`",
        ),
        (
            "The logs changed: fix the reader, `detektor reingest`.",
            "Agents changed: do models still predict well (`detektor shadow`)? If not, train again, and pin a new reference window.",
        ),
        "`feast_feature_drift_score` is below 0.2 after the next run of the drift check.",
    ),
    Runbook(
        "silent-log",
        "Nothing arrives in the raw log",
        "For three days no agent was heard. Over holidays that is so; else a hook or a collector does not deliver.",
        (
            "Have agents worked? Then `detektor doctor`, and the files below ~/.claude that hooks spool into.",
            "Does `detektor collect` run, where agents send over HTTP?",
            "`detektor status`, Rejected: does it arrive and cannot be read?",
        ),
        (
            "`detektor hook install` puts the hook back; what was spooled is delivered with the next event.",
            "`detektor ingest PATH` takes transcripts that nobody delivered.",
        ),
        "`detektor emit --agent code-reviewer --action review`, or real work, brings `detektor_log_age_seconds` down.",
    ),
    Runbook(
        "rejected-events",
        "Records are rejected",
        "What could not be read is kept in ml_learning.rejected_events with its reason; it counts for nothing until it is read.",
        (
            "`detektor status`: the reasons of the last 24 hours, with the latest example of each.",
            "`SELECT source, line, reason, excerpt FROM ml_learning.rejected_events ORDER BY id DESC LIMIT 20`",
        ),
        (
            "A new form of transcript: add it to the reader, then `detektor reingest`.",
            "A client that sends nonsense: its requests have a line each in the log of `detektor collect`, with the client's address.",
            "`the stream cannot count it`: the event is there, its measure is out of range; correct it with a revision.",
        ),
        "`increase(detektor_log_rejected_events_total[15m])` falls to 0.",
    ),
    Runbook(
        "definitions-differ",
        "Processes have different definitions loaded",
        "One computes by the new definitions and another by the old ones: a view may be written under one hash and read under another.",
        ("`detektor status`: which process has loaded what, since when.",),
        ("`detektor restart`: everything that is behind, in the right order, without a failed read.",),
        "`detektor status` says: on disk, and in every process.",
    ),
    Runbook(
        "exporter-blind",
        "The exporter gets no answers",
        "Part of the metrics is absent, so their alerts cannot fire.",
        (
            "`.detektor/logs/exporter.log`: each question that fails is named there, with the reason.",
            "`detektor status`: do PostgreSQL and Redis run?",
        ),
        ("`detektor up`; for a database of an older release it brings the tables up to date.", "`detektor restart exporter`."),
        "`detektor_exporter_query_up` is 1 for every query.",
    ),
)
