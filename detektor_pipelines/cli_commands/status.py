"""`detektor status`: the servers, and then what further sections report.

A further section (views, stale partitions, rejected events) is one function in `SECTIONS`. What would be asked of a server that does not
answer is left out, and said.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from detektor_pipelines.cli_commands.output import JsonOption, print_json, print_table, say, styled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import typer

    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stack import StackStatus


_COMMANDS = 2
"""How many commands fix a table line by line; where there are more, one for all views does."""


@dataclass(frozen=True)
class Section:
    """One table of the status page, the same as data, and the commands that fix what is wrong in it."""

    key: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    data: Any
    commands: tuple[str, ...] = ()


def views(settings: Settings) -> Section:
    """How far each view is published, and the command that fixes what is not."""
    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.quality.freshness_report import freshness

    found = freshness(settings, VIEWS)
    rows = tuple((each.view, each.last_closed or "none", len(each.stale), len(each.missing)) for each in found)
    commands = tuple(dict.fromkeys(each.fix for each in found if each.fix))
    if len(commands) > _COMMANDS:
        due = [day for each in found if each.fix for day in (*each.stale, *each.missing)]
        commands = (f"detektor backfill --from {min(due)} --to {max(due)}",) if due else commands
    columns = ("view", "last closed day", "stale days", "missing days")
    return Section("views", "Feature views", columns, rows, [each.as_data() for each in found], commands)


def log(settings: Settings) -> Section:
    """Where the raw log lives, and since when."""
    from detektor_pipelines.stores.cluster import life
    from detektor_pipelines.stores.connections import connect

    with connect(settings) as connection:
        found = life(connection)
    rows = ((found.epoch, found.system_identifier, found.timeline, found.since),)
    return Section("log", "Raw log", ("life", "cluster", "timeline", "since"), rows, asdict(found))


def rejected(settings: Settings) -> Section:
    """What could not be read in the last 24 hours."""
    from detektor_pipelines.clock import from_us
    from detektor_pipelines.stores.raw_log.state import recent_rejections

    found = recent_rejections(settings)
    rows = tuple((each.reason, each.rejections, each.example) for each in found)
    title = "Rejected in the last 24 hours" if found else "Nothing was rejected in the last 24 hours"
    return Section(
        "rejected", title, ("reason", "records", "latest"), rows, [asdict(each) | {"last_at": from_us(each.last_at)} for each in found]
    )


def reading(settings: Settings) -> Section:
    """What the last ingest on this machine read, and what it did not."""
    from detektor_pipelines.ingest.last_run import last_run
    from detektor_pipelines.ingest.summary import line_that_maps

    found = last_run(settings.home)
    if found is None:
        return Section("ingest", "No logs were read on this machine", (), (), None)
    rows = [
        (number, kind, text)
        for kind, texts in (
            ("events of a name that maps to no agent", {line_that_maps(name): n for name, n in found.get("unmapped_names", {}).items()}),
            ("lines rejected", found.get("rejected_by_reason", {})),
            ("records not understood", found.get("not_understood", {})),
            ("files not read", found.get("skipped_because", {})),
        )
        for text, number in texts.items()
    ]
    at = str(found["at"]).partition(".")[0].replace("+00:00", "")
    title = f"Last ingest, {at}Z: {found.get('lines', 0):,} lines, {found.get('events', 0):,} events, {found.get('added', 0):,} new"
    if rows:
        title += f"; what is in no view or was not read ({', '.join(found.get('paths', ()))})"
    return Section("ingest", title, ("number", "", "which"), tuple((f"{number:,}", kind, text) for number, kind, text in rows), found)


def online(settings: Settings) -> Section:
    """What lies ahead of the clock online, and whether Redis drops values by itself."""
    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.clock import to_text
    from detektor_pipelines.stores.connections_redis import redis_client
    from detektor_pipelines.stores.online.clock import ahead
    from detektor_pipelines.stores.online.server import eviction_policies

    client = redis_client(settings)
    try:
        found = [each for each in (ahead(client, settings.project, view) for view in VIEWS) if each]
        policies = sorted(eviction_policies(client))
    finally:
        client.close()
    rows = tuple((each.view, len(each.agent_ids), len(each.shards), to_text(each.furthest)) for each in found)
    title = "Online, ahead of the clock: nobody trusts these values" if found else "Nothing online lies ahead of the clock"
    if any(each.startswith("allkeys") for each in policies):
        title += f"; Redis drops values when it is full ({', '.join(policies)}), see detektor doctor"
    data = {"ahead": [dict(zip(("view", "values", "shards", "furthest"), row, strict=True)) for row in rows], "eviction": policies}
    columns = ("view", "values ahead", "shards ahead", "up to")
    return Section("online", title, columns, rows, data, ("detektor online repair",) if found else ())


def served(settings: Settings) -> Section:
    """Whether what the feature server serves is as fresh as it ought to be."""
    from detektor_pipelines.versions.processes import server_health

    said = server_health(settings)
    if said is None:
        return Section("served", "The feature server does not run, or does not answer", (), (), None)
    status, reason, fix = (str(said.get(name, "")) for name in ("status", "reason", "fix"))
    data = {"status": status, "reason": reason or None, "fix": fix or None}
    if not reason:
        return Section("served", f"The feature server says {status}", (), (), data)
    return Section("served", f"The feature server says {status}: {reason}", (), (), data, (fix,) if fix else ())


def definitions(settings: Settings) -> Section:
    """Which definitions each process has loaded, beside those of this command."""
    from detektor_pipelines.compile.loaded import combined_hash
    from detektor_pipelines.versions.processes import RESTART, processes

    found = processes(settings)
    rows = tuple((each.title, each.where, each.hash, each.since, each.words) for each in found)
    differing = [each for each in found if each.differs]
    title = f"Definitions: {combined_hash()} on disk" + ("" if differing or not found else ", and in every process")
    if differing:
        title += f"; reload {_number(differing)}: {', '.join(dict.fromkeys(each.title for each in differing))}"
    columns = ("process", "where", "definitions", "since", "")
    data = {"hash": combined_hash(), "processes": [each.as_data() for each in found], "same": not differing}
    return Section("definitions", title, columns, rows if differing else (), data, (RESTART,) if differing else ())


def _number(differing: Sequence[object]) -> str:
    """Say how many there are: `this one`, `these three`, `these 12`."""
    words = ("this one", "these two", "these three", "these four", "these five", "these six")
    return words[len(differing) - 1] if len(differing) <= len(words) else f"these {len(differing)}"


def versions(settings: Settings) -> Section:
    """What was chosen instead of the catalogue's files: rollbacks, earlier versions that are kept fresh, static values."""
    from detektor_pipelines.catalog import DECLARED
    from detektor_pipelines.serving.values import static
    from detektor_pipelines.versions import choice

    chosen, files = choice.chosen(settings), {view.name: view.version for view in DECLARED}
    since = static.since(settings.home / static.FILE)
    beside = chosen.kept_beside(chosen.in_force(DECLARED))
    rows = [(view.name, view.version, f"rolled back to; its file says {files.get(view.name)}") for view in chosen.pinned.values()]
    rows += [(view.name, view.version, "kept fresh beside the one in force") for view in beside]
    rows += [("all views", "", f"served from static values since {since}")] if since else []
    commands = [f"detektor rollback {name} --forward" for name in chosen.pinned] + (["detektor rollback --live"] if since else [])
    title = "Versions" if rows else "Versions: those of the catalogue's files are in force, no other is kept fresh"
    data = {
        "pinned": {view.name: view.version for view in chosen.pinned.values()},
        "beside": [[view.name, view.version] for view in beside],
        "static_since": since,
    }
    return Section("versions", title, ("view", "version", ""), tuple(rows), data, tuple(commands))


SECTIONS: tuple[Callable[[Settings], Section], ...] = (views, served, rejected, reading, log, definitions, versions, online)
"""What is asked, in order."""

_OF_SERVER: dict[Callable[[Settings], Section], str] = {views: "postgres", rejected: "postgres", log: "postgres", online: "redis"}
"""Which server must answer for a section; the others find out by themselves, within seconds."""

_COLOURS = {
    "running": "green",
    "external": "green",
    "starting": "yellow",
    "hung": "red",
    "unwell": "red",
    "foreign": "red",
    "failed": "red",
    "unreachable": "red",
    "stopped": "dim",
}


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("status")(status)


def status(*, as_json: JsonOption = False) -> None:
    """Show which servers run, how far each feature view is published, what is stale or rejected, and what fixes it.

    Examples: [bold]detektor status[/], [bold]detektor status --json | jq .servers.postgres.state[/]
    """
    from detektor_pipelines import stack
    from detektor_pipelines.settings import get_settings

    settings = get_settings()
    servers = stack.status(settings)
    left_out = {section: servers[name] for section, name in _OF_SERVER.items() if not servers[name].ready}
    sections = [_asked(section, settings) for section in SECTIONS if section not in left_out]
    if as_json:
        print_json(servers_as_json(servers) | {section.key: section.data for section in sections})
        return
    print_servers(servers)
    for section in sections:
        print_section(section)
    for server in dict.fromkeys(left_out.values()):
        names = ", ".join(section.__name__ for section, needed in left_out.items() if needed is server)
        say(f"Not asked, as {server.title} is {server.state}: {names}")


def _asked(section: Callable[[Settings], Section], settings: Settings) -> Section:
    """Return a section; one that cannot be answered says why, and the others are shown all the same."""
    from detektor_pipelines.cli_commands.failures import as_user_error

    try:
        return section(settings)
    except Exception as error:
        told = as_user_error(error)
        if told is None:
            raise
        return Section(section.__name__, f"{section.__name__}: {told}", (), (), {"error": str(told)})


def print_section(section: Section) -> None:
    """Print a section's table, or only its title when there is nothing in it."""
    if section.rows:
        print_table(section.columns, section.rows, section.title)
    else:
        say(section.title)
    if section.commands:
        say("What fixes it:", *(f"  {command}" for command in section.commands))


def servers_as_json(status: StackStatus) -> dict[str, Any]:
    """Return the servers as data: by name, with state, address, process id, seconds since start and log."""
    services = {
        service.name: {
            "state": service.state,
            "ready": service.ready,
            "address": service.address,
            "pid": service.pid,
            "seconds": service.seconds,
            "log": service.log,
            "login": service.login,
            "why": str(service.why) if service.why else None,
        }
        for service in status.services
    }
    return {"home": status.settings.home, "supervisor_pid": status.supervisor_pid, "servers": services}


def print_servers(status: StackStatus) -> None:
    """Print the servers as a table, where their logs are, and the command that starts what does not run."""
    from detektor_pipelines.settings import LOGIN_PREFIX
    from detektor_pipelines.stack.lifecycle import DEFAULT_SERVICES

    rows = [
        (
            service.title,
            styled(service.state, _COLOURS[service.state]),
            service.address,
            service.pid,
            _duration(service.seconds),
        )
        for service in status.services
    ]
    print_table(("server", "state", "address", "pid", "for"), rows)
    for service in status.services:
        if service.why:
            say(f"{service.title}: {service.why}")
    if asking := [(service.title, service.login) for service in status.services if service.login]:
        say("Logins: " + ", ".join(f"{title} {login.removeprefix(LOGIN_PREFIX)}" for title, login in asking))
    logs = sorted({service.log.parent for service in status.services if service.log})
    for directory in logs:
        say(f"Logs: {directory}/")
    if any(service.state in {"stopped", "failed"} and service.name in DEFAULT_SERVICES for service in status.services):
        say("Start what does not run: detektor up")
    elif any(service.state == "hung" for service in status.services):
        say("What hangs is ended by the watchdog and starts anew; what somebody stopped (SIGSTOP) goes on with: detektor up")


def _duration(seconds: int | None) -> str | None:
    if seconds is None:
        return None
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
