"""`detektor demo`: the main job end to end, from logs to served features, on servers that it starts itself."""

from __future__ import annotations

import os
import shutil
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path  # noqa: TC003  typer reads annotations at run time
from typing import TYPE_CHECKING, Annotated, Self

import typer

from detektor_pipelines import own_catalog
from detektor_pipelines.cli_commands.clock import clock_of_the_logs
from detektor_pipelines.cli_commands.earlier_days import dagster_hears_of_earlier_days
from detektor_pipelines.cli_commands.ingest_summary import print_report
from detektor_pipelines.cli_commands.output import JsonOption, as_typed, errors_console, print_json, print_table, say, visible
from detektor_pipelines.cli_commands.publication import publish
from detektor_pipelines.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from detektor_pipelines.ingest.summary import IngestReport
    from detektor_pipelines.language.labels import Label
    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.orchestration.backfill import Batch
    from detektor_pipelines.quality.overview import ViewOverview
    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stores.raw_log.state import NameCount

SIMULATED_DAYS = 184
NAMED = ("postgres", "redis", "mlflow")
PROJECTS = 8
EVENTS = 200_000
REPORT = "report.html"
_NINTH = "usage"
_NAMES_SHOWN = 15
_TITLE = 16


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("demo")(demo)


def demo(
    *,
    logs: Annotated[Path | None, typer.Option(help="Directory of real logs, instead of a simulated history.", show_default=False)] = None,
    only_eight: Annotated[
        bool, typer.Option("--only-eight", help="With --logs: without the ninth view, which shows what the main session does.")
    ] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Empty DETEKTOR_HOME first and compute everything again.")] = False,
    events: Annotated[int, typer.Option(min=1_000, max=10_000_000, help="Events to simulate.")] = EVENTS,
    as_json: JsonOption = False,
) -> None:
    """Run the main job: servers, six months of logs, all eight agents' features through Dagster, served and recorded.

    Simulated logs by default; with old ones of your own the clock stands where they end. A second run computes only what is new.

    Examples: [bold]detektor demo[/], [bold]detektor demo --logs ~/.claude/projects[/], [bold]detektor demo --fresh[/]
    """
    from detektor_pipelines.settings import get_settings

    started = time.monotonic()
    console = errors_console()
    say = _Steps(console)
    settings = get_settings()
    if fresh:
        with say.step("Emptying the state"):
            _empty(settings)
    if logs is not None and not only_eight:
        own_catalog.switch_on(_NINTH, settings.home)  # two thirds of real logs are the main session's
    settings = _servers(settings, say)
    read = None
    with dagster_hears_of_earlier_days(settings):
        if logs is None:
            with say.step("Logs"):
                say.result(_simulate(settings, events))
        else:
            with clock_of_the_logs(settings, keep=True):
                read = _ingest(settings, logs, say)
    if logs is not None:
        _say_clock(settings, say)
    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.stores.feast.registry import is_used

    registered = is_used(settings)
    if not registered:  # nobody reads yet, and MLflow takes its time to start
        _apply(settings, say)
    due = _due(settings, VIEWS)
    if due:
        _publish(settings, due, console, say)
    else:
        say.line("Features", "up to date, nothing to compute")
    if registered:  # a new version is what readers get as soon as it has rows
        _apply(settings, say)
    learned = not due or _learn(settings, say)
    _judge(settings, VIEWS, say)
    page = _report(settings, say)
    busy = _summary(settings, VIEWS, time.monotonic() - started, page, read, as_json=as_json)
    if not as_json:
        _print_next(settings, page, busy, learned=learned)


class _Steps:
    """One line a step: what is done, how long it took, what came out."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._note = ""

    def step(self, title: str) -> _Step:
        """Return a context that shows a spinner while it runs and a line when it is done."""
        return _Step(self, title)

    def result(self, text: str) -> None:
        """Say what the step under way came to."""
        self._note = text

    def line(self, title: str, text: str) -> None:
        """Print a step's line."""
        from rich.table import Column, Table
        from rich.text import Text

        row = Table.grid(Column(no_wrap=True), Column(width=_TITLE), Column(overflow="fold"), padding=(0, 1))
        row.add_row(Text("✓", "green"), title, Text(visible(text), "dim"))
        self.console.print(row)

    def finish(self, title: str, seconds: float) -> None:
        """Print the line of a step that is done."""
        self.line(title, f"{self._note}{', ' if self._note else ''}{seconds:.1f} s")
        self._note = ""


class _Step:
    def __init__(self, steps: _Steps, title: str) -> None:
        self._steps, self._title = steps, title
        self._spinner = steps.console.status(title)

    def __enter__(self) -> Self:
        self._started = time.monotonic()
        self._spinner.start()
        return self

    def update(self, text: str) -> None:
        """Show what the step is about just now."""
        self._spinner.update(f"{self._title}: {text}")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._spinner.stop()
        if kind is None:
            self._steps.finish(self._title, time.monotonic() - self._started)


def _empty(settings: Settings) -> None:
    """End our servers and remove what they kept.

    Raises:
        UserError: The servers are not ours to empty.

    """
    from detektor_pipelines import stack
    from detektor_pipelines.settings import get_settings

    if settings.external_postgres_url or settings.external_redis_url:
        raise UserError(
            "The demo does not empty servers that it did not start.",
            where="DETEKTOR_EXTERNAL_POSTGRES_URL or DETEKTOR_EXTERNAL_REDIS_URL is set",
            fix="Unset it to use embedded servers, or leave out --fresh.",
        )
    stack.down(settings)
    for name in ("servers", "mlflow", "tracking"):
        shutil.rmtree(settings.home / name, ignore_errors=True)
    settings.state_file.unlink(missing_ok=True)
    get_settings.cache_clear()


def _servers(settings: Settings, say: _Steps) -> Settings:
    """Start what does not run, on free ports; return the settings that find the servers."""
    from detektor_pipelines import stack
    from detektor_pipelines.settings import get_settings
    from detektor_pipelines.stores.schema import migrate

    with say.step("Servers") as step:
        begun = stack.up(settings, NAMED, free_ports=True, wait=("postgres", "redis"), on_progress=step.update)
        migrate(begun.settings)
        ports = ", ".join(f"{each.title} {each.address.rpartition(':')[2]}" for each in begun.services if each.name in NAMED)
        say.result(f"on ports {ports}")
    get_settings.cache_clear()
    return begun.settings


def _simulate(settings: Settings, events: int) -> str:
    from detektor_pipelines.clock import from_us, now_us
    from detektor_pipelines.simulation.simulator import simulate_table
    from detektor_pipelines.stores.raw_log.bulk import append_table
    from detektor_pipelines.stores.raw_log.state import event_counts

    if held := sum(count.events for count in event_counts(settings)):
        return f"{held:,} events are there already"
    end = from_us(now_us()).date()
    table = simulate_table(days=SIMULATED_DAYS, projects=PROJECTS, seed=1, end=end, events=events)
    counts = append_table(settings, table)
    return f"{counts.added:,} simulated events of {PROJECTS} projects, {SIMULATED_DAYS} days"


def _ingest(settings: Settings, logs: Path, say: _Steps) -> IngestReport:
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    from detektor_pipelines.ingest.readers.names import agent_names
    from detektor_pipelines.ingest.run import IngestOptions, ingest

    columns = (TextColumn("Reading logs"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=say.console, transient=True) as progress:
        task = progress.add_task("", total=None)
        options = IngestOptions(
            names=agent_names(settings.home),
            on_start=lambda size: progress.update(task, total=size or None),
            on_bytes=lambda size: progress.advance(task, size),
        )
        report = ingest(settings, [logs], options)
    counts = report.counts
    say.line(
        "Logs",
        f"{report.lines:,} lines → {counts.added:,} new events, {counts.known + counts.also_seen:,} known,"
        f" {counts.rejected:,} rejected, {report.seconds:.1f} s",
    )
    return report


def _say_clock(settings: Settings, say: _Steps) -> None:
    """Say what time it is taken for, where it is not the machine's."""
    from detektor_pipelines.clock import VARIABLE, kept
    from detektor_pipelines.stores.raw_log.state import newest_event_us

    if newest_event_us(settings) is None:
        raise UserError("The log holds no event.", fix="Give a directory of agent logs: detektor demo --logs ~/.claude/projects")
    said = os.environ.get(VARIABLE)
    if said and said == kept(settings.home):
        say.line("Clock", f"stands at {said}, where these logs end; detektor clock --run lets it run")
    elif said:
        say.line("Clock", f"{said}, as {VARIABLE} says")


def _due(settings: Settings, views: Sequence[FeatureView]) -> list[Batch]:
    """Return what has to be computed: the days that views miss or hold stale."""
    from detektor_pipelines.orchestration.backfill import batches
    from detektor_pipelines.quality.freshness_report import freshness

    days = {each.view: sorted({*each.missing, *each.stale}) for each in freshness(settings, views)}
    return batches({view: days[view.name] for view in views})


def _apply(settings: Settings, say: _Steps) -> None:
    from detektor_pipelines.stores.feast.registry import apply

    with say.step("Feast registry"):
        say.result(f"{len(apply(settings).changed)} views registered or changed")


def _publish(settings: Settings, due: Sequence[Batch], console: Console, say: _Steps) -> None:
    """Materialize what is due through Dagster.

    Raises:
        UserError: A day did not pass the gate, or a server went down.

    """
    from detektor_pipelines import stack

    with say.step("MLflow") as step:
        step.update("its first start takes a while")
        stack.wait(settings, "mlflow")
    done = publish(settings, due, console)
    if not done.succeeded:
        failed = next(run for run in done.runs if not run.succeeded)
        name, problem = next(iter(failed.problems.items()), ("", "The run failed."))
        raise UserError(
            f"{name} was not published whole: {problem}", where=f"Dagster run {failed.run_id}", fix="Fix it, then run it again."
        )
    days = {day.day for results in done.days.values() for day in results}
    rows = sum(day.rows for results in done.days.values() for day in results)
    seconds = sum(run.seconds for run in done.runs)
    say.line("Features", f"{len(done.days)} views of {len(days)} days through Dagster, {rows:,} rows, {seconds:.1f} s")
    for name, publication in done.publications.items():
        if trouble := publication.trouble():
            say.line("Online", f"{name}: {trouble}")


def _learn(settings: Settings, say: _Steps) -> bool:
    """Train a model of the first agent whose decisions suffice, say what was found; whether one did."""
    from detektor_pipelines.catalog import LABELS
    from detektor_pipelines.training.experiment import run
    from detektor_pipelines.training.tracking import log

    problem = ""
    firsts: dict[str, Label] = {}
    for each in LABELS:
        if each.value_type == "bool":
            firsts.setdefault(each.agent, each)
    with say.step("Model") as step:
        for agent, label in firsts.items():
            step.update(f"{agent}, {label.name}")
            try:
                made = run(settings, agent=agent, label=label.name)
            except UserError as error:
                problem = problem or f"{agent}, {label.name}: {error.what.rstrip('.')}"
                continue
            logged = log(settings, made)
            say.result(f"{agent}, {label.name}: models:/{logged.model}/{logged.version}")
            break
        else:
            say.result(f"none; no agent has decided enough to learn from ({problem})")
            return False
    say.line("Found", made.summary())
    return True


def _judge(settings: Settings, views: Sequence[FeatureView], say: _Steps) -> None:
    """Hold the online values against the log and the last week against the reference: the report and the metrics say what was found."""
    from detektor_pipelines.quality.drift import look
    from detektor_pipelines.quality.parity.check import check

    with say.step("Parity"):
        compared = check(settings, views)
        wrong = sum(each.errors for each in compared)
        say.result(f"{sum(each.compared for each in compared)} online values computed again from the log, {wrong} of them not right")
    with say.step("Drift"):
        looks = [look(settings, view) for view in views]
        levels = Counter(each.level for one in looks for each in one.results if each.method == "psi")
        said = ", ".join(f"{number} {level.replace('_', ' ')}" for level, number in levels.most_common())
        say.result(f"{levels.total()} features against their reference: {said}" if levels else f"not judged: {looks[0].reason}")


def _report(settings: Settings, say: _Steps) -> Path:
    """Write the report of the whole history into the state directory."""
    from detektor_pipelines.cli_commands.report import gathered, write

    page = settings.home / REPORT
    with say.step("Report"):
        size = write(gathered(settings), page)
        say.result(f"{page}, {size / 1_000_000:.1f} MB")
    return page


def _summary(
    settings: Settings, views: Sequence[FeatureView], seconds: float, page: Path, read: IngestReport | None, *, as_json: bool
) -> ViewOverview:
    """Print what there is, and return the first view whose agent did something."""
    from detektor_pipelines.ingest.summary import as_data
    from detektor_pipelines.quality.overview import overview
    from detektor_pipelines.stores.raw_log.state import name_counts

    rows = overview(settings, views)
    names = name_counts(settings)
    present = [each for each in rows if each.events]
    busy = present[0] if present else rows[0]
    if as_json:
        said = {"logs": as_data(read), "names": [asdict(each) for each in names]} if read else {}
        print_json({"seconds": round(seconds, 1), "report": str(page), **said, "views": [each.as_data() for each in rows]})
        return busy
    if read:
        print_report(read, settings.home)
        _print_names(names)
    print_table(
        ("view", "features", "events", "offline", "online", "hash"),
        [(each.view, each.features, f"{each.events:,}", f"{each.offline_rows:,}", each.online_keys, each.data_hash) for each in present],
        title=f"Agents' features, rows offline and keys online, {seconds:.1f} s",
    )
    print_table(
        ("agent", "feature", "served now"),
        [(each.agent if first else "", name, value) for each in present for first, name, value in each.example()],
        title="Some of each agent's values",
    )
    idle = [each.agent for each in rows if not each.events]
    if idle:
        say(f"No activity in these logs: {', '.join(idle)}.")
    return busy


def _print_names(names: Sequence[NameCount]) -> None:
    """Show who is in the log, by the names that are there, and how much of it counts for no agent."""
    from detektor_pipelines.language.events import UNMAPPED

    typer.echo("Who is in these logs, and what it counts as:")
    for each in names[:_NAMES_SHOWN]:
        typer.echo(f"{each.events:>9,}  {visible(each.raw_name)} → {each.agent_type}")
    if len(names) > _NAMES_SHOWN:
        typer.echo(f"           and {len(names) - _NAMES_SHOWN:,} more names, all with --json")
    total = sum(each.events for each in names)
    unmapped = sum(each.events for each in names if each.agent_type == UNMAPPED)
    if unmapped:
        say(f"{unmapped:,} of {total:,} events ({unmapped / total:.0%}) count for no agent; a line in agents.toml, as above, maps a name.")


def _print_next(settings: Settings, page: Path, view: ViewOverview, *, learned: bool) -> None:
    from detektor_pipelines.stores.mlflow.tracking import first_page

    shown = next((name for name, value in view.values.items() if value is not None), next(iter(view.values)))
    model = (
        "detektor experiment --agent code-reviewer --label rejected",
        "a model of the decisions; detektor labels lists what can be learnt",
    )
    commands = (
        (page.absolute().as_uri(), "the report: what the agents did, open it in a browser; detektor report makes it again"),
        (f"detektor features get {view.view} --agent-id {view.agent}", "what is served"),
        (f"detektor features explain {view.view}:{shown} --agent-id {view.agent}", "the events behind a value"),
        ("detektor status", "what is fresh, stale or rejected"),
        ("detektor validate --check-all", "log, rows, registry, online values and readers held against each other"),
        ("detektor up", f"then the Dagster UI at {settings.dagster_url}: backfills, schedules, what is late"),
        *([model] if learned else []),
        (first_page(settings), "MLflow: which features were computed, by hash and version, and which models learnt from them"),
        ('eval "$(detektor env)" && feast -c feature_repo ui --host 127.0.0.1', "Feast's own pages on the same registry"),
        ("docs/self-learning-agents/feature-guide.md", "what each feature means"),
        ("detektor down", "ends the servers, the data stays"),
    )
    say("", "Where to look next")
    if as_typed("detektor") != "detektor":
        say("  source .venv/bin/activate", "      then the following works as it stands")
    for command, what in commands:
        say(f"  {command}", f"      {what}")
