"""The published rows: is every day there, of the view's schema, and still what was recorded when it was published?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from detektor_pipelines import clock
from detektor_pipelines.engine.gate import failures_by_day
from detektor_pipelines.language.calendar import between, dated, end_us, owner, owner_numbers
from detektor_pipelines.quality.freshness_report import history
from detektor_pipelines.stores.offline.rows import hashes_by_day, row_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

    from detektor_pipelines.quality.validation.outcomes import Outcome
    from detektor_pipelines.quality.validation.stage import Published, Stage


def days(stage: Stage, outcome: Outcome) -> None:
    """Every day from the first event to the newest published one is published, was over when it was, and says what the log says."""
    span = history(stage.settings)
    if span is None:
        return
    today = owner(clock.now_us())
    for each in stage.published.values():
        if not each.days:
            outcome.add(f"{each.view.name} was never published.", "no day of its present version", _backfill(each, span))
            continue
        newest = max(each.days)
        due = between(min(span[0], newest), newest)
        outcome.compared += len(due)
        open_then = {day for day, known in each.days.items() if day != newest and clock.to_us(known.published_at) < end_us(day)}
        for what, some in (
            ("are not published", set(due) - set(each.days)),
            ("were published while they were open, and not since", open_then),
            ("no longer say what the log says: events came since they were published", {day for day in each.stale if day < today}),
        ):
            if some:
                where = f"{len(some)} of {len(due)} days, {_listed(some)}"
                outcome.add(f"Days of {each.view.name} {what}.", where, _backfill(each, (min(some), max(some))))


def schema(stage: Stage, outcome: Outcome) -> None:
    """Every published row passes the schema that the gate holds: types, nulls, bounds, keys."""
    for each in stage.published.values():
        if each.rows is None:
            continue  # the registry check says what the table lacks
        outcome.compared += each.written_last.num_rows
        for day, cases in sorted(failures_by_day(each.view, each.written_last).items()):
            for (column, must), some in _by_rule(cases).items():
                first = some[0]
                what = f"{each.view.name}.{column or 'row'} is {first['value']}, and must be: {must}."
                where = f"{dated(day)}: {first['agent_id']} at {first['event_timestamp']}" + _more(len(some))
                outcome.add(what, where, f"{_again(each, dated(day))}; a bound that is too narrow stands in catalog/{each.view.group}.py.")


def recorded(stage: Stage, outcome: Outcome) -> None:
    """The rows of each day are, to the bit, those that the day was recorded with; none is there twice, none belongs to no day."""
    for each in stage.published.values():
        if each.rows is None:
            continue
        found = hashes_by_day(each.newest, sorted(each.days))
        outcome.compared += len(found)
        for day, (rows, digest) in found.items():
            then = each.days[day]
            if (rows, digest) != (then.rows, then.hash):
                changed = f"{rows} rows stand where {then.rows} were recorded" if rows != then.rows else "a value or a key was changed"
                where = f"{day}: {changed} in feast.{row_table(each.view)}"
                outcome.add(f"Rows of {each.view.name} are not those that were published.", where, _again(each, day))
        _of_no_day(each, outcome)
        _twice(each, outcome)


def _by_rule(cases: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], list[Mapping[str, Any]]]:
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for case in cases:
        found.setdefault((case["column"], case["check"]), []).append(case)
    return found


def _of_no_day(each: Published, outcome: Outcome) -> None:
    import numpy as np

    strangers = {dated(int(number)) for number in np.unique(owner_numbers(each.newest["event_timestamp"]))} - set(each.days)
    if strangers:
        fix = _backfill(each, (min(strangers), max(strangers)))
        outcome.add(f"Rows of {each.view.name} belong to days that were never published.", _listed(strangers), fix)


def _twice(each: Published, outcome: Outcome) -> None:
    """Look for a version that says again what the one before it said at the same created_at."""
    import pyarrow as pa

    if each.rows is None or each.rows.num_rows == each.written_last.num_rows:
        return
    names = [name for name in each.rows.column_names if name != "written_at"]
    versions = pa.TableGroupBy(each.rows.select(names), names).aggregate([([], "count_all")])
    again = versions.filter(pa.compute.greater(versions["count_all"], 1))
    for row in again.slice(0, 3).to_pylist():
        where = f"{row['agent_id']} at {row['event_timestamp']}, created_at {row['created_at']}" + _more(again.num_rows)
        fix = f"Delete all but one in feast.{row_table(each.view)}; something else than the platform wrote there."
        outcome.add(f"A row of {each.view.name} says the same twice.", where, fix)


def _backfill(each: Published, span: tuple[date, date]) -> str:
    return f"`detektor backfill --view {each.view.name} --from {span[0]} --to {span[1]}`"


def _again(each: Published, day: date) -> str:
    group = each.view.group
    command = f"dagster asset materialize -m detektor_pipelines.definitions --select 'group:{group}' --partition {day}"
    return f"`{command}` computes that day again from the log"


def _listed(some: Iterable[date]) -> str:
    ordered = sorted(some)
    return ", ".join(map(str, ordered[:5])) + (f" … {ordered[-1]}" if len(ordered) > 5 else "")  # noqa: PLR2004


def _more(number: int) -> str:
    return f" and {number - 1} more" if number > 1 else ""
