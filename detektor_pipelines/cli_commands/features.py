"""`detektor features`: what features there are, their values, their SQL, the events behind them, and their tests."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from detektor_pipelines.cli_commands.init import new_view
from detektor_pipelines.cli_commands.output import JsonOption, errors_console, print_json, print_table, say
from detektor_pipelines.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from detektor_pipelines.engine.explain import Explanation, Part
    from detektor_pipelines.language.views import Feature, FeatureView
    from detektor_pipelines.quality.read import AgentReading

ViewArgument = Annotated[str, typer.Argument(help="Feature view or its agent: code_review_features or code-reviewer.", metavar="VIEW")]
FeatureArgument = Annotated[str, typer.Argument(help="code_review_features:rejection_rate", metavar="VIEW:FEATURE")]
AgentOption = Annotated[
    str | None, typer.Option("--agent-id", help="code-reviewer (all projects, the default) or code-reviewer@PROJECT.", show_default=False)
]
AtOption = Annotated[str | None, typer.Option("--at", help="Timestamp (UTC), such as 2026-03-05T10:00; default: now.", show_default=False)]
KnownOption = Annotated[
    str | None, typer.Option("--known", help="With --at: what was learnt up to then counts; default: up to --at.", show_default=False)
]


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    group = typer.Typer(no_args_is_help=True, help="List features, read values, see the SQL and the events behind them, test them.")
    commands = (("list", list_features), ("get", get), ("sql", sql), ("explain", explain), ("test", run_cases), ("new", new_view))
    for name, command in commands:
        group.command(name)(command)
    app.add_typer(group, name="features")


def list_features(
    view: Annotated[str | None, typer.Argument(help="One feature view or agent; all by default.", show_default=False)] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """List the features: what each is, over which window, in which unit.

    Examples: [bold]detektor features list[/], [bold]detektor features list code-reviewer --json[/]
    """
    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.language.hashes import data_hash

    views = (_view(view),) if view else VIEWS
    if as_json:
        print_json(
            [
                {
                    "view": each.name,
                    "agent": each.agent,
                    "version": each.version,
                    "data_hash": data_hash(each),
                    "features": _described(each),
                }
                for each in views
            ],
        )
        return
    for each in views:
        rows = [(feature["name"], feature["over"], feature["unit"], feature["description"]) for feature in _described(each)]
        print_table(("feature", "window", "unit", "what it says"), rows, title=f"{each.name} v{each.version}: {each.description}")


def get(  # noqa: PLR0913  each is an option of the command
    view: ViewArgument,
    features: Annotated[list[str] | None, typer.Argument(help="With --why: these features only.", show_default=False)] = None,
    *,
    agent_id: AgentOption = None,
    at: AtOption = None,
    known: KnownOption = None,
    url: Annotated[str | None, typer.Option("--url", help="Ask the feature server there, not Redis.", show_default=False)] = None,
    why: Annotated[
        bool, typer.Option("--why", help="Say too what each value knows, who wrote it, and whether the raw log gives the same now.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Read one agent's features: online as served now, or with --at exactly as serving would have said at a timestamp, from the raw log.

    Offline rows, and so point-in-time joins, have the full hours only; --at computes the value of the very moment.

    Examples: [bold]detektor features get code_review_features --agent-id code-reviewer[/],
    [bold]detektor features get code-reviewer --agent-id code-reviewer@shop --at 2026-03-05T10:12:30 --json[/],
    [bold]detektor features get code-reviewer --at 2026-03-05T10:12:30 --known 2026-03-06[/] (what was learnt late counts too),
    [bold]detektor features get code-reviewer --url http://127.0.0.1:6566[/],
    [bold]detektor features get code-reviewer recent_reviews_count --why[/]
    """
    from detektor_pipelines.quality.read import read_at, read_online, read_served
    from detektor_pipelines.settings import get_settings

    chosen = _view(view)
    agent = _agent(chosen, agent_id)
    _check_known(at, known)
    if why or features:
        _get_why(chosen, agent, features or [], at=at, url=url, why=why, as_json=as_json)
        return
    if at is not None and url is not None:
        raise UserError("A feature server knows only the present.", where="--url with --at", fix="Leave one of them out.")
    if at is not None:
        found = read_at(get_settings(), chosen, agent, _past(at), _instant(known, "--known") if known else None)
    else:
        found = read_online(get_settings(), chosen, agent) if url is None else read_served(chosen, agent, url)
    if as_json:
        print_json(asdict(found))
        return
    rows = [(value.name, _text(value.value), value.unit, value.status) for value in found.values]
    print_table(("feature", "value", "unit", "status"), rows, title=f"{found.agent_id}, {found.source}")
    say(_age(found))


def _get_why(view: FeatureView, agent: str, names: Sequence[str], *, at: str | None, url: str | None, why: bool, as_json: bool) -> None:
    from detektor_pipelines.cli_commands.why import as_data, check_alone, check_features, show
    from detektor_pipelines.quality.parity.truth import truth
    from detektor_pipelines.settings import get_settings

    if not why:
        raise UserError("Features are named for --why only.", where=", ".join(names), fix="Add --why, or leave them out.")
    check_alone(at, url)
    check_features(view, names)
    with errors_console().status("Computing it again from the raw log"):
        found = truth(get_settings(), view, agent)
    if as_json:
        print_json(as_data(found, view, names))
    else:
        show(found, view, names, _text)


def sql(
    feature: FeatureArgument,
    *,
    dialect: Annotated[str, typer.Option(help="duckdb, spark, or postgres for a query that psql can run in place.")] = "duckdb",
    at: AtOption = None,
) -> None:
    """Print the SQL that computes a feature: its integer states for each hour of the day before --at.

    Example: [bold]detektor features sql code_review_features:rejection_rate --dialect postgres[/]
    """
    from detektor_pipelines.clock import now_us, to_us
    from detektor_pipelines.compile.plan import plan
    from detektor_pipelines.compile.sql import DUCKDB, POSTGRES, SPARK, Span, reach_back, states_sql
    from detektor_pipelines.language.windows import DAY, floor_to
    from detektor_pipelines.stores.raw_log.reader import integer_events_sql

    view, chosen = _feature(feature)
    dialects = {each.name: each for each in (DUCKDB, POSTGRES, SPARK)}
    if dialect not in dialects:
        raise UserError(f"There is no dialect {dialect}.", where="--dialect", fix=f"Use one of {', '.join(dialects)}.")
    compiled = plan(_alone(view, chosen))
    end = floor_to(to_us(_instant(at)) if at else now_us(), view.grain)
    text = states_sql(compiled, Span(end - DAY, end), form="known_now", late=False, dialect=dialects[dialect])
    source = integer_events_sql(view.agent, compiled.columns, end - DAY - reach_back(compiled), end).strip()
    ranked = f"events AS (SELECT *, row_number() OVER (ORDER BY ts, event_id) AS seq FROM ({source}) raw_events)"  # noqa: S608  made from the catalogue
    typer.echo(f"-- {view.name}:{chosen.name}: {chosen.description}")
    typer.echo(text.replace("WITH ", f"WITH {ranked},\n", 1) if dialect == "postgres" else text)


def explain(
    feature: FeatureArgument,
    *,
    agent_id: AgentOption = None,
    at: AtOption = None,
    known: KnownOption = None,
    limit: Annotated[int, typer.Option(min=1, help="Events to show.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List the very events behind a value: the one that `features get` reads with the same options.

    Example: [bold]detektor features explain code_review_features:rejection_rate --agent-id code-reviewer --at 2026-03-05T10:00[/]
    """
    from detektor_pipelines.clock import from_us, now_us
    from detektor_pipelines.engine.explain import explain_at, explain_online
    from detektor_pipelines.quality.read import online_row
    from detektor_pipelines.settings import get_settings
    from detektor_pipelines.stores.connections import connect_arrow

    view, chosen = _feature(feature)
    agent = _agent(view, agent_id)
    _check_known(at, known)
    row = None if at else online_row(get_settings(), view, agent)
    instant = _past(at) if at else from_us(now_us())
    with connect_arrow(get_settings()) as connection:
        if row is None:
            found = explain_at(connection, view, chosen, agent, instant, _instant(known, "--known") if known else instant)
        else:
            found = explain_online(connection, view, chosen, row)
    if as_json:
        print_json(_explained(found))
        return
    _print_explanation(found, limit)


def run_cases(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="YAML files or directories of them; cases/ of one's own catalogue, or tests/golden.", show_default=False),
    ] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Run YAML cases (input events → expected values) in memory; no server needed. Exit code 1 when a value does not match.

    Examples: [bold]detektor features test[/], [bold]detektor features test my_feature.yaml[/]
    """
    from detektor_pipelines.engine.cases import run_file

    results = [result for path in _case_files(paths) for result in run_file(path)]
    wrong = [mismatch for result in results for mismatch in result.mismatches]
    if as_json:
        print_json([asdict(result) for result in results])
    else:
        if wrong:
            rows = [(each.case, each.agent_id, each.at, each.feature, each.expected, each.found) for each in wrong]
            print_table(("case", "agent", "at", "feature", "expected", "found"), rows)
        checked = sum(result.checked for result in results)
        say(f"{len(results)} cases, {checked} values, {len(wrong)} wrong.")
    if wrong:
        raise typer.Exit(1)


def _case_files(paths: list[Path] | None) -> list[Path]:
    files: list[Path] = []
    for path in paths or [_own_cases() or Path("tests/golden")]:
        found = sorted(path.glob("*.y*ml")) if path.is_dir() else [path]
        if not found or not path.exists():
            raise UserError("There are no cases.", where=str(path), fix="Give a YAML file or a directory that holds some.")
        files += found
    return files


def _own_cases() -> Path | None:
    from detektor_pipelines import own_catalog

    own = own_catalog.directory()
    return None if own is None else own / "cases"


def _view(name: str) -> FeatureView:
    from detektor_pipelines.catalog import view_named

    try:
        return view_named(name)
    except KeyError as error:
        raise UserError(f"{error.args[0]}.", fix="`detektor features list` shows them all.") from None


def _feature(name: str) -> tuple[FeatureView, Feature]:
    view_name, colon, feature_name = name.partition(":")
    if not colon:
        raise UserError(f"{name!r} names no feature.", fix="Write VIEW:FEATURE, such as code_review_features:rejection_rate.")
    view = _view(view_name)
    try:
        return view, view.feature(feature_name)
    except KeyError as error:
        raise UserError(f"{error.args[0]}.", fix=f"`detektor features list {view.name}` describes them.") from None


def _agent(view: FeatureView, agent_id: str | None) -> str:
    """Return the agent_id to read.

    Raises:
        UserError: It is not of this view's agent.

    """
    agent = agent_id or view.agent
    if agent.partition("@")[0] != view.agent:
        raise UserError(
            f"{view.name} has features of {view.agent}, not of {agent}.",
            where="--agent-id",
            fix=f"Use {view.agent} or {view.agent}@PROJECT.",
        )
    return agent


def _check_known(at: str | None, known: str | None) -> None:
    if known is not None and at is None:
        raise UserError(
            "The value served now was computed already: --known cannot change what it is made from.",
            where="--known without --at",
            fix="Give --at too.",
        )


def _past(text: str) -> datetime:
    """Return the instant that `--at` gives; of one that is still to come nothing is known."""
    from detektor_pipelines.clock import from_us, now_us

    instant, now = _instant(text), from_us(now_us())
    if instant > now:
        raise UserError(
            f"{text} is still to come: here it is {now:%Y-%m-%dT%H:%M:%SZ}.",
            where="--at",
            fix="Leave --at out for what is true now; `detektor clock` shows, and sets, what time it is here.",
        )
    return instant


def _instant(text: str, option: str = "--at") -> datetime:
    from detektor_pipelines.clock import from_us, parse_instant

    try:
        instant = parse_instant(text)
        if instant >= 0:
            return from_us(instant)
    except ValueError as error:
        raise UserError(f"{error}.", where=option) from None
    except OverflowError:
        raise UserError(f"{text} is after the year 9999 in UTC.", where=option) from None
    raise UserError(f"{text} is before 1970: no agent had features then.", where=option)


def _alone(view: FeatureView, feature: Feature) -> FeatureView:
    """Return the view reduced to one feature and what it is derived from."""
    from dataclasses import replace

    from detektor_pipelines.language.aggregations import Aggregation

    wanted = {feature.name}
    for each in reversed(view.features):
        if each.name in wanted and not isinstance(each.value, Aggregation):
            wanted |= each.value.features()
    return replace(view, features=tuple(each for each in view.features if each.name in wanted))


def _described(view: FeatureView) -> list[dict[str, Any]]:
    return [
        {
            "name": each.name,
            "type": each.value_type,
            "over": each.over.label if each.over else "derived",
            "unit": each.unit,
            "description": each.description,
            "null_means": each.null_means or None,
            "within": list(each.within),
        }
        for each in view.features
    ]


def _explained(found: Explanation) -> dict[str, Any]:
    return {
        "agent_id": found.agent_id,
        "source": found.source,
        "feature": found.feature.name,
        "value": found.value,
        "recomputed": found.recomputed,
        "stale": found.stale,
        "at": found.at,
        "known_at": found.known_at,
        "parts": [{"feature": part.feature.name, "events": list(part.events)} for part in found.parts],
    }


def _print_explanation(found: Explanation, limit: int) -> None:
    from detektor_pipelines.compile.words import formula

    say(f"{found.feature.name} = {_text(found.value)} {found.feature.unit}  ({found.agent_id})")
    if found.known_at is None:
        say(f"What is served now, a value of {found.at:%Y-%m-%d %H:%M:%S} UTC.")
    else:
        say(f"From the raw log, at {found.at:%Y-%m-%d %H:%M:%S} UTC as known at {found.known_at:%Y-%m-%d %H:%M:%S} UTC.")
    for part in found.parts:
        _print_part(part, formula(part.feature), limit)
    if found.stale:
        say(
            f"The raw log now gives {_text(found.recomputed)}: events came since that the value does not know. `detektor status` says more."
        )
    elif found.value != found.recomputed:
        say(f"As known now it is {_text(found.recomputed)}: the rest was learnt later.")


def _print_part(part: Part, meaning: str, limit: int) -> None:
    shown = part.events[:limit]
    say("", f"{part.feature.name}: {meaning}, {part.feature.over.label if part.feature.over else ''}: {len(part.events)} events")
    if not shown:
        return
    columns = ["occurred_at", "project", *_used(part.feature), "event_id", "leaves_at"]
    print_table(columns, [tuple(_text(event[name]) for name in columns) for event in shown])
    if len(part.events) > limit:
        say(f"… and {len(part.events) - limit} more (--limit).")


def _used(feature: Feature) -> list[str]:
    """Columns of the event that the feature's value depends on, the operation aside: it is the same for all."""
    from detektor_pipelines.language.aggregations import Aggregation

    operand = feature.value.operand if isinstance(feature.value, Aggregation) else None
    used = {name for part in (operand, feature.where) if part is not None for name in part.columns()}
    return sorted(used - {"operation", "occurred_at", "project"})


def _text(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"{value:%Y-%m-%d %H:%M:%S}" if hasattr(value, "strftime") else str(value)


def _age(found: AgentReading) -> str:
    if found.source == "log" and found.known_at is not None:
        if found.as_of is None:
            return "The log knew nothing of this agent up to then. `detektor status` shows what it holds; projects are named after the @."
        known = f"as known at {found.known_at:%Y-%m-%d %H:%M:%S} UTC"
        return f"Computed from the raw log: exactly at {found.as_of:%Y-%m-%d %H:%M:%S.%f} UTC, {known}."
    if found.as_of is None or found.age_seconds is None:
        return "Nothing was published of this agent up to then. `detektor status` shows what is; projects are named after the @."
    return f"True up to {found.as_of:%Y-%m-%d %H:%M:%S} UTC, {_span(found.age_seconds)} before the time asked for."


def _span(seconds: float) -> str:
    minutes = int(seconds) // 60
    if minutes < 120:  # noqa: PLR2004  two hours
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 2880 else f"{minutes // 1440} days"  # noqa: PLR2004  two days
