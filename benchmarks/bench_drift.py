"""`detektor drift`: false alarms where nothing changed, what is found where something did, and how long it takes.

    .venv/bin/python benchmarks/bench_drift.py [--projects 12 99] [--histories 2] [--turns 3] [--only-speed] [--json]

**Histories.** Simulated ones made stationary: each day of a project is one of its own simulated days of the same weekday, drawn at random,
so that days are realistic, dependent within and independent of each other, and no season is left. The features are computed by the engine,
80 of eight views over 184 days; agent_ids are the projects and one for all of them. The reference is the eight weeks after the first 30
days; every week after it is judged: 14 a history. `…_simulated` is the simulator's own history, with its slow states, holidays and August.

**Rates.** `alarms_…`: share of feature-weeks at the level `alert`, by method. `naive_…`: those whose PSI is above 0.2 as it is.
`found_…`: share of features at the level `alert` after every value of a week was changed; of features with something to change.
`p_below_5_percent_…`: of the chi-square test without a change, 5 % when it is right.

**Speed.** `six_months_s`: pin the reference of all views and judge every week after it, from PostgreSQL, with 100 agent_ids of each agent;
`one_look_s`: the daily job; `…_cpu_s` is this process's processor time. Medians of the turns.
"""

from __future__ import annotations

import datetime as dt
import statistics
from typing import TYPE_CHECKING, Final

import measuring
import numpy as np
from measuring import say

from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.language.calendar import end_us, start_us
from detektor_pipelines.language.windows import DAY
from detektor_pipelines.quality.drift import METHODS
from detektor_pipelines.quality.drift.samples import Sample, sampled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import pyarrow as pa
    from numpy.typing import NDArray

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.quality.drift import Result
    from detektor_pipelines.settings import Settings

    Values = NDArray[np.float64]

DAYS: Final = 184
FIRST: Final = measuring.END - dt.timedelta(days=DAYS)
REFERENCE: Final = (FIRST + dt.timedelta(days=30), FIRST + dt.timedelta(days=85))
EVENTS_A_PROJECT: Final = 8_000

CHANGES: Final[Mapping[str, Callable[[Values], Values]]] = {
    "half_more": lambda values: values * 1.5,
    "doubled": lambda values: values * 2,
    "zero": lambda values: np.where(np.isnan(values), np.nan, 0.0),
    "every_third_null": lambda values: np.where(np.arange(len(values))[:, None] % 3 == 0, np.nan, values),
}


def main() -> None:
    """Measure and print."""
    parser = measuring.options(__doc__)
    parser.add_argument("--projects", type=int, nargs="+", default=[12, 99])
    parser.add_argument("--histories", type=int, default=2)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--only-speed", action="store_true")
    arguments = parser.parse_args()
    figures = measuring.machine()
    if not arguments.only_speed:
        for projects in arguments.projects:
            figures |= rates(projects, arguments.histories)
    with measuring.servers() as (settings,):
        figures |= speed(settings, arguments.turns)
    measuring.show(figures, as_json=arguments.json)


def rates(projects: int, histories: int) -> dict[str, float]:
    """Return false alarms and what is found, of so many projects."""
    where = f"{projects + 1}_agent_ids"
    figures: dict[str, float] = {}
    for simulated in (False, True):
        weeks = list(_histories(projects, histories, simulated=simulated))
        found = [result for each in weeks for result in judged(each)]
        suffix = f"{where}_simulated" if simulated else where
        for method in METHODS:
            ours = [each for each in found if each.method == method]
            figures[f"alarms_{method}_{suffix}"] = statistics.mean(each.level == "alert" for each in ours)
        values = [each for each in found if each.method == "psi"]
        figures[f"naive_{suffix}"] = statistics.mean(each.observed > 0.2 for each in values)
        figures[f"too_few_{suffix}"] = statistics.mean(each.level == "too_few" for each in values)
        tests = [each.p_value < 0.05 for each in found if each.method == "chi_square" and each.level != "too_few"]
        figures[f"p_below_5_percent_{suffix}"] = statistics.mean(tests)
        if not simulated:
            figures |= {f"found_{name}_{where}": _power(weeks, name, change) for name, change in CHANGES.items()}
    return figures


def _power(histories: list[dict[str, pa.Table]], name: str, change: Callable[[Values], Values]) -> float:
    method = "null_share" if name == "every_third_null" else "psi"
    found = [each for history in histories for each in judged(history, change, every=4) if each.method == method]
    return statistics.mean(each.level == "alert" for each in found)


def _histories(projects: int, number: int, *, simulated: bool) -> Iterator[dict[str, pa.Table]]:
    from detektor_pipelines.simulation.simulator import simulate_table

    for seed in range(number):
        say(f"A history of {projects} projects, {'as simulated' if simulated else 'stationary'}")
        table = simulate_table(days=DAYS, projects=projects, seed=seed, end=measuring.END, events=EVENTS_A_PROJECT * projects)
        rows, shift = (np.arange(table.num_rows), 0) if simulated else drawn(table, seed)
        table = table.take(rows)
        yield {view.name: computed(view, table, shift) for view in VIEWS}


def drawn(table: pa.Table, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return rows of the table and by how many µs each is moved: every day of a project is one of its own of the same weekday."""
    days = table["occurred_at"].cast("int64").to_numpy() // DAY
    projects = np.array(["" if each is None else each for each in table["project"].to_pylist()])
    first = int(days.max()) - DAYS + 1
    generator = np.random.default_rng(seed)
    rows, shifts = [], []
    for project in np.unique(projects[projects != ""]):
        ours = np.flatnonzero(projects == project)
        ours = ours[np.argsort(days[ours], kind="stable")]
        its_days = days[ours]
        pool = np.arange(its_days[0], its_days[-1] + 1)
        for day in range(first, first + DAYS):
            source = generator.choice(pool[(pool - day) % 7 == 0])
            begin, end = np.searchsorted(its_days, [source, source + 1])
            rows.append(ours[begin:end])
            shifts.append(np.full(end - begin, (day - source) * DAY))
    return np.concatenate(rows), np.concatenate(shifts)


def computed(view: FeatureView, table: pa.Table, shift: NDArray[np.int64] | int) -> pa.Table:
    """Return the view's rows of such events, each known when it happened."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from detektor_pipelines.compile.plan import plan
    from detektor_pipelines.engine.compute import compute
    from detektor_pipelines.language.events import MEASURES

    ours = pc.equal(table["agent_type"].cast(pa.string()), view.agent).to_numpy()
    moved = (table["occurred_at"].cast("int64").to_numpy() + shift)[ours]
    chosen = table.filter(pa.array(ours))
    columns = {
        "ts": pa.array(moved),
        "known": pa.array(moved),
        "until": pa.nulls(len(moved), pa.int64()),
        "event_id": pa.array([f"event-{number}" for number in range(len(moved))]),
        "live": pa.array(np.ones(len(moved), dtype=bool)),
        "project": chosen["project"].cast(pa.string()),
    }
    columns |= {name: chosen[name].cast(pa.int64() if name in MEASURES else pa.string()) for name in plan(view).columns}
    return compute(view, pa.table(columns), start=start_us(FIRST), end=end_us(measuring.END - dt.timedelta(days=1)), cutoff=None)


def judged(history: Mapping[str, pa.Table], change: Callable[[Values], Values] | None = None, every: int = 1) -> list[Result]:
    """Judge every so many weeks after the reference, of all views."""
    from detektor_pipelines.quality.drift.judgement import judge, window_days
    from detektor_pipelines.quality.drift.profiles import profiles

    results = []
    for view in VIEWS:
        last = measuring.END - dt.timedelta(days=1)
        everything = sampled(view, history[view.name], start_us(FIRST), end_us(last))
        begin = (REFERENCE[0] - FIRST).days
        reference = everything.part(begin, (REFERENCE[1] - FIRST).days + 1)
        kept = profiles(reference, window_days(view))
        for end in range((REFERENCE[1] - FIRST).days + 8, DAYS + 1, 7 * every):
            window = everything.part(end - 7, end)
            if change:
                window = Sample(window.agent_ids, window.present, {name: change(each) for name, each in window.values.items()})
            results += judge(view, 1, reference.agent_ids, kept, window, FIRST + dt.timedelta(days=end - 1))
    return results


def speed(settings: Settings, turns: int) -> dict[str, float]:
    """Return the seconds of six months and of one look, with 100 agent_ids of each agent."""
    from detektor_pipelines.engine.materialize import materialize
    from detektor_pipelines.quality.drift import look, look_at
    from detektor_pipelines.quality.drift.references import pin
    from detektor_pipelines.stores.raw_log.bulk import append_table

    say("Publishing six months of 99 projects")
    measuring.stop_the_clock()
    append_table(settings, measuring.history(600_000, 99, DAYS))
    rows = sum(day.rows for view in VIEWS for day in materialize(settings, view, measuring.last_days(DAYS)).days)
    weeks = [REFERENCE[1] + dt.timedelta(days=7 * number) for number in range(1, 15)]
    found: dict[str, list[float]] = {}
    for _ in range(turns):
        figures: dict[str, float] = {}
        with measuring.timed(figures, "six_months_s", processor="six_months_cpu_s"):
            for view in VIEWS:
                look_at(settings, view, pin(settings, view, *REFERENCE, by="benchmark"), weeks, keep=True)
        with measuring.timed(figures, "one_look_s", processor="one_look_cpu_s"):
            for view in VIEWS:
                look(settings, view)
        for name, seconds in figures.items():
            found.setdefault(name, []).append(seconds)
    return {"rows": rows} | {name: statistics.median(each) for name, each in found.items()}


if __name__ == "__main__":
    main()
