"""Events of real logs as a table, to set their figures beside the simulated ones; nothing is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from detektor_pipelines.ingest.dispatch import Reading
from detektor_pipelines.ingest.files import Journal, find_logs
from detektor_pipelines.ingest.readers.interface import ReadContext
from detektor_pipelines.language.records import AgentEvent
from detektor_pipelines.stores.raw_log.table import table_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pyarrow as pa

    from detektor_pipelines.ingest.readers.names import AgentNames


def read_events(paths: Sequence[Path], names: AgentNames) -> pa.Table:
    """Read each path's logs as `detektor ingest` would; what it would reject is left out.

    Raises:
        UserError: A path cannot be read or holds no logs.

    """
    context = ReadContext(names=names)
    events: list[AgentEvent] = []
    for path in paths:
        journal = Journal()
        reading = Reading(find_logs([path], journal), journal, context)
        events += [record for record in reading.records() if isinstance(record, AgentEvent)]
    return table_of(events)
