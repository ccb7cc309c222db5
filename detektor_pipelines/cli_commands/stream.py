"""`detektor stream` and `detektor parity`: values that are fresh within milliseconds, and the proof that they are batch's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from detektor_pipelines.cli_commands.output import JsonOption, print_json, print_table

if TYPE_CHECKING:
    from detektor_pipelines.quality.parity import Parity


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("stream")(stream)
    app.command("parity")(parity)


def stream(
    *,
    limit: Annotated[int, typer.Option(help="Events to count at once; a burst is worked off in such parts.", min=1)] = 2_000,
    metrics_port: Annotated[
        int | None, typer.Option(help="Where Prometheus asks on loopback; 0 for nowhere. By default DETEKTOR_STREAM_METRICS_PORT, 9465.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Do not print how it goes.")] = False,
) -> None:
    """Keep the online features fresh: follows the raw log until you press Ctrl-C.

    Several of them share the agents between them; when one dies the others take over.

    Examples: [bold]detektor stream[/], then in another terminal [bold]detektor emit --agent code-reviewer --action review[/]
    """
    import logging
    import signal
    import sys
    import threading

    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.settings import get_settings
    from detektor_pipelines.stream.run import run

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    settings = get_settings()
    port = settings.stream_metrics_port if metrics_port is None else metrics_port
    run(settings, VIEWS, stop, limit=limit, metrics_port=port, on_report=None if quiet or not sys.stderr.isatty() else _show)


def parity(
    *,
    sample: Annotated[int, typer.Option(help="How many served values to compute again.", min=1)] = 200,
    as_json: JsonOption = False,
) -> None:
    """Compute served values again by the batch SQL, each for its own instant and knowledge, and count what differs: 0 is expected.

    Takes values that were really read (a sample is kept), newest first, and reads some itself where there are too few.

    Example: [bold]detektor parity --sample 500[/]
    """
    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.quality.parity import check
    from detektor_pipelines.settings import get_settings

    found = check(get_settings(), VIEWS, sample)
    if as_json:
        print_json([each.as_data() for each in found])
    else:
        _print(found)
    if any(each.mismatches for each in found):
        raise typer.Exit(1)


def _print(found: list[Parity]) -> None:
    rows = [(each.view, each.compared, each.skipped, f"[red]{len(each.mismatches)}[/]" if each.mismatches else 0) for each in found]
    print_table(("view", "compared", "without a snapshot", "mismatches"), rows, "Served values against batch")
    different = [
        (each.view, one.feature, one.agent_id, one.served, one.batch, one.as_of, one.snapshot)
        for each in found
        for one in each.mismatches[:5]
    ]
    if different:
        columns = ("view", "feature", "agent_id", "served", "batch", "as of (µs)", "snapshot")
        print_table(columns, different, "What differs (up to five a view)")


def _show(state: dict[str, Any]) -> None:
    """Write over one line on the terminal."""
    import sys

    line = (
        f"{state['keys']} keys, {state['events']} events, {state['values']} values written, lag {state['lag_us'] / 1000:.1f} ms,"
        f" shards {','.join(map(str, state['shards'])) or 'none'}"
    )
    sys.stderr.write(f"\r\x1b[2K{line}")
    sys.stderr.flush()
