"""`detektor stream` and `detektor parity`: values that are fresh within milliseconds, and the proof that they are right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from detektor_pipelines.cli_commands.output import JsonOption, errors_console, print_json, print_table, say, styled

if TYPE_CHECKING:
    from detektor_pipelines.quality.parity.check import Mismatch, Parity

_SHOWN: Final = 10


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("stream")(stream)
    app.command("parity")(parity)


def stream(
    *,
    limit: Annotated[int, typer.Option(help="Events to count at once; a burst is worked off in such parts.", min=1)] = 2_000,
    metrics_port: Annotated[
        int | None, typer.Option(help="Where Prometheus asks; 0 for nowhere. By default DETEKTOR_STREAM_METRICS_PORT, 9465.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Do not print progress.")] = False,
) -> None:
    """Keep the online features fresh: follows the raw log until you press Ctrl-C.

    Several of them share the agents between them; when one dies the others take over.

    Examples: [bold]detektor stream[/], then in another terminal [bold]detektor emit --agent code-reviewer --action review[/]
    """
    import signal
    import sys
    import threading

    from detektor_pipelines import log_lines
    from detektor_pipelines.catalog import BESIDE, VIEWS
    from detektor_pipelines.settings import get_settings
    from detektor_pipelines.stream.run import run

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    settings = get_settings()
    log_lines.set_up("stream", settings.log_level)
    port = settings.stream_metrics_port if metrics_port is None else metrics_port
    run(settings, (*VIEWS, *BESIDE), stop, limit=limit, metrics_port=port, on_report=None if quiet or not sys.stderr.isatty() else _show)


def parity(
    *,
    sample: Annotated[int, typer.Option(help="Agents to look at, over all views; at random where there are more.", min=1)] = 10_000,
    seed: Annotated[int | None, typer.Option(help="Choose the same agents again; the table names it.", min=0, show_default=False)] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Write what is not right again, from the raw log; the exit code stays 1.")
    ] = False,
    mend: Annotated[bool, typer.Option("--mend", hidden=True, help="The former name of --repair.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Ask of each agent: is what a reader gets now what it should be? Exit code 1 when not, and when there is nothing to compare.

    Every agent counts that has a value online, events in the longest window, or rows offline. Values are computed again from the raw log
    by the batch SQL; one that is wrong, missing, evicted, frozen, ahead of the clock, or has lost an event is named with what fixes it.

    Examples: [bold]detektor parity[/], [bold]detektor parity --sample 500 --json[/], [bold]detektor parity --repair[/]
    """
    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.quality.parity import check as comparing
    from detektor_pipelines.settings import get_settings

    with errors_console().status("Looking for agents") as status:

        def on_view(view: str, chosen: int) -> None:
            status.update(f"{view}: {chosen:,} agents computed again")

        found = comparing.check(get_settings(), VIEWS, sample, seed=seed, on_view=on_view)
    if as_json:
        print_json([_as_data(each) for each in found])
    else:
        _print(found)
    if (repair or mend) and any(each.errors for each in found):
        with errors_console().status("Writing again from the raw log"):
            written = comparing.repair(get_settings(), VIEWS, found)
        errors_console().print(
            f"Written again from the raw log: {written:,} values. Run `detektor parity` again to see whether all is right."
        )
    if comparing.compared_nothing(found):
        nothing = "Compared nothing: no agent is online, in the raw log or published. `detektor demo` or `detektor ingest` adds events."
        errors_console().print(nothing)
    if comparing.compared_nothing(found) or any(each.errors for each in found):
        raise typer.Exit(1)


def _as_data(found: Parity) -> dict[str, Any]:
    """Return it for JSON, its instants, which are µs, as datetimes."""
    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.clock import from_us

    data: dict[str, Any] = found.as_data()
    moments = {feature.name for view in VIEWS if view.name == found.view for feature in view.features if feature.value_type == "instant"}
    for each in (data, *data["mismatches"]):
        own = {"complete_until", "right_at", "as_of", "true_up_to"}
        names = own | {"served", "right"} if each.get("feature") in moments else own
        each |= {name: from_us(each[name]) for name in names if each.get(name) is not None}
    return data


def _print(found: list[Parity]) -> None:
    from detektor_pipelines.clock import to_text
    from detektor_pipelines.quality.parity.check import ERRORS

    rows = []
    for each in found:
        counts = [each.states.get(state, 0) for state in ("ok", "unknown", "behind")]
        errors = styled(", ".join(f"{each.states[state]:,} {state}" for state in ERRORS if state in each.states), "red")
        until = "never" if each.complete_until is None else to_text(each.complete_until)
        rows.append((each.view, f"{each.known:,}", f"{each.compared:,}", *(f"{n:,}" for n in counts), errors, until))
    title = f"Is what readers get now what they should get now? (--seed {found[0].seed})" if found else None
    print_table(("view", "known", "compared", "right", "right, unsaid knowledge", "behind", "errors", "complete until"), rows, title)
    first = _first_of_each(found)
    if not first:
        return
    columns = ("state", "view", "agent_id", "feature", "served", "right", "since")
    cells = [tuple(getattr(each, name) for name in columns) for each in first]
    print_table(columns, cells, f"What is not right (one feature of up to {_SHOWN} agents a view)")
    for state, fix in sorted({(each.state, each.fix) for each in first}):
        say(f"{state}: {fix}.")


def _first_of_each(found: list[Parity]) -> list[Mismatch]:
    """Return one feature of each agent that is not right, of a few agents a view."""
    first: list[Mismatch] = []
    for each in found:
        by_agent = {one.agent_id: one for one in reversed(each.mismatches)}
        first += sorted(by_agent.values(), key=lambda one: (one.state, one.agent_id))[:_SHOWN]
    return first


def _show(state: dict[str, Any]) -> None:
    """Write over one line on the terminal."""
    import sys

    line = (
        f"{state['keys']} keys, {state['events']} events, {state['values']} values written, lag {state['lag_us'] / 1000:.1f} ms,"
        f" shards {','.join(map(str, state['shards'])) or 'none'}"
    )
    sys.stderr.write(f"\r\x1b[2K{line}")
    sys.stderr.flush()
