"""The days that views are computed for: one partitions definition, shared by all of them."""

from __future__ import annotations

import logging
import time
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final

import click
import dagster as dg

from detektor_pipelines.clock import from_us, now_us
from detektor_pipelines.errors import UserError
from detektor_pipelines.files import replace_file
from detektor_pipelines.language.calendar import owner
from detektor_pipelines.language.events import AGENT_TYPES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dagster._core.definitions.partitions.context import PartitionLoadingContext

    from detektor_pipelines.settings import Settings

HISTORY_DAYS: Final = 184
"""How far back the partitions go when neither the settings nor the log say: six months."""

_logger = logging.getLogger(__name__)
_CONNECT_SECONDS: Final = 3
_OLDEST_EVENT: Final = """
    SELECT min(oldest) FROM unnest(%s::text[]) AS agent(name),
    LATERAL (SELECT min(occurred_at) AS oldest FROM ml_learning.agent_events WHERE agent_type = agent.name) AS events
"""
"""One index look-up for each agent and month: milliseconds on any size of log."""


class NoSuchPartitionError(UserError, click.ClickException):
    """A day without a partition. Dagster's command line shows a click exception as one message, anything else as a stack."""

    def __init__(self, day: str, keys: Sequence[str]) -> None:
        super().__init__(
            f"There is no partition {day}.",
            where=f"The partitions go from {keys[0]} to {keys[-1]}." if keys else "There are no partitions.",
            fix="Choose a day in between, or set DETEKTOR_START_DATE for an earlier start.",
        )

    def format_message(self) -> str:
        """Return all three parts for the terminal."""
        return str(self)


class Days(dg.DailyPartitionsDefinition):
    """Daily partitions that say which days there are when asked for another one."""

    def validate_partition_key(self, partition_key: str, context: PartitionLoadingContext) -> None:
        """Accept a day that is a partition.

        Raises:
            NoSuchPartitionError: It is none.

        """
        if not self.has_partition_key(partition_key):
            raise NoSuchPartitionError(partition_key, self.get_partition_keys())
        super().validate_partition_key(partition_key, context)


def daily_partitions(settings: Settings) -> Days:
    """Return a partition for each UTC day from the first one to today, today included.

    Today is the platform's clock's: with `DETEKTOR_NOW` in the past the partitions end there.
    """
    real = datetime.fromtimestamp(time.time(), UTC).date()  # first: at midnight a day too many does no harm, one too few does
    today = _today()  # the platform's clock may stand at another day
    return Days(start_date=min(first_day(settings), today).isoformat(), end_offset=1 + (today - real).days)


def first_day(settings: Settings) -> date:
    """Return `settings.start_date`, else the day of the oldest event, else the day six months ago.

    Dagster asks once, when it loads the definitions. A database that is down, or has no tables or events yet, must not keep the definitions
    from loading: what is assumed then, and why, goes to the log file. Where the servers of `detektor up` are, the day is remembered:
    PostgreSQL may be away for a moment, and days that vanish would take their partitions' statuses with them.
    """
    if settings.start_date is not None:
        return settings.start_date
    assumed = _today() - timedelta(days=HISTORY_DAYS - 1)
    memory = settings.home / "servers" / "dagster-code" / "first-partition"
    try:
        oldest = _oldest_event(settings)
    except UserError as error:
        first = _remembered(memory)
        known = "as when the definitions were last loaded" if first else "six months"
        _logger.warning("Partitions start on %s (%s): the oldest event is not known. %s", first or assumed, known, error)
        return first or assumed
    if oldest is None:
        _logger.warning("Partitions start on %s (six months): the log is empty. After an ingest, reload the definitions.", assumed)
        return assumed
    first = owner(oldest)
    if memory.parent.is_dir() and _remembered(memory) != first:
        replace_file(memory, first.isoformat())
    return first


def days_between(partitions: dg.DailyPartitionsDefinition, first: date, last: date) -> Sequence[str]:
    """Return the partition keys from `first` to `last`, both included.

    Raises:
        UserError: `last` is before `first`, or one of them is not a partition.

    """
    keys = partitions.get_partition_keys()
    if last < first:
        raise UserError(f"The last day, {last}, is before the first, {first}.", fix="Give the earlier day first.")
    for day in (first, last):
        if day.isoformat() not in keys:
            raise NoSuchPartitionError(day.isoformat(), keys)
    return keys[keys.index(first.isoformat()) : keys.index(last.isoformat()) + 1]


def _remembered(memory: Path) -> date | None:
    try:
        return date.fromisoformat(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _oldest_event(settings: Settings) -> datetime | None:
    import psycopg

    from detektor_pipelines.stores.connections import postgres_errors

    with postgres_errors(settings), psycopg.connect(settings.postgres_dsn, connect_timeout=_CONNECT_SECONDS) as connection:
        row = connection.execute(_OLDEST_EVENT, (list(AGENT_TYPES),)).fetchone()
    return row[0] if row else None


def _today() -> date:
    return from_us(now_us()).date()
