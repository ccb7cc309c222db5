"""The three things that stand out: changes that chance does not explain, then records, each with the events behind it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines.clock import from_us
from detektor_pipelines.language.events import AGENT_TYPES, views_operation
from detektor_pipelines.report.activity import TASK_TOKENS, WORK
from detektor_pipelines.report.chance import ALPHA, FEWEST_UNITS, SHUFFLES, changes
from detektor_pipelines.report.contents import EventBehind, Looked, StandsOut

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detektor_pipelines.report.chance import Change
    from detektor_pipelines.report.contents import Period
    from detektor_pipelines.report.events import Events

THINGS: Final = 3
EVENTS: Final = 5
"""Events that are shown behind each."""
_WEEK: Final = 7
_WEEKS_FROM: Final = 12 * _WEEK
"""Days from which a period is looked at by weeks: shorter ones by days, and then not for how much was done, which weekends move."""


_LATEST: Final = "at_us DESC"
_WORKED: Final = "(operation = own OR own IS NULL AND operation = 'tool_call')"
"""Its own work; the tool calls of an agent that is none of the eight."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A ratio that can change.

    `events`: the condition of the events that it is about. `top`, `bottom`: sums in SQL over these. `telling`: the condition of those that
    make it large, or the order by which they do. `share`: whether it is one (otherwise a number in `unit`); `log`: the mean of a logarithm.
    """

    name: str
    events: str
    top: str
    bottom: str
    telling: str
    order: str = _LATEST
    share: bool = False
    log: bool = False
    unit: str = ""
    amount: bool = False


def _share(name: str, events: str, is_one: str, among: str) -> Measure:
    return Measure(name, events, f"count(*) FILTER (WHERE {is_one})", f"count(*) FILTER (WHERE {among})", is_one, share=True)


def _typical(name: str, events: str, column: str, unit: str) -> Measure:
    """Return a measure of what is typical: the geometric mean, which a single giant does not move."""
    top = f"coalesce(sum(ln({column} + 1)), 0)::float8"
    return Measure(name, events, top, f"count({column})", f"{column} IS NOT NULL", f"{column} DESC", log=True, unit=unit)


def _mean(name: str, events: str, column: str, unit: str) -> Measure:
    top = f"coalesce(sum({column}), 0)::float8"
    return Measure(name, events, top, f"count({column})", f"{column} IS NOT NULL", f"{column} DESC", unit=unit)


OWN: Final = "operation = own"
MEASURES: Final = (
    Measure("{works} a week", OWN, "count(*)", "count(*)", "true", unit="a week", amount=True),
    _share("share of {works} that fail", OWN, "outcome = 'failure'", "outcome IN ('success', 'failure')"),
    _share("share of {works} that reject", OWN, "verdict = 'rejected'", "verdict IS NOT NULL"),
    _share("share of tool calls that fail", "operation = 'tool_call'", "outcome = 'failure'", "outcome IN ('success', 'failure')"),
    _share("share of test runs that fail", "operation = 'test_run'", "outcome = 'failure'", "outcome IN ('success', 'failure')"),
    _typical("typical duration of a {work}", OWN, "duration_ms", "ms"),
    _typical("tokens that a {work} produces, typically", OWN, "output_tokens", "tokens"),
    _mean("issues that a {work} finds", OWN, "issues_found", "issues"),
    _mean("score that people give", "operation = 'feedback'", "score_milli / 1000.0", "from −1 to 1"),
)


def stand_out(events: Events, period: Period) -> tuple[tuple[StandsOut, ...], Looked]:
    """Return up to three things, those that passed the test against chance first, and how they were looked for."""
    unit = _WEEK if period.length >= _WEEKS_FROM else 1
    units = period.length // unit
    looked = Looked(0, units, unit, SHUFFLES)
    found: list[StandsOut] = []
    if units >= FEWEST_UNITS:
        judged = changes(_sums(events, period, unit))
        looked = Looked(len(judged), units, unit, SHUFFLES, "" if judged else "no measure has enough behind it")
        agents: set[str] = set()
        for each in judged:
            if each.chance <= ALPHA and each.measure[0] not in agents and len(found) < THINGS:
                agents.add(each.measure[0])
                found.append(_said(events, period, unit, each))
    else:
        looked = Looked(0, units, unit, SHUFFLES, f"{units} days are too few, {FEWEST_UNITS} are needed")
    found += _records(events)[: THINGS - len(found)]
    return tuple(found), looked


def _sums(events: Events, period: Period, unit: int) -> dict[tuple[str, int], tuple[list[float], list[float]]]:
    """Return (agent, number of the measure) → numerators and denominators by unit; units are whole, counted back from the end."""
    units = period.length // unit
    before = period.length - units * unit
    wanted = [(number, each) for number, each in enumerate(MEASURES) if not each.amount or unit == _WEEK]
    sums = ", ".join(f"{_filtered(each.top, each.events)}, {_filtered(each.bottom, each.events)}" for _, each in wanted)
    statement = f"SELECT who, (day - {before}) // {unit}, {sums} FROM live WHERE day >= {before} GROUP BY 1, 2 ORDER BY 1, 2"
    found: dict[tuple[str, int], tuple[list[float], list[float]]] = {}
    for who, position, *numbers in events.ask(statement):
        for place, (number, measure) in enumerate(wanted):
            empty = ([0.0] * units, [1.0 if measure.amount else 0.0] * units)
            tops, bottoms = found.setdefault((who, number), empty)
            tops[position] = float(numbers[2 * place])
            bottoms[position] = 1.0 if measure.amount else float(numbers[2 * place + 1])
    # An amount's denominator is the unit itself, so what it has to show for is the events
    return {key: pair for key, pair in found.items() if not MEASURES[key[1]].amount or sum(pair[0]) >= 2 * units}


def _filtered(aggregate: str, condition: str) -> str:
    """Restrict an aggregate to the events that a measure is about."""
    if "FILTER (WHERE " in aggregate:
        return aggregate.replace("FILTER (WHERE ", f"FILTER (WHERE {condition} AND ")
    if aggregate.startswith("coalesce(sum("):
        return aggregate.replace("), 0)", f") FILTER (WHERE {condition}), 0)")
    return f"{aggregate} FILTER (WHERE {condition})"


def _said(events: Events, period: Period, unit: int, change: Change) -> StandsOut:
    agent, measure = change.measure[0], MEASURES[change.measure[1]]
    units = period.length // unit
    day = period.last - timedelta(days=(units - change.split) * unit - 1)
    one, several = WORK[views_operation(agent)] if agent in AGENT_TYPES else ("event", "events")
    name = measure.name.format(work=one, works=several)
    sides = [_ratio(measure, *side) for side in (change.before, change.after)]
    rose = sides[1][0] > sides[0][0]
    first = period.length - (units - change.split) * unit
    condition = f"who = $agent AND {measure.events} AND day >= {first} AND {measure.telling if rose or not measure.share else 'true'}"
    order = measure.order if rose or measure.order == _LATEST else measure.order.replace(" DESC", "")
    behind, number = _behind(events, condition, order, agent=agent)
    kind = "weeks" if unit == _WEEK else "days"
    return StandsOut(
        f"{agent}: {name} {'rose' if rose else 'fell'} from {sides[0][1]} to {sides[1][1]}",
        f"{_amount(measure, change.before)} in the {change.split} {kind} before {day:%-d %B %Y}, {_amount(measure, change.after)} in the"
        f" {units - change.split} {kind} from then on. {_chance(change.chance)}",
        tested=True,
        agent=agent,
        events=behind,
        events_in_all=number,
        chance=change.chance,
        before=(sides[0][0], sides[1][0]),
        split=day,
    )


def _ratio(measure: Measure, top: float, bottom: float) -> tuple[float, str]:
    import math

    value = top / bottom if bottom else 0.0
    if measure.log:
        value = math.exp(value) - 1
        return value, _duration(value) if measure.unit == "ms" else f"{value:,.0f} {measure.unit}"
    if measure.share:
        return value, f"{value:.0%}"
    return value, f"{value:,.2f} {measure.unit}".strip() if abs(value) < 10 else f"{value:,.0f} {measure.unit}".strip()  # noqa: PLR2004


def _amount(measure: Measure, side: tuple[float, float]) -> str:
    top, bottom = side
    if measure.share:
        return f"{top:,.0f} of {bottom:,.0f}"
    return f"{top:,.0f} in all" if measure.amount else f"{bottom:,.0f} of them"


def _chance(chance: float) -> str:
    least = 1 / (SHUFFLES + 1)
    said = f"fewer than 1 in {SHUFFLES:,}" if chance <= least * 1.5 else f"{chance:.1%}"
    return f"By chance alone {said} of such periods would show as much in any measure."


def _duration(milliseconds: float) -> str:
    seconds = milliseconds / 1_000
    for size, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {name}"
    return f"{seconds:.1f} s"


def _behind(events: Events, condition: str, order: str, **parameters: Any) -> tuple[tuple[EventBehind, ...], int]:
    """Return the first events of a condition in an order, and how many there are."""
    statement = f"""
        SELECT event_id, at_us, who || coalesce('@' || project, ''), operation, tool_name, outcome, verdict, error_type, duration_ms,
               output_tokens, issues_found, source, count(*) OVER ()
        FROM live WHERE {condition} ORDER BY {order}, event_id LIMIT {EVENTS}
    """
    rows = events.ask(statement, **parameters)
    found = tuple(EventBehind(row[0], from_us(row[1]), row[2], _words(row[3:8], *row[8:11]), row[11]) for row in rows)
    return found, rows[0][12] if rows else 0


def _words(texts: Sequence[str | None], duration: int | None, tokens: int | None, issues: int | None) -> str:
    said = [each for each in texts if each]
    said += [] if duration is None else [_duration(duration)]
    said += [] if tokens is None else [f"{tokens:,} {'token' if tokens == 1 else 'tokens'} produced"]
    return ", ".join(said + ([] if issues is None else [f"{issues} {'issue' if issues == 1 else 'issues'}"]))


def _records(events: Events) -> list[StandsOut]:
    """Return what was the most of its kind. Something always is: these are facts, no findings."""
    found = [_largest_session(events), _longest_failures(events), _longest_work(events)]
    return [each for each in found if each is not None]


def _longest_failures(events: Events) -> StandsOut | None:
    rows = events.ask(f"""
        WITH ended AS (
            SELECT who, at_us, outcome, row_number() OVER (PARTITION BY who ORDER BY at_us, event_id)
                   - row_number() OVER (PARTITION BY who, outcome ORDER BY at_us, event_id) AS run
            FROM live WHERE outcome IN ('success', 'failure') AND {_WORKED}
        )
        SELECT who, count(*), min(at_us), max(at_us) FROM ended WHERE outcome = 'failure' GROUP BY who, run ORDER BY 2 DESC, 3, 1 LIMIT 1
    """)
    if not rows or rows[0][1] < 2:  # noqa: PLR2004  one failure is no run
        return None
    who, number, first, last = rows[0]
    condition = f"who = $who AND outcome = 'failure' AND at_us BETWEEN {first} AND {last} AND {_WORKED}"
    behind, in_all = _behind(events, condition, "at_us", who=who)
    return StandsOut(
        f"{who}: {number} failures in a row",
        f"The longest run of failures without a success between them, {_between(first, last)}.",
        tested=False,
        agent=who,
        events=behind,
        events_in_all=in_all,
    )


def _largest_session(events: Events) -> StandsOut | None:
    rows = events.ask(f"""
        {TASK_TOKENS} SELECT session_id, sum(produced)::bigint AS tokens, list(DISTINCT who), (sum(sum(produced)) OVER ())::bigint
        FROM tasks GROUP BY 1 ORDER BY session_id IS NULL, 2 DESC, 1 LIMIT 1
    """)
    if not rows or rows[0][0] is None or not rows[0][1]:
        return None
    session, tokens, agents, every = rows[0]
    condition = "session_id = $session AND output_tokens IS NOT NULL AND operation <> 'invoke_agent'"
    behind, in_all = _behind(events, condition, "output_tokens DESC", session=session)
    share = f"{tokens / every:.0%}" if tokens / every >= 0.01 else f"{tokens / every:.1%}"  # noqa: PLR2004  one in a hundred
    return StandsOut(
        f"One session produced {share} of all tokens: {tokens:,}",
        f"Session {session} of {', '.join(sorted(agents))}. No other session produced more.",
        tested=False,
        agent=min(agents),
        events=behind,
        events_in_all=in_all,
    )


def _longest_work(events: Events) -> StandsOut | None:
    behind, in_all = _behind(events, "operation = own AND duration_ms IS NOT NULL", "duration_ms DESC")
    if not behind:
        return None
    first = behind[0]
    return StandsOut(
        f"{first.agent_id}: the longest piece of work",
        f"{first.said}; ended {first.occurred_at:%-d %B %Y %H:%M}. The events are the longest of all agents, the longest first.",
        tested=False,
        agent=first.agent_id.partition("@")[0],
        events=behind,
        events_in_all=in_all,
    )


def _between(first: int, last: int) -> str:
    begin, end = _instant(first), _instant(last)
    return f"on {begin}" if begin == end else f"from {begin} to {end}"


def _instant(us: int) -> str:
    return f"{from_us(us):%-d %B %Y %H:%M}"
