"""A running Dagster hears of events older than its first partition: its days are counted when the definitions are loaded."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from detektor_pipelines.cli_commands.output import errors_console

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detektor_pipelines.settings import Settings


@contextmanager
def dagster_hears_of_earlier_days(settings: Settings) -> Iterator[None]:
    """Let the code server, when it runs, load its definitions again if the block added events before the oldest day there was.

    Takes two quick look-ups, and some seconds when there is something to load. The tables are there already.
    """
    from detektor_pipelines.stores.raw_log.state import oldest_event_day

    before = oldest_event_day(settings)
    yield
    if settings.start_date is not None:
        return  # the partitions begin there, whatever the raw log holds
    after = oldest_event_day(settings)
    if after is not None and (before is None or after < before) and _reloaded(settings):
        errors_console().print(f"Dagster's partitions begin on {after} now.", style="dim", highlight=False)


def _reloaded(settings: Settings) -> bool:
    from detektor_pipelines.stack import supervisor

    if "dagster-code" not in supervisor.alive(settings):
        return False  # what answers at the port is then another home's, and knows nothing of these events
    from detektor_pipelines.stack.servers.dagster import reload_definitions

    return reload_definitions(settings)
