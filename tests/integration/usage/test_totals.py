"""Tokens and cost of a log: each answer once, a subagent's by its own answers, and every sum as a loop over the events gives it."""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from typer.testing import CliRunner

from detektor_pipelines.cli import build_app
from detektor_pipelines.clock import from_us, parse_instant
from detektor_pipelines.errors import UserError
from detektor_pipelines.language.records import AgentEvent
from detektor_pipelines.stores.raw_log.bulk import append
from detektor_pipelines.usage.prices import KINDS, Prices
from detektor_pipelines.usage.totals import Period, Usage, usage

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings

START = parse_instant("2026-03-01")
HOUR = 3_600_000_000
COLUMNS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_creation_tokens")
MODELS = ("claude-opus-4-6", "claude-haiku-4-5-20251001", "gpt-5.2-codex", "our-own-model", None)


def answer(number: int, at: int, model: str | None = "claude-opus-4-6", **fields: Any) -> AgentEvent:
    given = {"agent_type": "unmapped", "raw_name": "main", "project": "shop", "session_id": "s", "task_id": None} | fields
    measures = given.pop("measures", {"input_tokens": 100, "output_tokens": 10, "cache_read_tokens": 1_000, "cache_creation_tokens": 0})
    categories = {} if model is None else {"model": model}
    return AgentEvent(
        event_id=f"msg:{number}", operation="chat", occurred_at=at, source="test", measures=measures, categories=categories, **given
    )


def as_rows(found: Usage) -> dict[str, tuple[int, dict[str, int], Decimal, int]]:
    return {each.key: (each.answers, {kind: each.tokens[kind] for kind in KINDS}, each.cost, each.unpriced) for each in found.rows}


@pytest.mark.parametrize("by", ["day", "month", "model", "agent", "name", "project", "session"])
def test_every_sum_is_that_of_a_loop(database: Settings, by: Any) -> None:
    rng = random.Random(by)
    events = []
    for number in range(200):
        agent = rng.choice(["unmapped", "code-reviewer"])
        measures = {column: rng.choice([0, 5, 150_000, 199_000]) for column in COLUMNS if rng.random() < 0.9}
        events.append(
            answer(
                number,
                START + rng.randrange(40 * 24) * HOUR,
                rng.choice(MODELS),
                agent_type=agent,
                raw_name=rng.choice(["main", "reviewer"]),
                project=rng.choice([None, "shop"]),
                session_id=rng.choice(["s1", "s2"]),
                measures=measures,
            )
        )
    append(database, events)
    zone = ZoneInfo("Europe/Warsaw")
    prices = Prices(database.home)
    right: dict[str, list[Any]] = defaultdict(lambda: [0, Counter(), Decimal(0), 0])
    for event in events:
        local = from_us(event.occurred_at).astimezone(zone)
        keys = {
            "day": f"{local:%Y-%m-%d}",
            "month": f"{local:%Y-%m}",
            "model": event.categories.get("model", ""),
            "agent": event.agent_type,
            "name": event.raw_name,
            "project": event.project or "",
            "session": event.session_id,
        }
        row = right[keys[by]]
        tokens = dict(zip(KINDS, (event.measures.get(column, 0) for column in COLUMNS), strict=True))
        tariff = prices.tariff(event.categories.get("model", ""), from_us(event.occurred_at).date())
        row[0] += 1
        row[1].update(tokens)
        if tariff:
            row[2] += tariff.cost(tokens, tokens["input"] + tokens["cache_read"] + tokens["cache_write"])
        else:
            row[3] += sum(tokens.values())
    found = usage(database, prices, by, Period(zone="Europe/Warsaw"))
    assert as_rows(found) == {key: (row[0], {kind: row[1][kind] for kind in KINDS}, row[2], row[3]) for key, row in right.items()}
    assert found.whole.total == sum(row[1].total() for row in right.values())


def test_a_period_an_agent_and_a_project(database: Settings) -> None:
    append(
        database,
        [
            answer(1, START),
            answer(2, START + 24 * HOUR, agent_type="code-reviewer", raw_name="critic"),
            answer(3, START + 48 * HOUR, project="bank"),
        ],
    )
    prices = Prices(database.home)
    assert [each.key for each in usage(database, prices, "day", Period(date(2026, 3, 2), date(2026, 3, 3))).rows] == [
        "2026-03-02",
        "2026-03-03",
    ]
    for name in ("critic", "code-reviewer"):
        assert usage(database, prices, "day", Period(agent=name)).whole.answers == 1
    assert [each.key for each in usage(database, prices, "project", Period(project="bank")).rows] == ["bank"]
    with pytest.raises(UserError, match="no time zone"):
        usage(database, prices, "day", Period(zone="Mars/Olympus"))


def test_the_command_names_what_has_no_price_and_runs_without_answers(database: Settings) -> None:
    run = AgentEvent(
        event_id="invoke:1",
        agent_type="code-reviewer",
        raw_name="critic",
        operation="invoke_agent",
        occurred_at=START,
        source="test",
        task_id="call",
        measures={"output_tokens": 7},
        categories={"outcome": "success"},
    )
    append(database, [answer(1, START), answer(2, START, "our-own-model"), run])
    said = CliRunner().invoke(build_app(), ["usage", "--by", "model"], catch_exceptions=False).stdout
    assert "our-own-model (1,110)" in said
    assert "1 subagents' runs" in said
    data = json.loads(CliRunner().invoke(build_app(), ["usage", "--by", "model", "--json"], catch_exceptions=False).stdout)
    assert {each["key"]: each["cost_usd"] for each in data["rows"]} == {"claude-opus-4-6": 0.00125, "our-own-model": None}
    assert data["total"]["priced_cost_usd"] == 0.00125
    assert data["runs_without_answers"] == 1


def test_a_cost_without_what_was_sent_is_a_part_of_it(database: Settings) -> None:
    append(database, [answer(1, START, measures={"output_tokens": 1_000_000})])
    result = CliRunner().invoke(build_app(), ["usage"], catch_exceptions=False, env={"COLUMNS": "200"}).stdout
    assert "over 25.00" in result
    assert "do not say what was sent" in result
    (row,) = json.loads(CliRunner().invoke(build_app(), ["usage", "--json"], catch_exceptions=False).stdout)["rows"]
    assert (row["cost_usd"], row["priced_cost_usd"], row["answers_without_input"]) == (None, 25.0, 1)


@pytest.mark.usefixtures("database")
def test_an_empty_log_says_so() -> None:
    assert "No answer" in CliRunner().invoke(build_app(), ["usage"], catch_exceptions=False).stdout
