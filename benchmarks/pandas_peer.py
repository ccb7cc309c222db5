"""The same features in pandas: what a good engineer would write without this project's engine.

Same events, same definitions, same windows, same gate, same stores. Every step is pandas' own idiom: `read_sql` and `to_sql` over ADBC with
Arrow-backed columns (nullable, with three-valued logic), hourly `groupby` sums, `cumsum` with `merge_asof` at both ends of a window,
`rolling` for extremes, `drop_duplicates` for the latest event, islands by `shift` for distinct counts. Nothing runs row by row. Spreads
come from sums of squares, not from `rolling().var()`: in pandas 2.3.3 it keeps a trace of a large value that has left the window
(findings/pandas-rolling-variance.sh).

It does less than the engine: no late knowledge, no superseded revisions, no versions of rows, no state of what was published from which
snapshot, so a second run would write everything again; and int64 sums may overflow unnoticed.
"""

from __future__ import annotations

import operator
from fractions import Fraction
from functools import reduce
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from detektor_pipelines.compile.pandera import schema
from detektor_pipelines.compile.plan import plan
from detektor_pipelines.language import canonical
from detektor_pipelines.language.aggregations import Aggregation
from detektor_pipelines.language.derived import Combination, Number, Reference
from detektor_pipelines.language.expressions import Arithmetic, Column, Compare, Constant, IsNull, Logic, Not

if TYPE_CHECKING:
    import redis
    from adbc_driver_postgresql.dbapi import Connection

    from detektor_pipelines.language.derived import Derived
    from detektor_pipelines.language.expressions import Expression, Predicate
    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.language.windows import Window

KEY: Final = ["agent_id", "t"]
HOUR: Final = pd.Timedelta("1h")
OPERATORS: Final = {**canonical.OPERATORS, "/": operator.truediv}


def backfill(connection: Connection, client: redis.Redis, view: FeatureView, start: pd.Timestamp, end: pd.Timestamp, target: str) -> int:
    """Read the view's events, compute its rows in (start, end], validate and store them in both stores; return their number.

    `target` is a table of the layout of the view's rows; the online values are hashes `pandas:<view>:<agent_id>`.
    """
    rows = compute(view, read(connection, view, start, end), start, end)
    schema(view).validate(rows, lazy=True)
    rows.assign(written_at=pd.Timestamp.now("UTC").as_unit("us")).to_sql(
        target, connection, schema="feast", if_exists="append", index=False
    )
    connection.commit()
    _write_online(client, view, rows)
    return len(rows)


def read(connection: Connection, view: FeatureView, start: pd.Timestamp, end: pd.Timestamp) -> pd.DataFrame:
    """Return the agent's events that reach into (start, end]."""
    columns = ", ".join(["occurred_at", "event_id", "project", *plan(view).columns])
    since = start - _length(view.longest) - _hop(view.longest)
    query = f"""
        SELECT {columns} FROM ml_learning.agent_events
        WHERE agent_type = '{view.agent}' AND occurred_at > '{since}' AND occurred_at <= '{end}'
    """
    return pd.read_sql(query, connection, dtype_backend="pyarrow")


def compute(view: FeatureView, events: pd.DataFrame, start: pd.Timestamp, end: pd.Timestamp) -> pd.DataFrame:
    """Return the view's rows with event_timestamp in (start, end], in the layout that the gate wants."""
    events["occurred_at"] = events["occurred_at"].astype("datetime64[us, UTC]")
    events["t"] = events["occurred_at"].dt.ceil("h")
    events["agent_id"] = (view.agent + "@" + events["project"]).astype("category").cat.add_categories(view.agent)
    return _View(view, events, start, end).rows()


class _View:
    """One view's features over its events, hour by hour.

    On hourly instants t, a window of size W with a hop of up to an hour holds the events of (t - W, t]; with a hop of a day, those of
    (midnight of t - W, t].
    """

    def __init__(self, view: FeatureView, events: pd.DataFrame, start: pd.Timestamp, end: pd.Timestamp) -> None:
        self.view, self.events = view, events
        self.instants = self._instants(start, end)
        self.sums: dict[str, pd.Series[int]] = {}
        self.found: dict[str, pd.Series[Any]] = {}
        self.windowed: dict[Window, pd.DataFrame] = {}

    def rows(self) -> pd.DataFrame:
        """Return the rows, sorted by (agent_id, event_timestamp)."""
        parts = {each.name: self._prepare(each.value, each.where) for each in self.view.features if isinstance(each.value, Aggregation)}
        self._sum_windows()
        for each in self.view.features:
            if isinstance(each.value, Aggregation) and each.over is not None:
                sums = [self.windowed[each.over][part] for part in parts[each.name]]
                self.found[each.name] = _quotient(each.value, sums) if sums else self._picked(each.value, each.over, each.where)
                if each.value.function == "quantile":
                    greatest = self._picked(Aggregation("maximum", each.value.operand), each.over, each.where)
                    self.found[each.name] = self.found[each.name].where(self.found[each.name] <= greatest, greatest)
            else:
                self.found[each.name] = _finite(self._arithmetic(each.value))
        values = pd.DataFrame(self.found).assign(agent_id=self.instants["agent_id"], event_timestamp=self.instants["t"])
        values["created_at"] = values["event_timestamp"]
        return values.astype({"agent_id": str})[["agent_id", "event_timestamp", "created_at", *self.found]]

    def _keyed(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Each event under its project's agent_id, and once more under the agent across all projects."""
        return pd.concat([self._together(frame), frame.dropna(subset="agent_id")], ignore_index=True)

    def _together(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Put every event under the agent across all projects."""
        return frame.assign(agent_id=pd.Series(self.view.agent, frame.index, self.events["agent_id"].dtype))

    def _instants(self, start: pd.Timestamp, end: pd.Timestamp) -> pd.DataFrame:
        """Where rows are: in each hour in which an event entered or left a window of its agent_id."""
        entered = self._keyed(self.events[KEY].drop_duplicates()).drop_duplicates()
        left = [entered.assign(t=entered["t"].dt.ceil(_hop(window)) + _length(window)) for window in self.view.windows]
        instants = pd.concat([entered, *left]).drop_duplicates()
        inside = instants["t"].gt(start) & instants["t"].le(end)
        return instants[inside].sort_values(KEY, ignore_index=True)

    # What an event contributes ------------------------------------------------------------------------------------------------

    def _prepare(self, aggregation: Aggregation, where: Predicate | None) -> list[str]:
        """Make the contributions that a feature sums; features that need the same one share it."""
        passing = self._passing(where)
        mark = " ".join(str(each.canonical()) for each in (aggregation.operand, where) if each is not None)
        if aggregation.operand is None:
            return [self._contribution(f"one {mark}", passing)]
        operand = _value(aggregation.operand, self.events)
        match aggregation.function:
            case "total":
                parts = {"value": operand.where(passing)}
            case "mean":
                parts = {"value": operand.where(passing), "present": passing & operand.notna()}
            case "rate":
                parts = {"true": passing & operand.fillna(value=False), "known": passing & operand.notna()}
            case "std":
                numbers = operand.where(passing)
                parts = {"value": numbers, "present": passing & operand.notna(), "square": numbers * numbers}
            case "quantile":
                tops = _tops(aggregation)
                bucket = pd.cut(operand.where(passing).astype("Float64"), [-np.inf, *tops], labels=False)
                parts = {f"bucket {number} of {tops}": bucket == number for number in range(len(tops))}
            case _:
                parts = {}
        return [self._contribution(f"{role} {mark}", part) for role, part in parts.items()]

    def _contribution(self, name: str, values: pd.Series[Any]) -> str:
        if name not in self.sums:
            self.sums[name] = pd.Series(values.to_numpy("int64", na_value=0), self.events.index)
        return name

    def _passing(self, where: Predicate | None) -> pd.Series[bool]:
        """Where the condition is TRUE."""
        if where is None:
            return pd.Series(data=True, index=self.events.index)
        return _value(where, self.events).fillna(value=False).astype(bool)

    # What a window holds ------------------------------------------------------------------------------------------------------

    def _sum_windows(self) -> None:
        """Sum every contribution over every window: the running sum now, less the running sum where the window starts."""
        contributions = pd.DataFrame({"t": self.events["t"], "agent_id": self.events["agent_id"], **self.sums})
        cells = [contributions.groupby(KEY, sort=False, observed=True)[[*self.sums]].sum().reset_index()]
        cells.append(self._together(contributions.groupby("t", sort=False)[[*self.sums]].sum().reset_index()))
        running = pd.concat(cells).sort_values("t", ignore_index=True)
        running[[*self.sums]] = running.groupby("agent_id", observed=True)[[*self.sums]].cumsum()
        now = self._as_of(running, self.instants["t"])
        for window in self.view.windows:
            self.windowed[window] = now - self._as_of(running, self._opening(window))

    def _as_of(self, running: pd.DataFrame, at: pd.Series[Any]) -> pd.DataFrame:
        """Return the running sums of each row's agent_id at another instant."""
        wanted = self.instants.assign(t=at).reset_index().sort_values("t")
        found = pd.merge_asof(wanted, running, on="t", by="agent_id").set_index("index").sort_index()
        return found[[*self.sums]].fillna(0).astype("int64")

    def _opening(self, window: Window) -> pd.Series[Any]:
        return self.instants["t"].dt.floor(_hop(window)) - _length(window)

    def _picked(self, aggregation: Aggregation, over: Window, where: Predicate | None) -> pd.Series[Any]:
        """Return what is not a sum: the latest event's value, an extreme, the number of values; from the events that pass and have one."""
        chosen = self.events[[*KEY, "occurred_at", "event_id"]].assign(value=_value(aggregation.operand, self.events))
        chosen = self._keyed(chosen[self._passing(where)].dropna(subset="value"))
        match aggregation.function:
            case "last":
                return self._last(chosen, over, "datetime64[us, UTC]" if aggregation.value_type == "instant" else "Int64")
            case "distinct":
                return self._distinct(chosen, over)
            case _:
                return self._extreme(chosen, over, aggregation.function[:3])

    def _extreme(self, chosen: pd.DataFrame, over: Window, function: str) -> pd.Series[Any]:
        """Rolling `min` or `max`; where the hop is a day, over whole days, and a running one over the day under way."""
        cells = self.instants.join(chosen.groupby(KEY, observed=True)["value"].agg(function).astype("float64"), on=KEY)
        hop = _hop(over)
        if hop == HOUR:
            return self._rolling(cells, over, function).astype("Int64")
        begun = cells.assign(t=cells["t"].dt.floor(hop), value=np.nan)
        ended = cells.assign(t=cells["t"].dt.ceil(hop))
        days = pd.concat([begun, ended]).groupby(KEY, observed=True)["value"].agg(function).reset_index()
        days["whole"] = self._rolling(days, over, function)
        whole = begun[KEY].merge(days, on=KEY, how="left")["whole"]
        day = cells.assign(day=ended["t"]).groupby(["agent_id", "day"], observed=True)["value"]
        running = getattr(day, f"cum{function}")()
        running = running.groupby([cells["agent_id"], ended["t"]], observed=True).ffill()
        return pd.concat([whole, running], axis=1).agg(function, axis=1).astype("Int64")

    @staticmethod
    def _rolling(cells: pd.DataFrame, over: Window, function: str) -> pd.Series[Any]:
        rolled = cells.groupby("agent_id", observed=True).rolling(_length(over), on="t", min_periods=1)["value"].agg(function)
        return rolled.reset_index(drop=True)

    def _last(self, chosen: pd.DataFrame, over: Window, kind: str) -> pd.Series[Any]:
        """Value of the latest event, unless it has left the window."""
        latest = chosen.sort_values(["occurred_at", "event_id"]).drop_duplicates(KEY, keep="last")
        wanted = self.instants.reset_index().sort_values("t")
        found = pd.merge_asof(wanted, latest, on="t", by="agent_id").set_index("index").sort_index()
        present = found["occurred_at"].dt.ceil(_hop(over)) + _length(over) > found["t"]
        return found["value"].where(present).astype(kind)

    def _distinct(self, chosen: pd.DataFrame, over: Window) -> pd.Series[Any]:
        """Count values: each is there from where it enters until it has left or comes again."""
        seen = chosen[[*KEY, "value"]].drop_duplicates().sort_values(KEY)
        leaves = seen["t"].dt.ceil(_hop(over)) + _length(over)
        again = seen.groupby(["agent_id", "value"], observed=True)["t"].shift(-1)
        ends = leaves.where(again.isna() | (leaves < again), again)
        steps = pd.concat([seen[KEY].assign(step=1), seen[KEY].assign(t=ends, step=-1)])
        count = steps.groupby(KEY, observed=True)["step"].sum().groupby("agent_id", observed=True).cumsum()
        at_instants = count.reindex(pd.MultiIndex.from_frame(self.instants)).groupby("agent_id", observed=True).ffill()
        return at_instants.fillna(0).astype("Int64").reset_index(drop=True)

    def _arithmetic(self, derived: Derived) -> Any:
        match derived:
            case Reference(name):
                return self.found[name].astype("float64")
            case Number(number):
                return number
            case Combination(sign, left, right):
                return OPERATORS[sign](self._arithmetic(left), self._arithmetic(right))
        raise AssertionError(derived)


def _quotient(aggregation: Aggregation, sums: list[pd.Series[int]]) -> pd.Series[Any]:
    """Make the feature of a window's sums."""
    match aggregation.function:
        case "count" | "total":
            return sums[0].astype("Int64")
        case "mean" | "rate":
            return _finite(sums[0] / sums[1])
        case "std":
            total, n, squares = (each.astype("float64") for each in sums)
            return _finite(np.sqrt((n * squares - total * total).clip(lower=0) / (n * (n - 1))).where(n > 1))
        case "quantile":
            return _upper_edge(aggregation, sums)
    raise AssertionError(aggregation)


def _value(expression: Expression | None, events: pd.DataFrame) -> Any:
    """Evaluate a definition's expression as one would write it: comparisons and arithmetic of columns, three-valued for nulls."""
    match expression:
        case Column():
            return events[expression.name]
        case Constant():
            return expression.value
        case Arithmetic() | Compare() | Logic():
            return OPERATORS[expression.operator](_value(expression.left, events), _value(expression.right, events))
        case Not():
            return ~_value(expression.operand, events)
        case IsNull():
            return _value(expression.operand, events).isna()
    raise AssertionError(expression)


def _tops(aggregation: Aggregation) -> list[int]:
    """Upper edges of the buckets; the last is the greatest value that is declared."""
    return sorted({*aggregation.edges, aggregation.operand.bounds[1]}) if aggregation.operand is not None else []


def _upper_edge(aggregation: Aggregation, counts: list[pd.Series[int]]) -> pd.Series[Any]:
    """Return the upper edge of the bucket that holds rank ceil(q·n), before it is held against the greatest value."""
    share = aggregation.q or Fraction(1)
    running = pd.concat(counts, axis=1).cumsum(axis=1).to_numpy()
    n = running[:, -1]
    rank = -(-share.numerator * n // share.denominator)
    edges = np.array(_tops(aggregation))[(running < rank[:, None]).sum(axis=1).clip(max=len(counts) - 1)]
    return pd.Series(edges).where(n > 0).astype("Int64")


def _finite(values: pd.Series[float]) -> pd.Series[float]:
    return values.replace([np.inf, -np.inf], np.nan)


def _length(window: Window) -> pd.Timedelta:
    return pd.Timedelta(window.size, "us").as_unit("us")


def _hop(window: Window) -> pd.Timedelta:
    """Return the hop as hourly rows see it: five minutes make no difference to them."""
    return max(pd.Timedelta(window.hop, "us"), HOUR)


def _write_online(client: redis.Redis, view: FeatureView, rows: pd.DataFrame) -> None:
    newest = rows.drop_duplicates("agent_id", keep="last").set_index("agent_id").astype("string")
    pipeline = client.pipeline(transaction=False)
    for agent_id, values in newest.iterrows():
        pipeline.hset(f"pandas:{view.name}:{agent_id}", mapping=values.dropna().to_dict())
    pipeline.execute()


def differences(ours: pd.DataFrame, theirs: pd.DataFrame) -> tuple[int, float]:
    """Compare rows of one view; return how many rows or nulls or integers differ, and the greatest relative difference of a float."""
    names = ["agent_id", "event_timestamp"]
    both = ours.merge(theirs, on=names, how="outer", suffixes=("", "_theirs"), indicator="side", validate="one_to_one")
    unequal = both["side"].ne("both")
    worst = 0.0
    for name in ours.columns.drop([*names, "created_at"]):
        one, other = both[name], both[f"{name}_theirs"]
        unequal |= one.isna() ^ other.isna()
        known = one.notna() & other.notna()
        if not known.any():
            continue
        if pd.api.types.is_float_dtype(one.dtype):
            scale = reduce(np.maximum, [one[known].abs(), other[known].abs(), 1e-9])
            worst = max(worst, float(((one - other)[known].abs() / scale).max()))
        else:
            unequal |= known & one.ne(other).fillna(value=False)
    return int(unequal.sum()), worst
