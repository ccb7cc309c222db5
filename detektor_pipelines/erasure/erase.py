"""Erasing: the order in which it goes, so that nobody is given what is gone, and a crash loses nothing of the order.

    1  the record     from here on nothing of it is taken in; the spool is read once more, so that lines of others are not lost with it
    2  the log        events, rows, states, predictions: one transaction, and once more for what was on its way in
    3  the stream     workers start again, with what the log holds
    4  shared values  days and online values that knew of it are computed again
    5  the rest       Redis, where workers start again until they put nothing back; the tables of other programs, files; then VACUUM
    6  the search     through all of it, for what is still there; and which backups hold it

Each step may be done again: the same command after a crash does all of them, and finds less to do.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from detektor_pipelines.erasure import events, files, mentions, online, record
from detektor_pipelines.erasure.events import Touched
from detektor_pipelines.language.hashes import SHORT, data_hash
from detektor_pipelines.stores import retention
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.raw_log.live import ASK_AGAIN_S

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import psycopg

    from detektor_pipelines.erasure.record import Record
    from detektor_pipelines.erasure.subject import Subject
    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings

_WORKERS: Final = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'detektor stream'
"""
_LIVE_WRITERS: Final = """
SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'detektor live%')
"""
_ROUNDS: Final = 5
_LAST_WORDS_S: Final = 1.0
"""In which a worker whose session was ended has written what it was about to write."""

_OURS: Final = ("agent_events", "event_ids", "rejected_events", "predictions", "partition_state", "drift_references", "erasures")


@dataclass
class Erasure:
    """What was done, or would be.

    Attributes:
        removed: How many of what went, by store; of a dry run, what is there.
        recomputed: Days computed again, by view.
        failed: Of these, days that do not pass the gate: they stay gaps.
        gaps: Days whose shared rows went and are not computed again, by version: there is no definition of it, or no events of then.
        remaining: What still names it, by store.
        backups: Backups that were made before and hold it still; None where nobody says where backups are.
        notes: What a person has to see to.

    """

    removed: dict[str, int] = field(default_factory=dict)
    recomputed: dict[str, int] = field(default_factory=dict)
    failed: dict[str, list[str]] = field(default_factory=dict)
    gaps: dict[str, list[str]] = field(default_factory=dict)
    remaining: dict[str, int] = field(default_factory=dict)
    backups: list[str] | None = None
    notes: list[str] = field(default_factory=list)


def together(erasures: Sequence[Erasure]) -> Erasure:
    """Return one account of the erasures of one person's names."""
    first, *others = erasures
    for each in others:
        for counts, more in ((first.removed, each.removed), (first.remaining, each.remaining)):
            for name, number in more.items():
                counts[name] = counts.get(name, 0) + number
        for view, number in each.recomputed.items():
            first.recomputed[view] = first.recomputed.get(view, 0) + number
        for days, found in ((first.failed, each.failed), (first.gaps, each.gaps)):
            for view, some in found.items():
                days[view] = sorted({*days.get(view, []), *some})
        first.notes += [note for note in each.notes if note not in first.notes]
    return first


def look(settings: Settings, subject: Subject) -> Erasure:
    """Say what there is of it; changes nothing.

    Raises:
        UserError: A server does not answer.

    """
    found = Erasure()
    with connect(settings) as connection:
        found.removed = {f"log: {name}": number for name, number in events.count(connection, subject).items() if number}
        connection.rollback()
    found.removed |= search(settings, subject)
    _say_what_is_elsewhere(settings, subject, found)
    return found


def erase(
    settings: Settings,
    subject: Subject,
    views: Sequence[FeatureView],
    *,
    rewrite: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> Erasure:
    """Erase it from everywhere; called again after a crash, it goes on.

    Args:
        settings: Where everything is.
        subject: What.
        views: The definitions that are computed.
        rewrite: Write the tables anew, so that freed places hold nothing of it; they are locked meanwhile.
        tell: Hears each step before it is done.

    Raises:
        UserError: A server does not answer; the same again goes on.

    """
    done = Erasure()
    tell("record")
    with connect(settings, writes=True) as connection:
        kept = record.begin(connection, subject)
        connection.commit()
        _drain(settings)
        kept.went("held events", files.remove_held(settings, subject))
        tell("log")
        events.remove(connection, subject, kept, views)
        connection.commit()
        tell("stream")
        _restart_workers(connection, done)
        connection.commit()
        if connection.execute(_LIVE_WRITERS).fetchone() == (True,):
            time.sleep(ASK_AGAIN_S)  # whoever writes live has asked for erasures since
        events.remove(connection, subject, kept, views)
        connection.commit()
        touched = events.recalled(kept)
        tell("days")
        for view in views:
            _compute_again(settings, view, kept, done)
            kept.save(connection)
            connection.commit()
        tell("online")
        _remove_online(settings, connection, subject, kept, views, done)
        for view in views:
            _write_again(settings, view, touched, done)
        tell("mentions")
        mentions.remove(connection, subject, touched, kept)
        kept.save(connection)
        connection.commit()
        tell("files")
        files.remove(settings, subject, touched, kept)
        kept.save(connection)
        connection.commit()
        tell("vacuum")
        _vacuum(settings, kept, rewrite=rewrite)
        done.gaps = kept.todo.get("gaps", {})
        tell("search")
        done.remaining = search(settings, subject)
        kept.finish(connection)
        connection.commit()
        done.removed = dict(kept.removed)
    _say_what_is_elsewhere(settings, subject, done)
    return done


def search(settings: Settings, subject: Subject) -> dict[str, int]:
    """Look through every store for it; returns the places by store.

    Raises:
        UserError: A server does not answer.

    """
    with connect(settings) as connection:
        found = {f"PostgreSQL: {name}": number for name, number in mentions.found(connection, subject).items()}
        connection.rollback()
    found |= {f"Redis: {name}": number for name, number in online.found(settings, subject, Touched()).items()}
    return found | {f"files: {name}": number for name, number in files.found(settings, subject, Touched()).items()}


def _remove_online(
    settings: Settings, connection: psycopg.Connection, subject: Subject, kept: Record, views: Sequence[FeatureView], done: Erasure
) -> None:
    """Delete values online; a worker that has seen their keys takes them for lost and writes them again, so it starts again after that."""
    touched = events.recalled(kept)
    for _ in range(_ROUNDS):
        online.remove(settings, subject, touched, kept, views)
        ended = _restart_workers(connection, done)
        connection.commit()
        if not ended:
            return
        time.sleep(_LAST_WORDS_S)
        if not online.found(settings, subject, touched):
            return


def _restart_workers(connection: psycopg.Connection, done: Erasure) -> int:
    """End the sessions of stream workers, which start again with what the log holds; return how many there were."""
    import psycopg

    try:
        with connection.transaction():
            return len(connection.execute(_WORKERS).fetchall())
    except psycopg.errors.InsufficientPrivilege:
        note = "this login may not have stream workers start again (GRANT pg_signal_backend): `detektor restart`, then the same again"
        if note not in done.notes:
            done.notes.append(note)
        return 0


def _drain(settings: Settings) -> None:
    from detektor_pipelines.ingest.live.spool import DIRECTORY, drain

    if (settings.home / DIRECTORY).is_dir():
        drain(settings)


def _compute_again(settings: Settings, view: FeatureView, kept: Record, done: Erasure) -> None:
    from datetime import date

    from detektor_pipelines.engine.materialize import materialize

    wanted = [date.fromisoformat(day) for day in kept.todo.get("days", {}).get(_version(view), ())]
    with connect(settings) as connection:
        days = retention.after(wanted, retention.first_day(connection, view))
    if len(days) < len(wanted):
        kept.todo.setdefault("gaps", {})[_version(view)] = sorted(day.isoformat() for day in {*wanted} - {*days})
    if days:
        made = materialize(settings, view, sorted(days))
        failed = [day.day.isoformat() for day in made.days if day.status == "failed"]
        done.recomputed[view.name] = len(days)
        if failed:
            done.failed[view.name] = failed
    if wanted:
        kept.todo["days"].pop(_version(view))


def _write_again(settings: Settings, view: FeatureView, touched: Touched, done: Erasure) -> None:
    """Put the values of shared agent_ids online as the log gives them now; those that were not there are not put there."""
    from detektor_pipelines.engine.online import write_from_log

    mine = [agent_id for agent_id in touched.shared if agent_id.partition("@")[0] == view.agent]
    there = online.standing(settings, view, mine) if mine else []
    if there:
        made = write_from_log(settings, view, there, writer="erase")
        if made.lost or made.withheld:
            done.notes.append(f"{view.name}: {made.trouble()}")


def _version(view: FeatureView) -> str:
    return f"{view.name} {data_hash(view)[:SHORT]}"


def _vacuum(settings: Settings, kept: Record, *, rewrite: bool) -> None:
    """Free the places of what went, and forget it in the planner's statistics, which keep frequent values."""
    from psycopg import sql

    with connect(settings) as connection:
        tables = {("ml_learning", name) for name in _OURS}
        tables |= {("feast", table.name) for table in events.row_tables(connection)} if kept.removed.get("feature rows") else set()
        for what in kept.removed:
            schema, dot, name = what.removeprefix("mentions in ").removeprefix("rows of ").partition(".")
            if dot and " " not in schema:
                tables.add((schema, name))
        connection.commit()
        connection.autocommit = True
        connection.execute("SET statement_timeout = 0")
        for schema, name in sorted(tables):
            row = connection.execute(sql.SQL("SELECT to_regclass({}) IS NOT NULL").format(sql.Literal(f'"{schema}"."{name}"'))).fetchone()
            if row and row[0]:
                statement = sql.SQL("VACUUM ({}ANALYZE) {}").format(sql.SQL("FULL, " if rewrite else ""), sql.Identifier(schema, name))
                connection.execute(statement)
        connection.autocommit = False


def _say_what_is_elsewhere(settings: Settings, subject: Subject, done: Erasure) -> None:
    from detektor_pipelines.recovery.target import Target

    if settings.backup_url:
        done.backups = Target(settings.backup_url).backups()
    if settings.mlflow_tracking_uri:
        done.notes.append(f"MLflow is not this platform's own ({settings.mlflow_uri}): look there yourself")
    if subject.kind == "project" and (settings.home / "servers" / "prometheus").is_dir():
        done.notes.append("Prometheus keeps a project's name, as a label of figures, for its 30 days")
    if settings.openlineage_url:
        done.notes.append("lineage events were sent to DETEKTOR_OPENLINEAGE_URL: they hold dataset names and days, no agent_ids")
