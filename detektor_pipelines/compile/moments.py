"""A view's states at many exact instants, each as it was served then and without the events of a task of its own, as one SQL for DuckDB.

`compile.sql` walks from instant to instant of the grain. Here the instants are few and lie anywhere, so the moments are the axis: they are
numbered 0, 1, … by (agent_id, instant). An event is present at a run of numbers [a, b): from the first that is not before its enter to the
first that is not before its leave. What is taken out of a moment, the events of its own task, splits the run in two around it. From there
on there are no instants any more, and late events, superseded revisions and left-out tasks are all the same thing, runs of numbers:

- a sum adds at a and subtracts at b, and is a running total over the moments;
- distinct values are runs of the same value, merged where they overlap;
- an extreme or the latest event is the greatest value of all runs over a number. Each run is cut into blocks whose lengths are powers of
  two, as in a segment tree; a moment lies in one block of each length.

The text reads ``runs``: the plan's columns, ``ts``, ``live`` (true), ``a``, ``b`` and, of each window, ``e_<label>``, where its run ends by
the window (`engine.moments` places them), and ``seq``, unique and rising with (ts, event_id); and ``wanted``: ``pos``, ``agent_id`` and
``t`` (µs) of each moment. It returns ``agent_id``, ``t`` and the states of the plan, a row a moment, in the order of ``pos``.
"""

from collections.abc import Iterator

from detektor_pipelines.compile.expressions import condition, operand, passing
from detektor_pipelines.compile.finalise import LIMB
from detektor_pipelines.compile.plan import DistinctState, PickState, Plan, RankedState
from detektor_pipelines.compile.sql import DUCKDB, contribution
from detektor_pipelines.language.windows import Window


def moments_sql(plan: Plan, moments: int) -> str:
    """Return the SELECT of a view's states at `moments` moments."""
    return _Text(plan, moments).render()


def taking_part(plan: Plan) -> str | None:
    """Return the condition on a row of the log that some feature lets it through, None where all may or it cannot be asked there."""
    conditions = []
    for where in plan.filters:
        if where is None or "occurred_at" in where.columns():
            return None
        conditions.append(condition(where))
    return " OR ".join(dict.fromkeys(conditions))


class _Text:
    def __init__(self, plan: Plan, moments: int) -> None:
        self.plan, self.levels = plan, moments.bit_length() + 1
        self.windows = plan.view.windows

    def render(self) -> str:
        parts = [self._pieces(), self._deltas(), self._running()]
        parts += [self._blocks()] if self.plan.picks else []
        for distinct in self.plan.distincts:
            parts += self._islands(distinct)
        for pick in self.plan.picks:
            parts += self._picked(pick)
        for ranked in self.plan.ranked:
            parts += self._ranked(ranked)
        return "WITH " + ",\n".join(parts) + "\n" + self._final()

    def _pieces(self) -> str:
        columns = ["seq", "a", "b", *(f"e_{window.label}" for window in self.windows)]
        columns += [f"{contribution(each, DUCKDB)} AS {each.name}" for each in self.plan.prepared]
        picking: tuple[PickState | RankedState, ...] = (*self.plan.picks, *self.plan.ranked)
        columns += [f"CASE WHEN {passing(each.where)} THEN {operand(each.operand)} END AS {each.name}" for each in picking]
        columns += [f"CASE WHEN {passing(each.where)} THEN {operand(each.column)} END AS {each.name}" for each in self.plan.distincts]
        return f"pieces AS MATERIALIZED (SELECT {', '.join(columns)} FROM runs)"

    def _within(self, window: Window) -> tuple[str, str]:
        """Condition that the run has moments in the window, and where it ends."""
        return f"a < e_{window.label}", f"LEAST(b, e_{window.label})"

    def _deltas(self) -> str:
        sums = self.plan.sums
        selects = ["SELECT pos" + "".join(f", 0 AS {each.name}" for each in sums) + " FROM wanted WHERE FALSE"]
        if sums:
            entering = "".join(
                f", SUM(CASE WHEN {self._within(each.window)[0]} THEN {each.prepared.name} ELSE 0 END) AS {each.name}" for each in sums
            )
            selects.append(f"SELECT a AS pos{entering} FROM pieces GROUP BY a")
        for window in self.windows:
            some, end = self._within(window)
            leaving = "".join(f", {f'-SUM({each.prepared.name})' if each.window == window else '0'} AS {each.name}" for each in sums)
            if any(each.window == window for each in sums):
                selects.append(f"SELECT {end} AS pos{leaving} FROM pieces WHERE {some} GROUP BY {end}")
        merged = "".join(f", SUM({each.name}) AS {each.name}" for each in sums)
        return f"deltas AS (SELECT pos{merged} FROM (" + " UNION ALL ".join(selects) + ") each_end GROUP BY pos)"

    def _running(self) -> str:
        """Runs end within their agent_id's numbers, so one total over all moments serves."""
        columns = "".join(f", SUM(COALESCE(d.{each.name}, 0)) OVER w AS {each.name}" for each in self.plan.sums)
        window = " WINDOW w AS (ORDER BY m.pos ROWS UNBOUNDED PRECEDING)" if self.plan.sums else ""
        return f"running AS (SELECT m.pos, m.agent_id, m.t{columns} FROM wanted m LEFT JOIN deltas d ON d.pos = m.pos{window})"

    def _blocks(self) -> str:
        return f"blocks AS MATERIALIZED (SELECT pos, level, pos >> level AS block FROM wanted, range({self.levels}) r(level))"

    def _islands(self, distinct: DistinctState) -> Iterator[str]:
        name = distinct.name
        some, end = self._within(distinct.window)
        where = f"{name} IS NOT NULL AND {some}"
        yield f"{name}_runs AS MATERIALIZED (SELECT DISTINCT {name} AS value, a, {end} AS b FROM pieces WHERE {where})"
        before = "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING"
        yield f"{name}_marked AS (SELECT value, a, MAX(b) OVER (PARTITION BY value ORDER BY a, b {before}) AS ended FROM {name}_runs)"
        start = f"FROM {name}_marked WHERE ended IS NULL OR a >= ended"
        yield (
            f"{name}_steps AS (SELECT pos, SUM(step) AS step FROM (SELECT a AS pos, 1 AS step {start}"
            f" UNION ALL SELECT ended, -1 {start} AND ended IS NOT NULL"
            f" UNION ALL SELECT MAX(b), -1 FROM {name}_runs GROUP BY value) each_step GROUP BY pos)"
        )
        yield (
            f"{name}_count AS (SELECT m.pos, SUM(COALESCE(s.step, 0)) OVER (ORDER BY m.pos ROWS UNBOUNDED PRECEDING) AS x"
            f" FROM wanted m LEFT JOIN {name}_steps s ON s.pos = m.pos)"
        )

    def _picked(self, pick: PickState) -> Iterator[str]:
        name = pick.name
        value, function = ("seq", "MAX") if pick.function == "last" else (name, "MIN" if pick.function == "minimum" else "MAX")
        some, end = self._within(pick.window)
        where = f"{name} IS NOT NULL AND {some}"
        yield f"{name}_runs AS (SELECT a, {end} AS b, {function}({value}) AS x FROM pieces WHERE {where} GROUP BY ALL)"
        first, last = "(a + (1 << level) - 1) >> level", "b >> level"
        yield f"{name}_cut AS MATERIALIZED (SELECT level, {first} AS f, {last} AS l, x FROM {name}_runs, range({self.levels}) r(level))"
        yield (
            f"{name}_blocks AS (SELECT level, block, {function}(x) AS x FROM ("
            f"SELECT level, f AS block, x FROM {name}_cut WHERE f < l AND f & 1 = 1"
            f" UNION ALL SELECT level, l - 1, x FROM {name}_cut WHERE f < l AND l & 1 = 1) each_block GROUP BY level, block)"
        )
        yield (
            f"{name}_at AS (SELECT m.pos, {function}(n.x) AS x FROM blocks m JOIN {name}_blocks n"
            f" ON n.level = m.level AND n.block = m.block GROUP BY m.pos)"
        )

    def _ranked(self, ranked: RankedState) -> Iterator[str]:
        """Of runs that begin and end together only so many are kept as can be among the first."""
        name = ranked.name
        by, direction = {"first": ("seq", "ASC"), "last": ("seq", "DESC"), "greatest": (name, "DESC")}[ranked.order]
        some, end = self._within(ranked.window)
        yield (
            f"{name}_runs AS (SELECT a, b, value, rank FROM (SELECT a, {end} AS b, {name} AS value, {by} AS rank,"
            f" row_number() OVER (PARTITION BY a, {end} ORDER BY {by} {direction}) AS place FROM pieces"
            f" WHERE {name} IS NOT NULL AND {some}) each_run WHERE place <= {ranked.length})"
        )
        found = "array_agg(value ORDER BY place)" if ranked.listed else "MAX(value)"
        yield (
            f"{name}_at AS (SELECT pos, {found} AS x FROM (SELECT m.pos AS pos, n.value AS value, row_number() OVER (PARTITION BY m.pos"
            f" ORDER BY n.rank {direction}) AS place FROM wanted m JOIN {name}_runs n ON n.a <= m.pos AND m.pos < n.b) each_place"
            f" WHERE place <= {ranked.length} GROUP BY pos)"
        )

    def _final(self) -> str:
        columns, joins = ["r.agent_id", "r.t"], []
        columns += [f"CAST(r.{each.name} AS BIGINT) AS {each.name}" for each in self.plan.sums if not each.wide]
        for distinct in self.plan.distincts:
            columns.append(f"CAST({distinct.name}_count.x AS BIGINT) AS {distinct.name}")
            joins.append(f"JOIN {distinct.name}_count ON {distinct.name}_count.pos = r.pos")
        for each in self.plan.spreads:
            n, total = f"CAST(r.{each.count.name} AS HUGEINT)", f"CAST(r.{each.total.name} AS HUGEINT)"
            numerator = f"({n} * CAST(r.{each.squares.name} AS HUGEINT) - {total} * {total})"
            columns += _limbs(numerator, each.name)
        for limb in self.plan.limbs:
            columns += _limbs(f"CAST(r.{limb.name} AS HUGEINT)", limb.name)
        for ranked in self.plan.ranked:
            columns.append(f"{ranked.name}_at.x AS {ranked.name}")
            joins.append(f"LEFT JOIN {ranked.name}_at ON {ranked.name}_at.pos = r.pos")
        for pick in self.plan.picks:
            joins.append(f"LEFT JOIN {pick.name}_at ON {pick.name}_at.pos = r.pos")
            value = f"{pick.name}_at.x"
            if pick.function == "last":
                joins.append(f"LEFT JOIN pieces {pick.name}_event ON {pick.name}_event.seq = {pick.name}_at.x")
                value = f"{pick.name}_event.{pick.name}"
            columns.append(f"CAST({value} AS BIGINT) AS {pick.name}")
        return f"SELECT {', '.join(columns)}\nFROM running r\n{' '.join(joins)}\nORDER BY r.pos"


def _limbs(value: str, name: str) -> list[str]:
    return [f"CAST({DUCKDB.divide(value, LIMB)} AS BIGINT) AS {name}_hi", f"CAST(MOD({value}, {LIMB}) AS BIGINT) AS {name}_lo"]
