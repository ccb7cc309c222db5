"""A view as one SQL text over deltas, the same for DuckDB, PostgreSQL and Spark but for a few words of dialect.

The text reads a relation `events` with the columns `ts` and `known` (int64 µs), `seq` (rank by ts, event_id),
`live` (false for a retraction and a superseded revision, which keep their instants), `until` (int64 µs, when the
platform learnt better of a superseded revision, else null), `project` and the plan's columns. It returns, per agent_id
and grain instant t in (start, end], the integer states of the plan. How:

- `cells` sums what events of one project contribute, per grain instant at which they enter and per hop in which they
  occurred; `keyed` adds the roll-up over projects. Sums, maxima and minima may be merged first, so this equals rolling
  up the events themselves.
- `deltas`: a cell adds at its enter and subtracts at each window's leave; a running sum over them is the window.
- The latest event is a running maximum of `seq`: leaves rise with occurred_at, so when the latest has left, all have.
- Extremes are not subtractable: whole hops by a RANGE frame, the hop under way by a running extreme, and what became
  known only after its hop was over by expansion to the instants where it counts.
- Distinct values are intervals: overlapping ones of a value merge into islands, an island is +1 and −1.
- The first few events in an order are looked for at each row among the runs of instants at which some event is present; of events that come
  and go together only so many are kept as can be among the first.
- A superseded revision was served until the platform learnt better: so it leaves at `tu`, before its windows let it go. A sum
  is taken back there; where leaves have to rise with occurred_at (latest, extremes) it is expanded to its instants.

The relations, in the order of the text, with what a row of each stands for:

    counted         an event, with tu                          only where the platform learnt better of some event
    prepared        an event, with its contributions           b: its bucket, the end of the finest hop that it occurred in
    cells           (project, b, tk[, tu])                     tk: grain instant from which it is known
    keyed           (agent_id, b, tk[, tu])                    the same of the roll-up and of each project
    timed           a row of keyed, with te and leave_<window> in a window at t when te <= t < leave; te: known and occurred
    d_keyed … d_deltas  of a distinct count d                  (agent_id, t, step): +1 where an island begins, -1 where it ends
    deltas          (agent_id, t), many of each                t >= span.start: what lies before is folded into the start
    grouped         (agent_id, t), one of each
    running         (agent_id, t)                              all deltas up to t: the sums are the windows' at t
    x_hops, x_whole (agent_id, h) of an extreme x              over the hops that are over at h
    x_late          (agent_id, t)                              over the cells that x_whole leaves out
    l_served        (agent_id, t) of a last l                  over superseded revisions, while they were served
    r_spans         of a ranked state r                        [te, tl): one of the best of the events that come and go together
    r_at            (agent_id, t)                              the first few of the spans over t
    late_known      (agent_id, t)                              when the platform learnt of what makes the forms differ at t

All instants are int64 µs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from detektor_pipelines.compile.expressions import condition, operand, passing
from detektor_pipelines.compile.finalise import LIMB
from detektor_pipelines.compile.plan import DistinctState, PickState, Plan, Prepared, RankedState, SumState
from detektor_pipelines.language.expressions import Column
from detektor_pipelines.language.windows import Window

Form: TypeAlias = Literal["served", "known_now"]
"""As it was served then: enter at greatest(occurred_at, known_at), a superseded revision until better was learnt. Or as known now: enter at
occurred_at, of each event the highest revision alone."""


@dataclass(frozen=True)
class Dialect:
    """What the engines spell differently."""

    name: str
    wide: str
    quotient: str
    series: str = "generate_series({first}, {last}, {step})"
    listed: str = "array_agg(value ORDER BY place)"

    def divide(self, value: str, by: int) -> str:
        """Integer quotient of a 128-bit value, towards zero: what MOD leaves has the value's sign."""
        return self.quotient.format(value=value, by=by)

    def instants(self, first: str, last: str, step: int) -> str:
        """A relation of one column, beside the one before it in FROM: `first`, `first + step`, … up to `last`; empty where that is less."""
        return self.series.format(first=first, last=last, step=step)


DUCKDB: Final = Dialect("duckdb", "HUGEINT", "({value} // {by})")
POSTGRES: Final = Dialect("postgres", "NUMERIC(38,0)", "DIV({value}, {by})")
SPARK: Final = Dialect(
    "spark",
    "DECIMAL(38,0)",  # Spark has no integer of 128 bits: its sums of BIGINT end at 2^63
    "({value} DIV CAST({by} AS DECIMAL(38,0)))",
    # a sequence runs backwards where it should be empty
    "LATERAL explode(CASE WHEN {first} <= {last} THEN sequence({first}, {last}, CAST({step} AS BIGINT)) END)",
    "transform(array_sort(collect_list(struct(place, value))), each -> each.value)",
)


@dataclass(frozen=True)
class Span:
    """Instants in µs, multiples of the view's grain: rows lie in (start, end]. Or one instant, of no grain, where `start_too`."""

    start: int
    end: int
    start_too: bool = False

    @classmethod
    def instant(cls, at: int) -> "Span":
        """The one instant `at`, exact: a row for each key that has events, whether or not something enters or leaves just then.

        Events enter and leave at their own µs then, whatever the view's grain; a single instant is cheap at any.
        """
        return cls(at, at, start_too=True)

    @property
    def wanted(self) -> str:
        """Which of the rows r are asked for: the one at the start is what all deltas before it add up to."""
        return f"r.t {'>=' if self.start_too else '>'} {self.start}"


def states_sql(plan: Plan, span: Span, *, form: Form, late: bool, revised: bool = False, dialect: Dialect = DUCKDB) -> str:
    """The SELECT of a view's integer states, ordered by (agent_id, t).

    Args:
        plan: of the view.
        span: the instants wanted.
        form: which of the two enters.
        late: whether any event became known at a later grain instant than it occurred. Without such events both forms
            are one and the text is shorter; with them `late_known` (µs, null where the forms agree) is a column too.
        revised: whether the platform learnt better of any event at a later grain instant than it occurred (`until`). Implies `late`.
        dialect: of the engine.

    """
    return _Text(plan, span, form, late or revised, revised, dialect).render()


def states_relations(
    plan: Plan, span: Span, *, form: Form, late: bool, revised: bool = False, dialect: Dialect
) -> tuple[dict[str, str], str]:
    """The same text in its parts: the relations by name, in their order, and the SELECT of the states, for an engine that keeps some."""
    text = _Text(plan, span, form, late or revised, revised, dialect)
    return dict(text.relations()), text.final()


def reach_back(plan: Plan) -> int:
    """µs before the first wanted instant from which events are needed: the longest window and its hop."""
    longest = plan.view.longest
    return longest.size + longest.hop


def _ceil(value: str, step: int) -> str:
    return f"({value} + MOD({step} - MOD({value}, {step}), {step}))"


def _floor(value: str, step: int) -> str:
    return f"({value} - MOD({value}, {step}))"


class _Text:
    def __init__(self, plan: Plan, span: Span, form: Form, late: bool, revised: bool, dialect: Dialect) -> None:  # noqa: FBT001
        self.plan, self.span, self.form, self.late, self.revised, self.dialect = plan, span, form, late, revised, dialect
        self.late_served = late and form == "served"
        self.revised_served = revised and form == "served"
        self.agent, self.grain = plan.view.agent, 1 if span.start_too else plan.view.grain
        self.windows = plan.view.windows
        self.resolution = min(self.grain, *(window.hop for window in self.windows))
        # One running maximum serves all windows of a `last`, one cell value all windows of an extreme.
        self.lasts = _shared([pick for pick in plan.picks if pick.function == "last"])
        self.extremes = _shared([pick for pick in plan.picks if pick.function != "last"])

    def render(self) -> str:
        return "WITH " + ",\n".join(self._parts()) + "\n" + self.final()

    def relations(self) -> Iterator[tuple[str, str]]:
        for part in self._parts():
            name, _, body = part.partition(" AS (")
            yield name, body.removesuffix(")")

    def _parts(self) -> list[str]:
        parts = [self._counted()] if self.revised else []
        parts += [self._prepared(), self._cells(), self._keyed(), self._timed(), *self._islands(), self._deltas()]
        parts += [self._grouped(), self._running(), *self._extreme_parts()]
        parts += [part for each in self.plan.ranked for part in self._ranked(each)]
        if self.late:
            parts.append(self._late_known())
        return parts

    def _counted(self) -> str:
        """Events, with the grain instant `tu` at which a superseded revision is no longer served; it counts until then."""
        superseded = f"NOT live AND {_ceil('until', self.grain)} > {_ceil('ts', self.grain)}"
        live = f"(live OR COALESCE({superseded}, FALSE))" if self.form == "served" else "live"
        until = f"CASE WHEN {superseded} THEN {{}} END".format
        columns = ["ts", "seq", "project", *self.plan.columns, f"{live} AS live"]
        columns += [f"{until(_ceil('until', self.grain))} AS tu", "known", f"COALESCE({until('until')}, known) AS learnt"]
        return f"counted AS (SELECT {', '.join(columns)} FROM events)"

    def _prepared(self) -> str:
        """One row an event: its bucket and instants, and what it adds to each state (0 or null: nothing)."""
        columns = ["project", "ts", f"{_ceil('ts', self.resolution)} AS b"]
        columns.append(f"{_ceil('GREATEST(ts, known)', self.grain)} AS tk")
        columns += ["tu"] if self.revised else []
        columns.append(f"CASE WHEN {self._taking_part()} THEN {'learnt' if self.revised else 'known'} END AS knowledge")
        columns += [f"{contribution(each, self.dialect)} AS {each.name}" for each in self.plan.prepared]
        for name, pick in self.lasts.items():
            value = operand(pick.operand)
            # `last` of occurred_at is the instant itself; of another column, the rank of the event whose value `final` looks up.
            chosen = "ts" if _is_instant(pick) else "seq"
            columns.append(f"CASE WHEN {passing(pick.where)} AND {value} IS NOT NULL THEN {chosen} END AS {name}")
            if not _is_instant(pick):
                columns.append(f"{value} AS {name}_value")
        if any(not _is_instant(pick) for pick in self.lasts.values()) or any(each.order != "greatest" for each in self.plan.ranked):
            columns.append("seq")
        for name, pick in self.extremes.items():
            columns.append(f"CASE WHEN {passing(pick.where)} THEN {operand(pick.operand)} END AS {name}")
        for distinct in self.plan.distincts:
            columns.append(f"CASE WHEN {passing(distinct.where)} THEN {operand(distinct.column)} END AS {distinct.name}")
        columns += [f"CASE WHEN {passing(each.where)} THEN {operand(each.operand)} END AS {each.name}" for each in self.plan.ranked]
        return f"prepared AS (SELECT {', '.join(columns)} FROM {'counted' if self.revised else 'events'})"

    def _taking_part(self) -> str:
        """TRUE for an event that some feature lets through: no other makes a difference to what is known."""
        tests = dict.fromkeys("TRUE" if where is None else condition(where) for where in self.plan.filters)
        return f"live AND ({' OR '.join(tests)})" if "TRUE" not in tests else "live"

    def _merged(self) -> list[str]:
        """The columns of `prepared`, merged by their own functions: associative, so that they may be merged in two steps."""
        merged = [f"{_sum(each.name, wide=each.wide)} AS {each.name}" for each in self.plan.prepared]
        merged += [f"MAX({name}) AS {name}" for name in self.lasts]
        merged += [f"{_extreme(pick)}({name}) AS {name}" for name, pick in self.extremes.items()]
        return [*merged, "MAX(knowledge) AS knowledge"]

    @property
    def _cell(self) -> str:
        """Columns that tell the cells of a project apart."""
        return "b, tk, tu" if self.revised else "b, tk"

    def _cells(self) -> str:
        """Events of one project that enter and leave every window together, as one row."""
        columns = ", ".join(("project", self._cell, *self._merged()))
        return f"cells AS (SELECT {columns} FROM prepared GROUP BY project, {self._cell})"

    def _keyed(self) -> str:
        """The cells under the agent (of all projects, also of none) and under agent@project."""
        names = [each.name for each in self.plan.prepared] + [*self.lasts, *self.extremes, "knowledge"]
        whole = ", ".join((f"'{self.agent}' AS agent_id", self._cell, *self._merged()))
        single = ", ".join((f"'{self.agent}@' || project", self._cell, *names))
        grouped = f"SELECT {whole} FROM cells GROUP BY {self._cell}"
        return f"keyed AS ({grouped} UNION ALL SELECT {single} FROM cells WHERE project IS NOT NULL)"

    def _enter(self, bucket: str = "b") -> str:
        """Grain instant from which the cell counts. A cell that enters at or after a leave is never in that window."""
        return "tk" if self.late_served else _ceil(bucket, self.grain)

    def _gone(self, leave: str) -> str:
        """Grain instant from which the cell counts no more: it has left, or the platform learnt better (no `tu` is null, and ignored)."""
        return f"LEAST({leave}, tu)" if self.revised_served else leave

    @property
    def _lasting(self) -> str:
        """Condition for a cell that stays until it leaves."""
        return " AND tu IS NULL" if self.revised_served else ""

    def _leave(self, window: Window, bucket: str = "b") -> str:
        """Grain instant from which the cell is no longer in the window."""
        return _ceil(f"({_ceil(bucket, window.hop)} + {window.size})", self.grain)

    def _timed(self) -> str:
        """The cells with their enter and, for each window, their leave; leaves rise with b."""
        columns = [f"{self._enter()} AS te"]
        columns += [f"{self._leave(window)} AS leave_{window.label}" for window in self.windows]
        return f"timed AS (SELECT keyed.*, {', '.join(columns)} FROM keyed)"

    def _islands(self) -> Iterator[str]:
        """Of each distinct count: +1 where a value begins to be in the window, -1 where its last interval ends."""
        for distinct in self.plan.distincts:
            name, longest = distinct.name, self._gone(self._leave(distinct.window))
            enter = self._enter()
            project = f"SELECT '{self.agent}@' || project, {name}, {self._cell} FROM prepared WHERE project IS NOT NULL"
            whole = f"SELECT '{self.agent}' AS agent_id, {name} AS value, {self._cell} FROM prepared"
            yield f"{name}_keyed AS ({whole} UNION ALL {project})"
            # Intervals [te, tl) in which one cell keeps the value in the window; empty ones are left out.
            yield (
                f"{name}_spans AS (SELECT DISTINCT agent_id, value, {enter} AS te, {longest} AS tl FROM {name}_keyed"
                f" WHERE value IS NOT NULL AND {enter} < {longest})"
            )
            # `ended`: how far the intervals that begin earlier reach. One that begins at or behind it opens an island.
            yield (
                f"{name}_marked AS (SELECT agent_id, value, te, MAX(tl) OVER (PARTITION BY agent_id, value ORDER BY te, tl"
                f" ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS ended FROM {name}_spans)"
            )
            start = f"FROM {name}_marked WHERE ended IS NULL OR te >= ended"
            # +1 at each island's beginning, -1 where the one before it ended, and -1 at the end of the last.
            yield (
                f"{name}_deltas AS (SELECT agent_id, te AS t, 1 AS step {start}"
                f" UNION ALL SELECT agent_id, ended, -1 {start} AND ended IS NOT NULL"
                f" UNION ALL SELECT agent_id, MAX(tl), -1 FROM {name}_spans GROUP BY agent_id, value)"
            )

    def _deltas(self) -> str:
        """What changes at an instant. Invariant: of a cell, the deltas of a sum add up to 0 once it has left."""
        plan, longest = self.plan, self.windows[-1]
        # 1. Cells enter: they add to the sums of the windows that they are still in, and are candidates for `last` and extremes.
        selects = [self._delta("te", "timed", {**self._entering(), **self._picking()}, f"te < leave_{longest.label}")]
        # 2. Cells leave each window: what they added there is taken away, unless step 5 takes it away sooner.
        for window in self.windows:
            leave = f"leave_{window.label}"
            still = f"te < {leave} AND {leave} <= COALESCE(tu, {leave})" if self.revised_served else f"te < {leave}"
            leaving = {each.name: f"CASE WHEN {still} THEN -{each.prepared.name} ELSE 0 END" for each in plan.sums if each.window == window}
            selects.append(self._delta(leave, "timed", leaving))
        # 3. As served, a late cell makes no difference at the instant it occurred in, but the other form does: a row for both.
        if self.late_served:
            selects.append(self._delta(_ceil("b", self.grain), "timed", {}))
        # 4. As known now, likewise: a row at the instant from which both forms agree.
        if self.late and self.form == "known_now":
            selects.append(self._delta("tk", "timed", {}, f"tk < leave_{longest.label}"))
        # 5. The platform learns better of a superseded revision: what windows still hold of it is taken back.
        if self.revised:
            selects.append(self._delta("tu", "timed", self._taken_back(), f"tk < tu AND tu < leave_{longest.label}"))
        # 6. Values of distinct counts come and go.
        selects += [self._delta("t", f"{each.name}_deltas", {each.name: "step"}) for each in plan.distincts]
        return "deltas AS (" + "\n UNION ALL ".join(selects) + ")"

    def _entering(self) -> dict[str, str]:
        """What a cell adds to each sum; 0 where it is known only after it has left that window."""
        gone = {each.window: self._gone(f"leave_{each.window.label}") for each in self.plan.sums}
        return {each.name: f"CASE WHEN te < {gone[each.window]} THEN {each.prepared.name} ELSE 0 END" for each in self.plan.sums}

    def _taken_back(self) -> dict[str, str]:
        """What a superseded revision adds to each window that has not let it go by then, subtracted."""
        if self.form == "known_now":
            return {}
        return {
            each.name: f"CASE WHEN te < tu AND tu < leave_{each.window.label} THEN -{each.prepared.name} ELSE 0 END"
            for each in self.plan.sums
        }

    def _picking(self) -> dict[str, str]:
        """Candidates for `last`, and for the part of an extreme that comes from the hop under way."""
        picking = {name: f"CASE WHEN tu IS NULL THEN {name} END" if self.revised_served else name for name in self.lasts}
        for pick in self._running_extremes():
            over = _ceil(_ceil("b", pick.window.hop), self.grain)
            # A span may begin inside a hop: of what is folded into its start, only that hop is still under way.
            inside = f"te <= {over} AND {over} > {self.span.start}{self._lasting}"
            picking[f"{pick.name}_part"] = f"CASE WHEN {inside} THEN {self._shared_name(pick)} END"
        return picking

    def _delta(self, instant: str, relation: str, values: dict[str, str], where: str = "TRUE") -> str:
        """One SELECT of deltas; what lies before the span is folded into its start."""
        columns = [f"{values.get(each.name, '0')} AS {each.name}" for each in self._summed()]
        columns += [f"{values.get(name, 'CAST(NULL AS BIGINT)')} AS {name}" for name in self._picked()]
        instants = f"agent_id, GREATEST({instant}, {self.span.start}) AS t"
        return f"SELECT {', '.join((instants, *columns))} FROM {relation} WHERE {where} AND {instant} <= {self.span.end}"

    def _summed(self) -> list[SumState | DistinctState]:
        return [*self.plan.sums, *self.plan.distincts]

    def _running_extremes(self) -> list[PickState]:
        """Extremes whose hop is longer than the grain: an instant can lie inside a hop."""
        return [pick for pick in self.plan.picks if pick.function != "last" and pick.window.hop > self.grain]

    def _picked(self) -> dict[str, str]:
        """Columns that deltas merge by MIN or MAX, with the function."""
        merged = dict.fromkeys(self.lasts, "MAX")
        for pick in self._running_extremes():
            merged[f"{pick.name}_part"] = _extreme(pick)
        return merged

    def _grouped(self) -> str:
        """The deltas of one key and instant as one row."""
        columns = [f"{_sum(each.name, wide=each not in self._narrow())} AS {each.name}" for each in self._summed()]
        columns += [f"{function}({name}) AS {name}" for name, function in self._picked().items()]
        return f"grouped AS (SELECT {', '.join(('agent_id', 't', *columns))} FROM deltas GROUP BY agent_id, t)"

    def _running(self) -> str:
        """All deltas up to t. Sums are then the windows' own; `last` is the latest of all time, which `final` checks for having left."""
        columns = [f"SUM({each.name}) OVER w AS {each.name}" for each in self._summed()]
        columns += [f"MAX({name}) OVER w AS {name}" for name in self.lasts]
        for pick in self._running_extremes():
            hop = f"PARTITION BY agent_id, {_ceil('t', pick.window.hop)} ORDER BY t ROWS UNBOUNDED PRECEDING"
            columns.append(f"{_extreme(pick)}({pick.name}_part) OVER ({hop}) AS {pick.name}_part")
        return (
            f"running AS (SELECT {', '.join(('agent_id', 't', *columns))} FROM grouped"
            f" WINDOW w AS (PARTITION BY agent_id ORDER BY t ROWS UNBOUNDED PRECEDING))"
        )

    def _shared_name(self, pick: PickState) -> str:
        shared = self.lasts if pick.function == "last" else self.extremes
        return next(name for name, each in shared.items() if _same(each, pick))

    def _extreme_parts(self) -> Iterator[str]:
        """Extremes over whole hops, and over cells that were known too late for those; superseded candidates for `last`."""
        for pick in self.plan.picks:
            value, window = self._shared_name(pick), pick.window
            if pick.function == "last":
                if self.revised_served:
                    yield self._expanded(f"{pick.name}_served", "MAX", pick, "tu IS NOT NULL")
                continue
            bucket = _ceil("b", window.hop)
            known = f"te <= {_ceil(bucket, self.grain)}{self._lasting}"
            # The extreme of each hop's cells that were known when it was over. Hops in which something else happens have a row
            # too (null), so that `final` finds one at the hop of every instant.
            yield (
                f"{pick.name}_hops AS (SELECT agent_id, h, {_extreme(pick)}(x) AS x FROM ("
                f"SELECT agent_id, {bucket} AS h, {value} AS x FROM timed WHERE {value} IS NOT NULL AND {known}"
                f" UNION ALL SELECT agent_id, {_floor('t', window.hop)}, NULL FROM grouped) each_hop GROUP BY agent_id, h)"
            )
            # h is a hop's end: the window at h is the hops with ends in (h - size, h].
            yield (
                f"{pick.name}_whole AS (SELECT agent_id, h, {_extreme(pick)}(x) OVER (PARTITION BY agent_id ORDER BY h"
                f" RANGE BETWEEN {window.size - window.hop} PRECEDING AND CURRENT ROW) AS x FROM {pick.name}_hops)"
            )
            if self.late_served:
                yield self._expanded(f"{pick.name}_late", _extreme(pick), pick, f"NOT ({known})")

    def _expanded(self, name: str, function: str, pick: PickState, where: str) -> str:
        """The pick over the cells where `where` holds, at each instant at which they count."""
        value, gone = self._shared_name(pick), self._gone(f"leave_{pick.window.label}")
        return (
            f"{name} AS (SELECT agent_id, g.t AS t, {function}({value}) AS x FROM timed, {self._instants('te', gone)} AS g(t)"
            f" WHERE {value} IS NOT NULL AND {where} GROUP BY agent_id, g.t)"
        )

    def _instants(self, start: str, end: str) -> str:
        """Grain instants of the span in [start, end)."""
        first, last = f"GREATEST({start}, {self.span.start})", f"LEAST({end} - {self.grain}, {self.span.end})"
        return self.dialect.instants(first, last, self.grain)

    def _ranked(self, ranked: RankedState) -> Iterator[str]:
        """The first few of the events that are in the window at each row, in the state's order."""
        name, window = ranked.name, ranked.window
        enter, leave = self._enter(), self._gone(self._leave(window))
        by, direction = {"first": ("seq", "ASC"), "last": ("seq", "DESC"), "greatest": (name, "DESC")}[ranked.order]
        some = f"FROM prepared WHERE {name} IS NOT NULL"
        project = f"SELECT '{self.agent}@' || project, {name}, {by}, {self._cell} {some} AND project IS NOT NULL"
        whole = f"SELECT '{self.agent}' AS agent_id, {name} AS value, {by} AS rank, {self._cell} {some}"
        yield f"{name}_keyed AS ({whole} UNION ALL {project})"
        yield (
            f"{name}_placed AS (SELECT agent_id, value, rank, {enter} AS te, {leave} AS tl,"
            f" row_number() OVER (PARTITION BY agent_id, {enter}, {leave} ORDER BY rank {direction}) AS place"
            f" FROM {name}_keyed WHERE {enter} < {leave})"
        )
        # Each under the stretches of the window's length that it reaches into, so that rows meet only what lies near them.
        stretches = self.dialect.instants(_floor("te", window.size), _floor("(tl - 1)", window.size), window.size)
        yield (
            f"{name}_spans AS (SELECT agent_id, value, rank, te, tl, g.stretch AS stretch FROM {name}_placed, {stretches} AS g(stretch)"
            f" WHERE place <= {ranked.length})"
        )
        within = f"s.agent_id = r.agent_id AND s.stretch = {_floor('r.t', window.size)} AND s.te <= r.t AND r.t < s.tl"
        found = self.dialect.listed if ranked.listed else "MAX(value)"
        yield (
            f"{name}_at AS (SELECT agent_id, t, {found} AS x FROM (SELECT r.agent_id AS agent_id, r.t AS t, s.value AS value,"
            f" row_number() OVER (PARTITION BY r.agent_id, r.t ORDER BY s.rank {direction}) AS place"
            f" FROM running r JOIN {name}_spans s ON {within} WHERE {self.span.wanted})"
            f" each_place WHERE place <= {ranked.length} GROUP BY agent_id, t)"
        )

    def _late_known(self) -> str:
        """Greatest instant at which the platform learnt of what makes the two forms differ at an instant."""
        occurred, longest = _ceil("b", self.grain), f"leave_{self.windows[-1].label}"
        learnt = "COALESCE(tu, tk)" if self.revised else "tk"
        return (
            "late_known AS (SELECT agent_id, g.t AS t, MAX(knowledge) AS known FROM timed,"
            f" {self._instants(occurred, f'LEAST({learnt}, {longest})')} AS g(t) WHERE {learnt} > {occurred} GROUP BY agent_id, g.t)"
        )

    def final(self) -> str:
        """The states at the wanted instants: `running`, with picks looked up and extremes put together."""
        columns, joins = ["r.agent_id AS agent_id", "r.t AS t"], []
        columns += [f"CAST(r.{each.name} AS BIGINT) AS {each.name}" for each in self._narrow()]
        columns += list(self._spread_limbs())
        for each in self.plan.limbs:
            columns += self._limbs(f"r.{each.name}", each.name)
        for ranked in self.plan.ranked:
            columns.append(f"{ranked.name}_at.x AS {ranked.name}")
            joins.append(f"LEFT JOIN {ranked.name}_at ON {ranked.name}_at.agent_id = r.agent_id AND {ranked.name}_at.t = r.t")
        for name, pick in self.lasts.items():
            if not _is_instant(pick):
                joins.append(f"LEFT JOIN prepared {name}_event ON {name}_event.seq = r.{name}")
        for pick in self.plan.picks:
            value, more = self._pick_value(pick)
            columns.append(f"{value} AS {pick.name}")
            joins += more
        if self.late:
            columns.append("late_known.known AS late_known")
            joins.append("LEFT JOIN late_known ON late_known.agent_id = r.agent_id AND late_known.t = r.t")
        return f"SELECT {', '.join(columns)}\nFROM running r\n{' '.join(joins)}\nWHERE {self.span.wanted} ORDER BY r.agent_id, r.t"

    def _narrow(self) -> list[SumState | DistinctState]:
        return [each for each in self._summed() if not (isinstance(each, SumState) and each.wide)]

    def _spread_limbs(self) -> Iterator[str]:
        """n·Σx² - (Σx)², which needs 128 bits, as two integers of 64: value = hi · LIMB + lo."""
        wide = self.dialect.wide
        for each in self.plan.spreads:
            n, total = f"CAST(r.{each.count.name} AS {wide})", f"CAST(r.{each.total.name} AS {wide})"
            numerator = f"({n} * CAST(r.{each.squares.name} AS {wide}) - {total} * {total})"
            yield from self._limbs(numerator, each.name)

    def _limbs(self, value: str, name: str) -> tuple[str, str]:
        high = f"CAST({self.dialect.divide(value, LIMB)} AS BIGINT) AS {name}_hi"
        return high, f"CAST(MOD({value}, {LIMB}) AS BIGINT) AS {name}_lo"

    def _pick_value(self, pick: PickState) -> tuple[str, list[str]]:
        """A pick's value at r.t, null when its window is empty, and the joins that it needs."""
        window = pick.window
        if pick.function == "last":
            name = self._shared_name(pick)
            occurred, value = (f"r.{name}",) * 2 if _is_instant(pick) else (f"{name}_event.ts", f"{name}_event.{name}_value")
            present = f"{_ceil(occurred, window.hop)} + {window.size} > r.t"
            served, joins = self._superseded_pick(pick) if self.revised_served else ("", [])
            return f"CASE {served}WHEN {present} THEN CAST({value} AS BIGINT) END", joins
        # An extreme is that of whole hops, of the hop under way (where instants lie inside hops), and of what was known late.
        parts = [f"{pick.name}_whole.x"]
        joins = [
            f"LEFT JOIN {pick.name}_whole ON {pick.name}_whole.agent_id = r.agent_id AND {pick.name}_whole.h = {_floor('r.t', window.hop)}",
        ]
        if pick in self._running_extremes():
            parts.append(f"r.{pick.name}_part")
        if self.late_served:
            parts.append(f"{pick.name}_late.x")
            joins.append(
                f"LEFT JOIN {pick.name}_late ON {pick.name}_late.agent_id = r.agent_id AND {pick.name}_late.t = r.t",
            )
        choose = "LEAST" if pick.function == "minimum" else "GREATEST"
        return f"CAST({choose}({', '.join(parts)}) AS BIGINT)" if len(parts) > 1 else f"CAST({parts[0]} AS BIGINT)", joins

    def _superseded_pick(self, pick: PickState) -> tuple[str, list[str]]:
        """The case in which a superseded revision is the latest; a later one that lasts is still present whenever it is."""
        name, served = self._shared_name(pick), f"{pick.name}_served"
        joins = [f"LEFT JOIN {served} ON {served}.agent_id = r.agent_id AND {served}.t = r.t"]
        value = f"{served}.x"
        if not _is_instant(pick):
            joins.append(f"LEFT JOIN prepared {served}_event ON {served}_event.seq = {served}.x")
            value = f"{served}_event.{name}_value"
        latest = f"{served}.x > r.{name} OR ({served}.x IS NOT NULL AND r.{name} IS NULL)"
        return f"WHEN {latest} THEN CAST({value} AS BIGINT) ", joins


def _sum(name: str, *, wide: bool) -> str:
    """A sum in the type that it was proved to fit: engines make every sum of integers 128-bit, and all that follows pays for it."""
    return f"SUM({name})" if wide else f"CAST(SUM({name}) AS BIGINT)"


def contribution(prepared: Prepared, dialect: Dialect) -> str:  # noqa: PLR0911  one line a role
    """The integer that an event contributes, as SQL over a row of `events`."""
    where = passing(prepared.where)
    if prepared.role == "one" or prepared.operand is None:
        return f"CASE WHEN {where} THEN 1 ELSE 0 END"
    if prepared.role in ("true", "known"):
        truth = condition(prepared.operand)
        test = truth if prepared.role == "true" else f"({truth}) IS NOT NULL"
        return f"CASE WHEN {where} AND {test} THEN 1 ELSE 0 END"
    value = operand(prepared.operand)
    match prepared.role:
        case "present":
            return f"CASE WHEN {where} AND {value} IS NOT NULL THEN 1 ELSE 0 END"
        case "value":
            return f"CASE WHEN {where} THEN COALESCE({value}, 0) ELSE 0 END"
        case "square":
            wide = f"CAST({value} AS {dialect.wide})"
            return f"CASE WHEN {where} THEN COALESCE({wide} * {wide}, 0) ELSE 0 END"
        case "cube":
            wide = f"CAST({value} AS {dialect.wide})"
            return f"CASE WHEN {where} THEN COALESCE({wide} * {wide} * {wide}, 0) ELSE 0 END"
        case "bucket":
            bounds = [] if prepared.low is None else [f"{value} > {prepared.low}"]
            bounds += [f"{value} IS NOT NULL" if prepared.high is None else f"{value} <= {prepared.high}"]
            return f"CASE WHEN {where} AND {' AND '.join(bounds)} THEN 1 ELSE 0 END"
    raise AssertionError(prepared)


def _is_instant(pick: PickState) -> bool:
    return isinstance(pick.operand, Column) and pick.operand.name == "occurred_at"


def _extreme(pick: PickState) -> str:
    return "MIN" if pick.function == "minimum" else "MAX"


def _same(one: PickState, other: PickState) -> bool:
    return _content(one) == _content(other)


def _content(pick: PickState) -> object:
    where = None if pick.where is None else pick.where.canonical()
    return pick.function, where, pick.operand.canonical()


def _shared(picks: list[PickState]) -> dict[str, PickState]:
    """The picks that differ in more than their window, under names of their own."""
    found: dict[str, PickState] = {}
    for pick in picks:
        if not any(_same(pick, each) for each in found.values()):
            found[f"{'l' if pick.function == 'last' else 'x'}{len(found)}"] = pick
    return found
