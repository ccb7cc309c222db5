"""The same features in Polars: what a good engineer would write by hand.

Lazy expressions over the events as they come from ADBC: hourly `group_by` sums, `cum_sum` with `join_asof` at both ends of a window,
`rolling_max_by` for extremes, `unique` for the latest event, islands by `shift` for distinct counts. What it leaves out says `peers`.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, Final

import peers
import polars as pl
from peers import aggregated, hop, hours

from detektor_pipelines.language import canonical
from detektor_pipelines.language.aggregations import Aggregation
from detektor_pipelines.language.derived import Combination, Number, Reference
from detektor_pipelines.language.expressions import Arithmetic, Column, Compare, Constant, IsNull, Logic, Not

if TYPE_CHECKING:
    from datetime import datetime

    import redis
    from adbc_driver_postgresql.dbapi import Connection

    from detektor_pipelines.language.derived import Derived
    from detektor_pipelines.language.expressions import Expression, Predicate
    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.language.windows import Window

KEY: Final = ["agent_id", "t"]
OPERATORS: Final = {**canonical.OPERATORS, "/": operator.truediv}


def backfill(connection: Connection, client: redis.Redis, view: FeatureView, start: datetime, end: datetime, target: str) -> int:
    """Read the view's events, compute its rows in (start, end], store them in both stores (`peers.store`); return their number."""
    events = pl.read_database(peers.events_query(view, start, end), connection)
    rows = compute(view, events, start, end)
    peers.store(connection, client, view, rows.to_arrow(compat_level=pl.CompatLevel.oldest()), target)
    return len(rows)


def compute(view: FeatureView, events: pl.DataFrame, start: datetime, end: datetime) -> pl.DataFrame:
    """Return the view's rows with event_timestamp in (start, end]."""
    at = pl.col("occurred_at").dt.cast_time_unit("us")
    agent = (pl.lit(f"{view.agent}@") + pl.col("project")).cast(pl.Categorical).alias("agent_id")
    return _View(view, events.with_columns(at, _ceil(at, "1h").alias("t"), agent), start, end).rows()


class _View:
    """One view's features over its events, hour by hour.

    On hourly instants t, a window of size W with a hop of up to an hour holds the events of (t - W, t]; with a hop of a day, those of
    (midnight of t - W, t].
    """

    def __init__(self, view: FeatureView, events: pl.DataFrame, start: datetime, end: datetime) -> None:
        self.view, self.events = view, events
        self.instants = self._instants(start, end)
        self.sums: dict[str, pl.Expr] = {}

    def rows(self) -> pl.DataFrame:
        """Return the rows, sorted by (agent_id, event_timestamp)."""
        names = {name: self._contributions(aggregation, where) for name, aggregation, _, where in aggregated(self.view)}
        windowed = self._sum_windows()
        found: dict[str, pl.Series] = {}
        for name, aggregation, window, where in aggregated(self.view):
            if names[name]:
                sums = [windowed[window][each] for each in names[name]]
                greatest = self._picked(Aggregation("maximum", aggregation.operand), window, where) if aggregation.edges else None
                found[name] = self.instants.select(_quotient(aggregation, sums, greatest).alias(name)).to_series()
            else:
                found[name] = self._picked(aggregation, window, where)
        rows = self.instants.with_columns(each.alias(name) for name, each in found.items())
        for each in self.view.features:
            if not isinstance(each.value, Aggregation):
                value = _arithmetic(each.value)
                rows = rows.with_columns(pl.when(value.is_finite()).then(value).alias(each.name))
        stamps = (pl.col("agent_id").cast(pl.String), pl.col("t").alias("event_timestamp"), pl.col("t").alias("created_at"))
        return rows.select(*stamps, *(each.name for each in self.view.features)).sort("agent_id", "event_timestamp")

    def _keyed(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        """Each event under its project's agent_id, and once more under the agent across all projects."""
        return pl.concat([frame.with_columns(self._together()), frame.drop_nulls("agent_id")])

    def _together(self) -> pl.Expr:
        return pl.lit(self.view.agent).cast(pl.Categorical).alias("agent_id")

    def _instants(self, start: datetime, end: datetime) -> pl.DataFrame:
        """Where rows are: in each hour in which an event entered or left a window of its agent_id."""
        entered = self._keyed(self.events.lazy().select(KEY).unique()).unique()
        left = [entered.with_columns(_leaves(pl.col("t"), window)) for window in self.view.windows]
        inside = (pl.col("t") > start) & (pl.col("t") <= end)
        return pl.concat([entered, *left]).unique().filter(inside).sort(KEY).collect()

    # What an event contributes ------------------------------------------------------------------------------------------------

    def _contributions(self, aggregation: Aggregation, where: Predicate | None) -> list[str]:
        """Name the contributions that a feature sums; features that need the same one share it."""
        mark = " ".join(str(each.canonical()) for each in (aggregation.operand, where) if each is not None)
        names = []
        for role in peers.parts(aggregation):
            name = f"{role} {mark} {aggregation.edges}"
            self.sums[name] = pl.when(_passing(where)).then(_role(role, aggregation)).fill_null(0).cast(pl.Int64).alias(name)
            names.append(name)
        return names

    # What a window holds ------------------------------------------------------------------------------------------------------

    def _sum_windows(self) -> dict[Window, pl.DataFrame]:
        """Sum every contribution over every window: the running sum now, less the running sum where the window starts."""
        names = list(self.sums)
        contributions = self.events.lazy().select(*KEY, *self.sums.values())
        projects = contributions.drop_nulls("agent_id").group_by(KEY).agg(pl.col(names).sum())
        together = contributions.group_by("t").agg(pl.col(names).sum()).select(self._together(), "t", *names)
        running = pl.concat([projects, together]).sort("t").with_columns(pl.col(names).cum_sum().over("agent_id")).collect()
        now = self._as_of(running, pl.col("t"))
        before = {window: self._as_of(running, _floor(pl.col("t"), window) - _length(window)) for window in self.view.windows}
        return {window: pl.DataFrame([now[name] - each[name] for name in names]) for window, each in before.items()}

    def _as_of(self, running: pl.DataFrame, at: pl.Expr) -> pl.DataFrame:
        """Return the running sums of each row's agent_id at another instant."""
        wanted = self.instants.with_row_index().with_columns(at.alias("t")).sort("t")
        found = wanted.join_asof(running, on="t", by="agent_id", check_sortedness=False)
        return found.sort("index").select(pl.col(list(self.sums)).fill_null(0))

    def _picked(self, aggregation: Aggregation, window: Window, where: Predicate | None) -> pl.Series:
        """Return what is not a sum: the latest event's value, an extreme, the number of values; from the events that pass and have one."""
        value = _value(aggregation.operand).alias("value")
        chosen = self.events.lazy().filter(_passing(where)).select(*KEY, "occurred_at", "event_id", value).drop_nulls("value")
        match aggregation.function:
            case "last":
                return self._last(self._keyed(chosen), window)
            case "distinct":
                return self._distinct(self._keyed(chosen), window)
            case _:
                return self._extreme(self._keyed(chosen), window, aggregation.function[:3])

    def _extreme(self, chosen: pl.LazyFrame, window: Window, function: str) -> pl.Series:
        """Rolling extreme; where the hop is a day, over whole days, and a running one over the day under way."""
        best = getattr(pl.col("value"), function)()
        cells = self.instants.lazy().join(chosen.group_by(KEY).agg(best), on=KEY, how="left", maintain_order="left")
        size = f"{hours(window)}h"
        if hop(window) == 1:
            rolled = getattr(pl.col("value"), f"rolling_{function}_by")("t", size).over("agent_id")
            return cells.select(rolled).collect().to_series()
        begun = cells.with_columns(pl.col("t").dt.truncate("1d"), value=pl.lit(None, pl.Int64))
        ended = cells.with_columns(_ceil(pl.col("t"), "1d"))
        rolled = getattr(pl.col("value"), f"rolling_{function}_by")("t", size).over("agent_id").alias("whole")
        days = pl.concat([begun, ended]).group_by(KEY).agg(best).sort(KEY).with_columns(rolled)
        whole = begun.select(KEY).join(days, on=KEY, how="left", maintain_order="left").select("whole")
        running = getattr(pl.col("value"), f"cum_{function}")().forward_fill().over("agent_id", _ceil(pl.col("t"), "1d")).alias("today")
        both = pl.concat([whole.collect(), cells.select(running).collect()], how="horizontal")
        return both.select(getattr(pl, f"{function}_horizontal")("whole", "today")).to_series()

    def _last(self, chosen: pl.LazyFrame, window: Window) -> pl.Series:
        """Value of the latest event, unless it has left the window."""
        latest = chosen.sort("occurred_at", "event_id").unique(KEY, keep="last", maintain_order=True)
        wanted = self.instants.lazy().with_row_index().sort("t")
        found = wanted.join_asof(latest, on="t", by="agent_id", check_sortedness=False).sort("index")
        present = _leaves(_ceil(pl.col("occurred_at"), "1h"), window) > pl.col("t")
        return found.select(pl.when(present).then("value")).collect().to_series()

    def _distinct(self, chosen: pl.LazyFrame, window: Window) -> pl.Series:
        """Count values: each is there from where it enters until it has left or comes again."""
        seen = chosen.select(*KEY, "value").unique().sort(KEY)
        again = pl.col("t").shift(-1).over("agent_id", "value")
        ends = seen.select("agent_id", t=pl.min_horizontal(_leaves(pl.col("t"), window), again), step=pl.lit(-1, pl.Int64))
        steps = pl.concat([seen.select(*KEY, step=pl.lit(1, pl.Int64)), ends]).group_by(KEY).agg(pl.col("step").sum()).sort("t")
        counts = steps.with_columns(pl.col("step").cum_sum().over("agent_id"))
        wanted = self.instants.lazy().with_row_index().sort("t")
        found = wanted.join_asof(counts, on="t", by="agent_id", check_sortedness=False).sort("index")
        return found.select(pl.col("step").fill_null(0)).collect().to_series()


def _role(role: str, aggregation: Aggregation) -> pl.Expr:
    operand = _value(aggregation.operand) if aggregation.operand is not None else pl.lit(1)
    match role.split():
        case ["one"]:
            return pl.lit(1)
        case ["value"] | ["true"]:
            return operand.cast(pl.Int64)
        case ["present"]:
            return operand.is_not_null().cast(pl.Int64)
        case ["square"]:
            return operand.cast(pl.Int64) * operand.cast(pl.Int64)
        case ["bucket", number]:
            edges = peers.tops(aggregation)
            inside = operand <= edges[int(number)]
            return (inside & (operand > edges[int(number) - 1]) if int(number) else inside).cast(pl.Int64)
    raise AssertionError(role)


def _quotient(aggregation: Aggregation, sums: list[pl.Series], greatest: pl.Series | None) -> pl.Expr:
    """Make the feature of a window's sums."""
    lits = [pl.lit(each) for each in sums]
    match aggregation.function:
        case "count" | "total":
            return lits[0]
        case "mean" | "rate":
            return pl.when(lits[1] > 0).then(lits[0] / lits[1])
        case "std":
            total, n, squares = (each.cast(pl.Float64) for each in lits)
            spread = (n * squares - total * total).clip(lower_bound=0) / (n * (n - 1))
            return pl.when(n > 1).then(spread.sqrt())
        case "quantile":
            return _upper_edge(aggregation, lits, pl.lit(greatest))
    raise AssertionError(aggregation)


def _upper_edge(aggregation: Aggregation, counts: list[pl.Expr], greatest: pl.Expr) -> pl.Expr:
    """Return the upper edge of the bucket that holds rank ceil(q·n), at most the greatest value."""
    q, edges = aggregation.q, peers.tops(aggregation)
    assert q is not None  # noqa: S101 - a quantile has one
    running = [pl.sum_horizontal(counts[: number + 1]) for number in range(len(counts))]
    n = running[-1]
    rank = (n * q.numerator + q.denominator - 1) // q.denominator
    edge = pl.coalesce(pl.when(count >= rank).then(pl.lit(top, pl.Int64)) for count, top in zip(running, edges, strict=True))
    return pl.when(n > 0).then(pl.min_horizontal(edge, greatest))


def _value(expression: Expression | None) -> Any:
    """Write a definition's expression as one would: comparisons and arithmetic of columns, three-valued for nulls."""
    match expression:
        case Column():
            return pl.col(expression.name)
        case Constant():
            return pl.lit(expression.value)
        case Arithmetic() | Compare() | Logic():
            return OPERATORS[expression.operator](_value(expression.left), _value(expression.right))
        case Not():
            return ~_value(expression.operand)
        case IsNull():
            return _value(expression.operand).is_null()
    raise AssertionError(expression)


def _passing(where: Predicate | None) -> pl.Expr:
    """Where the condition is TRUE."""
    found: pl.Expr = pl.lit(value=True) if where is None else _value(where).fill_null(value=False)
    return found


def _arithmetic(derived: Derived) -> Any:
    match derived:
        case Reference(name):
            return pl.col(name).cast(pl.Float64)
        case Number(number):
            return pl.lit(number)
        case Combination(sign, left, right):
            return OPERATORS[sign](_arithmetic(left), _arithmetic(right))
    raise AssertionError(derived)


def _ceil(at: pl.Expr, every: str) -> pl.Expr:
    return at.dt.offset_by(every).dt.offset_by("-1us").dt.truncate(every)


def _floor(at: pl.Expr, window: Window) -> pl.Expr:
    return at.dt.truncate(f"{hop(window)}h")


def _leaves(at: pl.Expr, window: Window) -> pl.Expr:
    """Return the hour in which an event of that hour has left."""
    return _ceil(at, f"{hop(window)}h") + _length(window)


def _length(window: Window) -> pl.Expr:
    return pl.duration(hours=hours(window), time_unit="us")
