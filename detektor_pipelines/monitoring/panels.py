"""What Grafana shows, as data: rows of panels, each with its queries, unit, limits and what to do about it.

`monitoring.dashboard` makes Grafana's JSON of it; docs/images/draw_dashboard.py draws the same panels without Grafana. A query names
metrics of `monitoring.metrics` and their labels alone, which a test holds it to.

Two variables narrow the panels. `$agent` is one of the eight agents; its value is the agent's feature view, since that is the label which
metrics have. `$project` is a repository that agents work in: only the raw log is counted by it (`detektor_project_events`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.language.events import AGENT_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

UID: Final = "feast-feature-store"
TITLE: Final = "Feature store of the Detektor agents"

OBJECTIVE: Final = 0.999
"""Share of requests that the feature server answers, over 30 days."""

Kind: TypeAlias = Literal["stat", "timeseries", "state-timeline"]
WIDTH: Final = 24
"""Columns of Grafana's grid."""


@dataclass(frozen=True, slots=True)
class Query:
    """One question to Prometheus. `legend` is Grafana's: `{{view}}` is the label's value."""

    expr: str
    legend: str


@dataclass(frozen=True, slots=True)
class Limit:
    """From `above` on, values have this colour; the first limit of a panel begins at minus infinity."""

    above: float | None
    colour: Literal["green", "yellow", "red"]


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture.

    Attributes:
        title: What it shows, unit left out.
        kind: How Grafana draws it.
        queries: One or more; their results share the axis.
        text: What a person reads in it, and when it is wrong.
        unit: Grafana's name of the unit: `s`, `bytes`, `percentunit` (0 to 1), `reqps`, `short`, …
        limits: Colours; without any, lines have colours of their own.
        runbook: The page below docs/runbooks without `.md`, or None.
        width: Columns of WIDTH.
        height: Rows of the grid, 30 pixels each.
        least: The lowest value of the axis, None for the data's.
        most: The highest.
        words: What values are called instead: `{1: "up", 0: "down"}`.

    """

    title: str
    kind: Kind
    queries: tuple[Query, ...]
    text: str
    unit: str = "short"
    limits: tuple[Limit, ...] = ()
    runbook: str | None = None
    width: int = 8
    height: int = 7
    least: float | None = 0
    most: float | None = None
    words: tuple[tuple[int, str], ...] = ()

    @property
    def description(self) -> str:
        """The text with its page."""
        return f"{self.text} What to do: docs/runbooks/{self.runbook}.md" if self.runbook else self.text


@dataclass(frozen=True, slots=True)
class Row:
    """Panels that belong together, from left to right, in lines of WIDTH columns."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Placed:
    """A panel, or the title of a row, on the grid: columns of WIDTH from the left, rows of 30 pixels from the top."""

    what: Panel | Row
    x: int
    y: int
    width: int
    height: int


def placed(rows: Sequence[Row]) -> Iterator[Placed]:
    """Lay rows out below each other: a line for the title, then the panels, in as many lines as their widths need."""
    y = 0
    for row in rows:
        yield Placed(row, 0, y, WIDTH, 1)
        x, y, height = 0, y + 1, 0
        for panel in row.panels:
            if x + panel.width > WIDTH:
                x, y, height = 0, y + height, 0
            yield Placed(panel, x, y, panel.width, panel.height)
            x, height = x + panel.width, max(height, panel.height)
        y += height


def agents() -> tuple[tuple[str, str], ...]:
    """Return what the variable `$agent` can be: (agent, its feature view), as the catalogue has them."""
    views = {view.agent: view.name for view in VIEWS}
    return tuple((agent, views[agent]) for agent in AGENT_TYPES if agent in views)


def rising(watch: float, bad: float | None = None) -> tuple[Limit, ...]:
    """Green, from `watch` on yellow and from `bad` on red; with one number red from it on."""
    if bad is None:
        return Limit(None, "green"), Limit(watch, "red")
    return Limit(None, "green"), Limit(watch, "yellow"), Limit(bad, "red")


def _failed(span: str) -> str:
    """Share of requests over `span` that were answered by 5xx."""
    requests = "feast_online_requests_total"
    return f'sum(rate({requests}{{status=~"5.."}}[{span}])) / sum(rate({requests}[{span}]))'


def _quantile(quantile: float) -> Query:
    name = f"p{quantile * 100:g}"
    return Query(f"histogram_quantile({quantile}, sum by (le) (rate(feast_online_serving_latency_bucket[$__rate_interval])))", name)


_ALLOWED: Final = f"(1 - {OBJECTIVE})"
_MINE: Final = 'view=~"$agent"'
_UP: Final = ((1, "yes"), (0, "no"))
_YES: Final = (Limit(None, "red"), Limit(1, "green"))
_BY_VIEW: Final = "{{view}}"

_OBJECTIVE: Final = Row(
    "Objective: 99.9 % of requests answered in 30 days",
    (
        Panel(
            "Answered, 30 days",
            "stat",
            (Query(f"1 - {_failed('30d')}", "answered"),),
            "Share of requests not answered by 5xx, as far back as Prometheus keeps samples.",
            unit="percentunit",
            limits=(Limit(None, "red"), Limit(OBJECTIVE, "green")),
            runbook="serving-errors",
            width=4,
            least=None,
        ),
        Panel(
            "Error budget left",
            "stat",
            (Query(f"1 - {_failed('30d')} / {_ALLOWED}", "left"),),
            "1 is an untouched budget of 0.1 % of 30 days' requests; at 0 the objective is missed.",
            unit="percentunit",
            limits=(Limit(None, "red"), Limit(0, "yellow"), Limit(0.5, "green")),
            runbook="serving-errors",
            width=4,
            least=None,
        ),
        Panel(
            "How fast the budget burns",
            "timeseries",
            tuple(Query(f"{_failed(span)} / {_ALLOWED}", span) for span in ("5m", "1h", "6h")),
            "At 1 the budget lasts exactly 30 days; at 14.4 a fiftieth of it goes in an hour.",
            limits=rising(1, 14.4),
            runbook="serving-errors",
        ),
        Panel(
            "Servers that answer",
            "state-timeline",
            (Query("min by (server) (detektor_server_up)", "{{server}}"),),
            "Each server of the stack that somebody started.",
            limits=_YES,
            runbook="server-down",
            words=_UP,
        ),
    ),
)

_SERVING: Final = Row(
    "Serving",
    (
        Panel(
            "Latency of a read",
            "timeseries",
            (_quantile(0.5), _quantile(0.9), _quantile(0.99)),
            "From a request's arrival to its answer; p99 above 50 ms alerts.",
            unit="s",
            limits=rising(0.01, 0.05),
            runbook="serving-latency",
        ),
        Panel(
            "Requests by status",
            "timeseries",
            (Query("sum by (status) (rate(feast_online_requests_total[$__rate_interval]))", "{{status}}"),),
            "4xx are the caller's, 5xx use up the error budget.",
            unit="reqps",
            runbook="serving-errors",
        ),
        Panel(
            "Answers within 10 ms",
            "timeseries",
            (
                Query(
                    'sum(rate(feast_online_serving_latency_bucket{le="0.01"}[$__rate_interval]))'
                    " / sum(rate(feast_online_serving_latency_count[$__rate_interval]))",
                    "within 10 ms",
                ),
            ),
            "Share of reads below 10 ms.",
            unit="percentunit",
            limits=(Limit(None, "red"), Limit(0.95, "yellow"), Limit(0.99, "green")),
            runbook="serving-latency",
            most=1,
        ),
        Panel(
            "Age of what is served",
            "timeseries",
            (Query(f"max by (view) (detektor_online_age_seconds{{{_MINE}}})", _BY_VIEW),),
            "Seconds since the instant up to which a view's online values are true. Above 10 the stream worker hangs or is away.",
            unit="s",
            limits=rising(5, 10),
            runbook="stale-values",
        ),
        Panel(
            "Redis answers, values are fresh",
            "state-timeline",
            (Query("min(feast_online_redis_up)", "Redis answers"), Query("min(detektor_online_fresh)", "/health is OK")),
            "What the feature server sees itself; GET /health says why.",
            limits=_YES,
            runbook="redis-down",
            words=_UP,
        ),
        Panel(
            "Answers from values kept earlier",
            "timeseries",
            (
                Query("sum(rate(feast_online_fallback_total[$__rate_interval]))", "Redis away"),
                Query("sum(rate(feast_online_late_total[$__rate_interval]))", "of these, Redis late"),
            ),
            "Readers get an answer, but an older one.",
            unit="reqps",
            runbook="redis-down",
        ),
    ),
)

_STREAM: Final = Row(
    "Stream",
    (
        Panel(
            "Lag and heartbeat",
            "timeseries",
            (
                Query("max(detektor_stream_lag_seconds)", "newest values behind the clock"),
                Query("min(detektor_stream_heartbeat_age_seconds)", "since a worker finished a round"),
            ),
            "A lag above 5 s: the worker cannot keep up or cannot write. A heartbeat above 60 s: it hangs (looked at every 15 s).",
            unit="s",
            limits=rising(5, 60),
            runbook="stream-lag",
            width=6,
        ),
        Panel(
            "Events in, values out",
            "timeseries",
            (
                Query("sum(rate(detektor_stream_events_total[$__rate_interval]))", "events heard"),
                Query("sum(rate(detektor_stream_values_total[$__rate_interval]))", "values written"),
            ),
            "Values also move without events: a window's old events leave it.",
            unit="ops",
            runbook="stream-lag",
            width=6,
        ),
        Panel(
            "Not yet online, refused, lost",
            "timeseries",
            (
                Query("sum(detektor_stream_pending_values)", "waiting for Redis"),
                Query("sum(detektor_stream_unresolved_values)", "not made good"),
                Query("sum(increase(detektor_stream_refused_values_total[$__rate_interval]))", "refused by the guard"),
                Query("sum(increase(detektor_stream_lost_values_total[$__rate_interval]))", "lost by Redis, written again"),
            ),
            "All of it is 0 on a quiet day.",
            runbook="redis-down",
            width=6,
        ),
        Panel(
            "Parity: values that are not right",
            "timeseries",
            (Query(f'sum by (view) (detektor_parity_mismatches{{feature="",{_MINE}}})', _BY_VIEW),),
            "Served values that differ from the log computed again, when they were last compared (detektor parity). Must be 0.",
            limits=rising(1),
            runbook="parity",
            width=6,
        ),
    ),
)

_BATCH: Final = Row(
    "Batch",
    (
        Panel(
            "Age of published rows",
            "timeseries",
            (Query(f"max by (view) (detektor_offline_age_seconds{{{_MINE}}})", _BY_VIEW),),
            "Seconds since the instant up to which rows are true, whatever a job says. Hourly runs keep it below two hours.",
            unit="s",
            limits=rising(7_200, 10_800),
            runbook="stale-rows",
        ),
        Panel(
            "Days that are stale or missing",
            "timeseries",
            (Query(f'sum by (view, state) (detektor_offline_days{{state!="fresh",{_MINE}}})', "{{view}} {{state}}"),),
            "Stale: later events reach a published day. Missing: no rows of it yet.",
            limits=rising(1, 3),
            runbook="missing-days",
        ),
        Panel(
            "Backfill",
            "timeseries",
            (
                Query("max(detektor_backfill_running_seconds)", "under way for"),
                Query("max(detektor_backfill_last_seconds)", "the last one took"),
            ),
            "0 without one; above four hours alerts.",
            unit="s",
            limits=rising(7_200, 14_400),
            runbook="slow-backfill",
        ),
        Panel(
            "Published rows",
            "timeseries",
            (Query(f"max by (view) (detektor_offline_rows{{{_MINE}}})", _BY_VIEW),),
            "They never become fewer by themselves.",
        ),
        Panel(
            "Days held back by the gate",
            "timeseries",
            (Query(f"sum by (view) (increase(detektor_gate_failures_total{{{_MINE}}}[1d]))", _BY_VIEW),),
            "Times within a day that rows were not valid and not published.",
            limits=rising(1),
            runbook="gate-failures",
        ),
        Panel(
            "Checks that do not pass",
            "timeseries",
            (Query(f"sum by (check) (detektor_check_failing{{{_MINE}}})", "{{check}}"),),
            "Views whose newest verdict of a check is that it did not pass. The check's page in Dagster says why and what to do.",
            limits=rising(1),
        ),
    ),
)

_QUALITY: Final = Row(
    "Quality",
    (
        Panel(
            "Drift, the eight highest",
            "timeseries",
            (Query(f"topk(8, max by (view, feature) (feast_feature_drift_score{{{_MINE}}}))", "{{feature}}"),),
            "How far a feature's values lie from the reference window. Below 0.1 is calm, above 0.2 alerts.",
            limits=rising(0.1, 0.2),
            runbook="feature-drift",
            width=12,
        ),
        Panel(
            "Features by drift",
            "timeseries",
            (Query(f"sum by (level) (detektor_drift_features{{{_MINE}}})", "{{level}}"),),
            "too_few: too few rows to judge by.",
            runbook="feature-drift",
            width=12,
        ),
        Panel(
            "Share of nulls, mean of the features",
            "timeseries",
            (Query(f"avg by (view) (detektor_offline_null_ratio{{{_MINE}}})", _BY_VIEW),),
            "Of the newest seven published days. Some are null by design; a jump is not: detektor_offline_null_ratio names the feature.",
            unit="percentunit",
            most=1,
        ),
        Panel(
            "Rejected records, and how silent the log is",
            "timeseries",
            (
                Query("max(increase(detektor_log_rejected_events_total[1h]))", "rejected within an hour"),
                Query("max(detektor_log_age_seconds) / 3600", "hours since anything arrived"),
            ),
            "Rejected records are kept with their reason: detektor status names them.",
            runbook="rejected-events",
        ),
        Panel(
            "Events by project, seven days",
            "timeseries",
            (Query(f'sum by (project) (detektor_project_events{{{_MINE},project=~"$project"}})', "{{project}}"),),
            "Where the agents work. The twenty busiest projects by name, the rest together.",
            runbook="silent-log",
        ),
    ),
)

_STORES: Final = Row(
    "Stores",
    (
        Panel(
            "Memory of Redis",
            "timeseries",
            (Query("max(detektor_redis_memory_bytes)", "used"), Query("max(detektor_redis_memory_limit_bytes)", "limit (0: none)")),
            "Near the limit it refuses writes or drops keys.",
            unit="bytes",
            runbook="evicted-values",
            width=6,
        ),
        Panel(
            "Values online",
            "timeseries",
            (
                Query(f"sum(detektor_online_keys{{{_MINE}}})", "there"),
                Query(f"sum(detektor_online_missing_keys{{{_MINE}}})", "missing: readers get NOT_FOUND"),
            ),
            "An agent with published rows has a value online.",
            runbook="evicted-values",
            width=6,
        ),
        Panel(
            "Keys that Redis dropped",
            "timeseries",
            (Query("max(increase(detektor_redis_evicted_keys_total[1h]))", "within an hour"),),
            "A full Redis with an eviction policy drops feature values.",
            limits=rising(1),
            runbook="evicted-values",
            width=6,
        ),
        Panel(
            "Memory by server",
            "timeseries",
            (Query("max by (server) (detektor_server_memory_bytes)", "{{server}}"),),
            "Growth for days is a leak.",
            unit="bytes",
            width=6,
        ),
        Panel(
            "Views in Feast's registry",
            "stat",
            (Query("min(detektor_registry_views)", "views"),),
            f"The catalogue has {len(VIEWS)}; fewer: detektor apply.",
            limits=(Limit(None, "red"), Limit(len(VIEWS), "green")),
            width=6,
        ),
        Panel(
            "Definitions loaded",
            "stat",
            (Query("count(count by (hash) (detektor_definitions_combined_info))", "different ones"),),
            "1: every process has the same. 2: detektor restart.",
            limits=rising(2),
            width=6,
        ),
        Panel(
            "Exporter: questions answered",
            "state-timeline",
            (Query("min by (query) (detektor_exporter_query_up)", "{{query}}"),),
            "What an unanswered question stands for is absent above; logs/exporter.log says why.",
            limits=_YES,
            words=_UP,
            width=6,
        ),
        Panel(
            "Exporter: time of a question",
            "timeseries",
            (Query("max by (query) (detektor_exporter_query_seconds)", "{{query}}"),),
            "Above 1 s: raise DETEKTOR_EXPORTER_SECONDS, and look at PostgreSQL.",
            unit="s",
            limits=rising(1),
            width=6,
        ),
    ),
)

ROWS: Final = (_OBJECTIVE, _SERVING, _STREAM, _BATCH, _QUALITY, _STORES)

VARIABLES: Final = {"agent": ".+", "project": ".+", "__rate_interval": "1m"}
"""What stands for Grafana's variables where a query is asked without Grafana: everything, and rates of a minute."""


def asked(expr: str, **values: str) -> str:
    """Return a query with its variables filled in: by `values`, else by VARIABLES."""
    for name, value in (VARIABLES | values).items():
        expr = expr.replace(f"${name}", value)
    return expr
