"""Tokens and their cost, summed over the log's answers.

An answer is one `chat` event with the model's own count, of the main session and of subagents alike: a subagent's tokens are the sum over
its own answers, never what the result of its call says, which is its last request.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from detektor_pipelines.errors import UserError
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.usage.prices import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

    import psycopg

    from detektor_pipelines.settings import Settings
    from detektor_pipelines.usage.prices import Prices

Dimension = Literal["day", "month", "model", "agent", "name", "project", "session"]

_EXPRESSIONS: Final[dict[str, str]] = {
    "day": "to_char({at}, 'YYYY-MM-DD')",
    "month": "to_char({at}, 'YYYY-MM')",
    "model": "coalesce(model, '')",
    "agent": "agent_type",
    "name": "raw_name",
    "project": "coalesce(project, '')",
    "session": "coalesce(session_id, '')",
}
_SENT: Final = "coalesce(input_tokens, 0) + coalesce(cache_read_tokens, 0) + coalesce(cache_creation_tokens, 0)"
_LIVE: Final = """
SELECT event.* FROM ml_learning.agent_events AS event
LEFT JOIN (SELECT event_id, revision FROM ml_learning.event_ids WHERE revision > 1) AS identity USING (event_id)
WHERE event.revision = coalesce(identity.revision, event.revision) AND NOT event.retracted
  AND ({at})::date >= coalesce(%(first)s, '-infinity'::date) AND ({at})::date <= coalesce(%(last)s, 'infinity'::date)
  AND (%(agent)s::text IS NULL OR agent_type = %(agent)s OR raw_name = %(agent)s)
  AND (%(project)s::text IS NULL OR project = %(project)s)
"""
_ANSWERS: Final = """
SELECT {key}, coalesce(model, ''), (occurred_at AT TIME ZONE 'UTC')::date, width_bucket({sent}, %(steps)s::bigint[]), count(*),
       sum(coalesce(input_tokens, 0))::bigint, sum(coalesce(output_tokens, 0))::bigint,
       sum(coalesce(cache_read_tokens, 0))::bigint, sum(coalesce(cache_creation_tokens, 0))::bigint,
       count(*) FILTER (WHERE input_tokens IS NULL)
FROM ({live}) AS answer WHERE operation = 'chat' GROUP BY 1, 2, 3, 4
"""
_MODEL_DAYS: Final = """
SELECT DISTINCT coalesce(model, ''), (occurred_at AT TIME ZONE 'UTC')::date FROM ({live}) AS answer WHERE operation = 'chat'
"""
_UNSEEN: Final = """
SELECT count(*) FROM ({live}) AS run
WHERE operation = 'invoke_agent' AND outcome = 'success' AND NOT EXISTS (
    SELECT FROM ml_learning.agent_events AS answer WHERE answer.operation = 'chat' AND answer.task_id = run.task_id
)
"""


@dataclass(slots=True)
class Used:
    """What was used under one key.

    Attributes:
        key: The day, model, … that it is of.
        answers: Answers of models.
        tokens: By kind (`prices.KINDS`): input without the cache, output, read from the cache, written to it.
        cost: USD, of the answers whose model has a price.
        unpriced: Tokens of answers whose model has none.
        without_input: Answers whose log does not say what was sent: their cost is that of the output alone.

    """

    key: str
    answers: int = 0
    tokens: Counter[str] = field(default_factory=Counter)
    cost: Decimal = Decimal(0)
    unpriced: int = 0
    without_input: int = 0

    @property
    def total(self) -> int:
        """All tokens."""
        return self.tokens.total()


@dataclass(frozen=True, slots=True)
class Usage:
    """What was used in a period.

    Attributes:
        rows: One for each key, ascending; by the tokens, most first, unless the key is a day or a month.
        whole: Their sum.
        without_price: Tokens of the models that have no price, most first.
        unseen_runs: Subagents' runs that ended well and whose answers are in no log.

    """

    rows: list[Used]
    whole: Used
    without_price: dict[str, int]
    unseen_runs: int


@dataclass(frozen=True, slots=True)
class Period:
    """Which answers count: days of the zone, both inclusive, None without an end; one agent (by its name or the log's) or project."""

    first: date | None = None
    last: date | None = None
    zone: str = "UTC"
    agent: str | None = None
    project: str | None = None


def usage(settings: Settings, prices: Prices, by: Dimension, period: Period | None = None) -> Usage:
    """Sum tokens and cost.

    Args:
        settings: Whose log.
        prices: What tokens cost.
        by: What a row is of.
        period: Which answers count; all by default.

    Raises:
        UserError: The zone does not exist, or the database cannot be read.

    """
    period = period or Period()
    at = f"occurred_at AT TIME ZONE '{_zone(period.zone)}'"
    words = {"first": period.first, "last": period.last, "agent": period.agent, "project": period.project}
    live = _LIVE.format(at=at)
    with connect(settings) as connection:
        steps = _steps(connection, prices, live, words)
        statement = _ANSWERS.format(key=_EXPRESSIONS[by].format(at=at), sent=_SENT, live=live)
        found = connection.execute(statement, words | {"steps": [step + 1 for step in steps] or [2**62]}).fetchall()
        runs = connection.execute(_UNSEEN.format(live=live), words).fetchone() or (0,)
    rows, without = _summed(found, prices, [0, *steps])
    ordered = sorted(rows.values(), key=(lambda row: row.key) if by in ("day", "month") else (lambda row: (-row.total, row.key)))
    return Usage(ordered, _sum(ordered), dict(without.most_common()), *runs)


def _steps(connection: psycopg.Connection, prices: Prices, live: str, words: Mapping[str, object]) -> list[int]:
    """Return all numbers of tokens sent at which some model's price changes."""
    days = connection.execute(_MODEL_DAYS.format(live=live), words).fetchall()
    tariffs = [prices.tariff(model, day) for model, day in days]
    return sorted({start for tariff in tariffs if tariff for start, _ in tariff.steps})


def _summed(
    found: Iterable[tuple[str, str, date, int, int, int, int, int, int, int]], prices: Prices, steps: list[int]
) -> tuple[dict[str, Used], Counter[str]]:
    rows: dict[str, Used] = {}
    without: Counter[str] = Counter()
    for key, model, day, bucket, answers, *counts, without_input in found:
        tokens = dict(zip(KINDS, counts, strict=True))
        row = rows.setdefault(key, Used(key))
        row.answers += answers
        row.tokens.update(tokens)
        row.without_input += without_input
        tariff = prices.tariff(model, day)
        if tariff is not None:
            row.cost += tariff.cost(tokens, steps[bucket] + 1)
        elif number := sum(counts):
            row.unpriced += number
            without[model] += number
    return rows, without


def _sum(rows: Iterable[Used]) -> Used:
    whole = Used("all")
    for row in rows:
        whole.answers += row.answers
        whole.tokens.update(row.tokens)
        whole.cost += row.cost
        whole.unpriced += row.unpriced
        whole.without_input += row.without_input
    return whole


def _zone(name: str) -> str:
    try:
        return ZoneInfo(name).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UserError(f"There is no time zone {name!r}.", where="--zone", fix="Write it as Europe/Warsaw, or UTC.") from None
