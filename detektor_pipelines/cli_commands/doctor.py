"""`detektor doctor`: checks of this machine and installation, each with what fixes it, and every setting with its origin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from detektor_pipelines.cli_commands.output import JsonOption, print_json, print_table, say, styled

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stack.checks import Check

_MARKS = {"ok": styled("ok", "green"), "warning": styled("warning", "yellow"), "failed": styled("failed", "red")}


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("doctor")(doctor)


def doctor(
    *,
    everything: Annotated[bool, typer.Option("--all", help="Also what is well, and the settings that have their defaults.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Check Python, packages, disk, ports, servers and tables, and say what fixes each; exit code 1 when something failed.

    Shows what is not well, names the rest, and which settings are not the defaults.

    Examples: [bold]detektor doctor[/], [bold]detektor doctor --all[/], [bold]detektor doctor --json | jq .checks[/]
    """
    from detektor_pipelines.settings import get_settings, origins
    from detektor_pipelines.stack.checks import all_checks

    settings = get_settings()
    checks = [
        *all_checks(settings),
        *_postgres(settings),
        *_redis(settings),
        _tables(),
        _definitions(settings),
        _log(),
        _served(settings),
        *_catalog(),
        *_restore(settings),
        *_online(settings),
    ]
    where = origins(settings)
    if as_json:
        print_json({"checks": [_as_json(check) for check in checks], "settings": where})
    else:
        _print(checks, where, everything=everything)
    if any(check.result == "failed" for check in checks):
        raise typer.Exit(1)


def _print(checks: Sequence[Check], where: Mapping[str, Mapping[str, str]], *, everything: bool) -> None:
    well = [check for check in checks if check.result == "ok" and not everything]
    if rows := [(each.name, _MARKS[each.result], each.found, each.fix) for each in checks if each not in well]:
        print_table(("check", "result", "found", "what to do"), rows)
    if well:
        say(f"Well: {', '.join(dict.fromkeys(each.name for each in well))}.")
    chosen = [(name, row["value"], row["from"]) for name, row in where.items() if everything or not _is_usual(name, row)]
    if chosen:
        print_table(("setting", "value", "from"), chosen)
    if not everything:
        say("All of it: detektor doctor --all")


def _is_usual(name: str, row: Mapping[str, str]) -> bool:
    """Tell whether a setting is as nobody chose it: `up` writes down every port, also those that have their defaults."""
    from detektor_pipelines.settings import ENV_PREFIX, STATE_FILE, Settings

    field = Settings.model_fields.get(name.removeprefix(ENV_PREFIX).lower())
    return row["from"] == "default" or (row["from"] == STATE_FILE and field is not None and row["value"] == str(field.default))


def _tables() -> Check:
    """Check that the tables have the revision that this code expects."""
    from detektor_pipelines.errors import UserError
    from detektor_pipelines.settings import get_settings
    from detektor_pipelines.stack.checks import Check
    from detektor_pipelines.stack.servers import postgres
    from detektor_pipelines.stores.schema import MIGRATIONS

    expected = max(file.stem for file in (MIGRATIONS / "versions").glob("[0-9]*.py")).partition("_")[0]
    try:
        text = postgres.run_sql(get_settings().postgres_dsn, "SELECT version_num FROM ml_learning.alembic_version")
    except UserError:
        return Check("tables", "warning", "not readable", "detektor up")
    found = text.strip() or "none"
    if found.startswith(expected):
        return Check("tables", "ok", f"revision {found}")
    return Check("tables", "failed", f"revision {found}, this code wants {expected}", "detektor up")


def _postgres(settings: Settings) -> Iterator[Check]:
    """Say which release of PostgreSQL it is, and what of its settings ours cannot go before."""
    from datetime import datetime

    from detektor_pipelines.errors import UserError
    from detektor_pipelines.stack import supported
    from detektor_pipelines.stack.checks import Check
    from detektor_pipelines.stack.servers import postgres

    asked = "SELECT current_setting('server_version_num'), coalesce(nullif(current_setting('transaction_timeout', true), ''), '0')"
    try:
        version, limit = postgres.run_sql(settings.postgres_dsn, asked).strip().split("|")
    except UserError:  # its own line says so
        return
    today = datetime.now().astimezone().date()
    yield supported.postgres(int(version), today, external=settings.external_postgres_url is not None)
    if limit != "0":
        fix = f"ALTER ROLE {settings.postgres_user} SET transaction_timeout = 0"
        yield Check("PostgreSQL limits", "warning", f"transaction_timeout is {limit}: it ends a long backfill", fix)


def _redis(settings: Settings) -> Iterator[Check]:
    """Say which Redis it is, and whether it keeps what it is given."""
    from datetime import datetime

    from detektor_pipelines.errors import UserError
    from detektor_pipelines.stack import supported
    from detektor_pipelines.stack.checks import Check
    from detektor_pipelines.stores.connections_redis import redis_client
    from detektor_pipelines.stores.online.server import nodes

    client = redis_client(settings)
    try:
        found = nodes(client)
    except UserError:  # its own line says so
        return
    finally:
        client.close()
    today = datetime.now().astimezone().date()
    for kind, version in sorted({(each.kind, each.version) for each in found}):
        yield supported.redis(kind, version, today, external=settings.external_redis_url is not None)
    if evicting := sorted({each.policy for each in found if each.policy.startswith("allkeys")}):
        fix = "CONFIG SET maxmemory-policy noeviction or volatile-lru, and keep what may go in a Redis of its own"
        yield Check("Redis eviction", "warning", f"{', '.join(evicting)}: it drops feature values when it is full", fix)
    else:
        yield Check("Redis eviction", "ok", "keeps what has no expiry")
    if any(each.saves is False for each in found):
        fix = 'CONFIG SET save "300 1" or CONFIG SET appendonly yes, and the same in its redis.conf'
        told = "it keeps nothing over a restart: values are NOT_FOUND until the stream worker or a backfill has written them again"
        yield Check("Redis persistence", "warning", told, fix)
    else:
        known = all(each.saves for each in found)
        yield Check("Redis persistence", "ok", "writes what it holds to disk" if known else "does not say to this user")


def _served(settings: Settings) -> Check:
    """Check that what is served is as fresh as it ought to be."""
    from detektor_pipelines.stack.checks import Check
    from detektor_pipelines.versions.processes import server_health

    said = server_health(settings)
    if said is None:
        return Check("served values", "warning", "the feature server does not run, or does not answer", "detektor up serve")
    status = str(said.get("status", ""))
    if status in {"OK", "STATIC"}:
        return Check("served values", "ok", status)
    return Check("served values", "failed", f"{status}: {said.get('reason', '')}", str(said.get("fix") or "detektor up redis"))


def _catalog() -> Iterator[Check]:
    """Say which views of one's own are in use, where there are any."""
    from detektor_pipelines import own_catalog
    from detektor_pipelines.stack.checks import Check

    if not own_catalog.catalogs():
        return
    from detektor_pipelines.catalog import DECLARED, OUTSIDE

    places = ", ".join(dict.fromkeys(str(each.directory) for each in own_catalog.catalogs()))
    names = ", ".join(each.view.name for each in OUTSIDE) or "no view"
    yield Check("own catalogue", "ok", f"{places}: {names}, beside {len(DECLARED) - len(OUTSIDE)} of the package")


def _restore(settings: Settings) -> Iterator[Check]:
    """Name a restore that did not come to its end."""
    from detektor_pipelines.recovery.restore import interrupted
    from detektor_pipelines.stack.checks import Check

    if again := interrupted(settings):
        yield Check("restore", "failed", "interrupted before its end", again)


def _online(settings: Settings) -> Iterator[Check]:
    """Check that nothing online lies ahead of the clock."""
    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.clock import now_us
    from detektor_pipelines.errors import UserError
    from detektor_pipelines.stack.checks import Check
    from detektor_pipelines.stores.connections_redis import redis_client
    from detektor_pipelines.stores.online.clock import ahead

    client = redis_client(settings)
    try:
        found = [each for each in (ahead(client, settings.project, view) for view in VIEWS) if each]
    except UserError:
        yield Check("online values", "warning", "not readable", "detektor up redis")
        return
    finally:
        client.close()
    if found:
        values, shards = sum(len(each.agent_ids) for each in found), sum(len(each.shards) for each in found)
        far = (max(each.furthest for each in found) - now_us()) / 1_000_000
        text = f"{values:,} values and valid_through of {shards} shards lie up to {far:,.0f} s ahead of the clock"
        yield Check("online values", "failed", text, "Set the clocks right, then: detektor online repair")
    else:
        yield Check("online values", "ok", "none lies ahead of the clock")


def _log() -> Check:
    """Check that the raw log's numbers are those of the cluster that it is on."""
    from detektor_pipelines.errors import UserError
    from detektor_pipelines.settings import get_settings
    from detektor_pipelines.stack.checks import Check
    from detektor_pipelines.stack.servers import postgres
    from detektor_pipelines.stores.cluster import EXAMINE

    try:
        row = postgres.run_sql(get_settings().postgres_dsn, EXAMINE).strip().split("|")
    except UserError:
        return Check("log", "warning", "not readable", "detektor up")
    if len(row) == 1:
        return Check("log", "failed", "ml_learning.log_cluster is empty", "detektor up")
    epoch, where, since, state = row
    found = f"life {epoch}, since {since} on {where}"
    return {
        "home": Check("log", "ok", found),
        "replica": Check("log", "warning", f"{found}; this is a replica", "Give the primary's address for everything that writes"),
        "moved": Check("log", "warning", f"{found}; it was moved and begins its next life with the next connection", "detektor status"),
        "ahead": Check(
            "log",
            "failed",
            f"{found}; it holds events of transactions that have yet to begin: parts of it were restored from elsewhere",
            "Stop what writes, then in psql: UPDATE ml_learning.log_cluster SET system_identifier = 0; then detektor status",
        ),
    }[state]


def _definitions(settings: Settings) -> Check:
    """Check that the code on disk can be loaded, and that every process has loaded what it says."""
    from detektor_pipelines.errors import UserError
    from detektor_pipelines.stack import code_on_disk
    from detektor_pipelines.stack.checks import Check

    try:
        present = code_on_disk.definitions()
    except UserError as error:
        return Check("definitions", "failed", f"{error.what} {error.where}", error.fix or "")
    from detektor_pipelines.versions.processes import RESTART, processes

    behind = [f"{each.title} ({each.words})" for each in processes(settings) if each.differs]
    if behind:
        return Check("definitions", "warning", f"others than on disk ({present['hash']}): {'; '.join(behind)}", RESTART)
    return Check("definitions", "ok", f"{present['hash']}, on disk and in every process that answers")


def _as_json(check: Check) -> dict[str, Any]:
    return {"name": check.name, "result": check.result, "found": check.found, "fix": check.fix}
