"""What the agents did: events, outcomes, projects and tokens, from the raw log by a few statements."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final

from detektor_pipelines.language.calendar import owner_sql
from detektor_pipelines.language.events import AGENT_TYPES, views_operation
from detektor_pipelines.report.contents import Did, Tokens

if TYPE_CHECKING:
    from datetime import date

    import psycopg

    from detektor_pipelines.report.contents import Period
    from detektor_pipelines.report.events import Events

WORK: Final = {
    "review": ("review", "reviews"),
    "deploy": ("deployment", "deployments"),
    "implement": ("implementation", "implementations"),
    "document": ("documentation check", "documentation checks"),
    "advise": ("advice", "pieces of advice"),
    "diagnose": ("diagnosis", "diagnoses"),
    "research": ("research pack", "research packs"),
}
"""An agent's own work in words: of one, of several."""

_BY_DAY: Final = """
SELECT who, mapped, day, operation, count(*), count(*) FILTER (WHERE outcome = 'failure') FROM live GROUP BY ALL ORDER BY ALL
"""
_BY_PROJECT: Final = "SELECT who, coalesce(project, ''), count(*), list(DISTINCT raw_name) FROM live GROUP BY 1, 2 ORDER BY 1, 2"
_DISTINCT: Final = "SELECT who, count(DISTINCT session_id), count(DISTINCT task_id) FROM live GROUP BY 1"
# Of one task the answers, the call and the summary each tell of the same tokens
TASK_TOKENS: Final = """
WITH kinds AS (
    SELECT who, max(session_id) AS session_id, coalesce(task_id, event_id) AS task, min(day) AS day,
           sum(coalesce(input_tokens, 0)) AS sent,
           sum(coalesce(output_tokens, 0)) AS produced, sum(coalesce(cache_read_tokens, 0)) AS cache_read,
           sum(coalesce(cache_creation_tokens, 0)) AS cache_written
    FROM live WHERE coalesce(input_tokens, output_tokens, cache_read_tokens, cache_creation_tokens) IS NOT NULL
    GROUP BY who, task, CASE WHEN operation IN ('chat', 'invoke_agent') THEN operation ELSE '' END
), tasks AS (
    SELECT who, max(session_id) AS session_id, task, min(day) AS day, max(sent) AS sent, max(produced) AS produced,
           max(cache_read) AS cache_read, max(cache_written) AS cache_written
    FROM kinds GROUP BY who, task
)
"""
_TOKENS: Final = f"""
{TASK_TOKENS} SELECT who, day, sum(sent)::bigint, sum(produced)::bigint, sum(cache_read)::bigint, sum(cache_written)::bigint
FROM tasks GROUP BY 1, 2
"""


def activity(events: Events, period: Period) -> tuple[Did, ...]:
    """Return what each agent did, those of the eight first, then the others by how much they did; none that did nothing."""
    found: dict[str, Did] = {}
    for who, mapped, day, operation, number, failed in events.ask(_BY_DAY):
        did = found.setdefault(who, _nothing(who, period.length, mapped=mapped))
        did.events += number
        did.operations[operation] = did.operations.get(operation, 0) + number
        if not mapped or operation == views_operation(who):
            did.work[day] += number
            did.failed[day] += failed
    _add_projects(events, found)
    for who, sessions, tasks in events.ask(_DISTINCT):
        found[who].sessions, found[who].tasks = sessions, tasks
    for who, day, *counts in events.ask(_TOKENS):
        tokens = Tokens(*counts)
        found[who].tokens += tokens
        found[who].tokens_by_day[day] += tokens.total
    order = {name: number for number, name in enumerate(AGENT_TYPES)}
    for did in found.values():
        did.operations = dict(Counter(did.operations).most_common())
    return tuple(sorted(found.values(), key=lambda each: (order.get(each.name, len(order)), -each.events, each.name)))


def idle(did: tuple[Did, ...]) -> tuple[str, ...]:
    """Return those of the eight that did nothing."""
    busy = {each.name for each in did if each.mapped}
    return tuple(name for name in AGENT_TYPES if name not in busy)


def _nothing(who: str, days: int, *, mapped: bool) -> Did:
    work = WORK[views_operation(who)][1] if mapped else "events"
    return Did(who, mapped, work_name=work, work=[0] * days, failed=[0] * days, tokens_by_day=[0] * days)


def _add_projects(events: Events, found: dict[str, Did]) -> None:
    names: defaultdict[str, set[str]] = defaultdict(set)
    for who, project, number, raw in events.ask(_BY_PROJECT):
        found[who].projects[project or "no project"] = number
        names[who].update(raw)
    for who, did in found.items():
        did.projects = dict(Counter(did.projects).most_common())
        did.names = tuple(sorted(names[who]))


def simulated(connection: psycopg.Connection) -> bool | None:
    """Whether the log is simulated; None when it is both, or empty."""
    row = connection.execute("SELECT simulated, mixed FROM ml_learning.log_origin").fetchone()
    return None if row is None or row[1] else bool(row[0])


def first_day(connection: psycopg.Connection) -> date | None:
    """Return the day of the first event of whichever agent."""
    row = connection.execute(f"SELECT {owner_sql('min(occurred_at)')} FROM ml_learning.agent_events").fetchone()
    return row[0] if row else None
