"""`detektor usage`: tokens and what they cost, by day, model, agent, project or session."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  typer reads annotations at run time
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from detektor_pipelines.cli_commands.output import JsonOption, print_json, print_table, say
from detektor_pipelines.errors import UserError

if TYPE_CHECKING:
    from decimal import Decimal

    from detektor_pipelines.usage.totals import Usage, Used

_DAY = ["%Y-%m-%d"]


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("usage")(usage)


def usage(
    *,
    by: Annotated[
        Literal["day", "month", "model", "agent", "name", "project", "session"],
        typer.Option(help="What a line is of; name is the agent's name in the log, agent what it counts as."),
    ] = "day",
    first: Annotated[datetime | None, typer.Option("--from", formats=_DAY, help="First day.", show_default=False)] = None,
    last: Annotated[datetime | None, typer.Option("--to", formats=_DAY, help="Last day.", show_default=False)] = None,
    zone: Annotated[str, typer.Option(help="Whose days: UTC, Europe/Warsaw, …")] = "UTC",
    agent: Annotated[str | None, typer.Option(help="Only this agent, by either name.", show_default=False)] = None,
    project: Annotated[str | None, typer.Option(help="Only this project.", show_default=False)] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the tokens that agents used and what they cost, from the answers in the log; subagents' own answers included.

    Prices are dated: those of the library genai-prices, your own in DETEKTOR_HOME/prices.toml before them. A model without a price has no
    cost, and is named.

    Examples: [bold]detektor usage[/], [bold]detektor usage --by model --from 2026-03-01[/], [bold]detektor usage --by name --json[/]
    """
    from detektor_pipelines.settings import get_settings
    from detektor_pipelines.usage.prices import FILE, Prices
    from detektor_pipelines.usage.totals import Period
    from detektor_pipelines.usage.totals import usage as used

    if first and last and last < first:
        raise UserError(
            f"The last day, {last.date()}, is before the first, {first.date()}.", where="--from, --to", fix="Give the earlier day first."
        )
    settings = get_settings()
    period = Period(first and first.date(), last and last.date(), zone, agent, project)
    found = used(settings, Prices(settings.home), by, period)
    if as_json:
        print_json(as_data(found, by))
        return
    if not found.rows:
        say("No answer of a model is in the log for this. `detektor ingest` reads logs; `detektor usage` without options shows all.")
        return
    print_table(
        (by, "answers", "input", "output", "cache written", "cache read", "USD"),
        [*map(_row, found.rows), *([_row(found.whole)] if len(found.rows) > 1 else [])],
    )
    _print_notes(found, str(settings.home / FILE))


def as_data(found: Usage, by: str) -> dict[str, Any]:
    """Return it for `--json`; a cost is null where a model of it has no price."""
    return {
        "by": by,
        "rows": [_data(each) for each in found.rows],
        "total": _data(found.whole),
        "tokens_without_price": found.without_price,
        "runs_without_answers": found.unseen_runs,
    }


def _data(used: Used) -> dict[str, Any]:
    tokens = {f"{kind}_tokens": used.tokens[kind] for kind in ("input", "output", "cache_write", "cache_read")}
    cost = {
        "cost_usd": None if used.unpriced or used.without_input else _money(used.cost),
        "priced_cost_usd": _money(used.cost),
        "unpriced_tokens": used.unpriced,
        "answers_without_input": used.without_input,
    }
    return {"key": used.key, "answers": used.answers, **tokens, "total_tokens": used.total, **cost}


def _money(cost: Decimal) -> float:
    return round(float(cost), 6)


def _row(used: Used) -> tuple[str, ...]:
    cost = f"{used.cost:,.2f}"
    if used.unpriced or used.without_input:
        cost = f"over {cost}" if used.cost else "unknown"
    tokens = (f"{used.tokens[kind]:,}" for kind in ("input", "output", "cache_write", "cache_read"))
    return (used.key or "(none)", f"{used.answers:,}", *tokens, cost)


def _print_notes(found: Usage, file: str) -> None:
    if found.without_price:
        names = ", ".join(f"{model or '(no model)'} ({tokens:,})" for model, tokens in list(found.without_price.items())[:5])
        say(f"Without a price, in tokens: {names}. {file} can name one; docs/usage.md says how.")
    if found.unseen_runs:
        say(
            f"Not in these sums: {found.unseen_runs:,} subagents' runs whose answers are in no log that was read; what their"
            " results say is of the last request alone."
        )
    if found.whole.without_input:
        say(f"{found.whole.without_input:,} answers do not say what was sent (Copilot's do not): their cost is that of the output alone.")
