"""What was read and what was not: where events came from, names that map to no agent, records that were rejected and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from detektor_pipelines.ingest.last_run import last_run
from detektor_pipelines.ingest.readers.names import MAIN_THREAD
from detektor_pipelines.report.contents import Reading, Rejected

if TYPE_CHECKING:
    import psycopg

    from detektor_pipelines.report.events import Events
    from detektor_pipelines.settings import Settings

SHOWN: Final = 12
_SOURCES: Final = f"SELECT source, count(*), count(*) OVER () FROM live GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {SHOWN}"
_UNMAPPED: Final = "SELECT raw_name, count(*) FROM live WHERE NOT mapped GROUP BY 1 ORDER BY 2 DESC, 1"
_REJECTED: Final = """
SELECT reason, count(*), (array_agg(source || coalesce(':' || line, '') ORDER BY id DESC))[1], (array_agg(excerpt ORDER BY id DESC))[1]
FROM ml_learning.rejected_events GROUP BY 1 ORDER BY 2 DESC, 1
"""
_DERIVED: Final = "SELECT count(*) FROM live WHERE derived"


def reading(connection: psycopg.Connection, events: Events, settings: Settings) -> Reading:
    """Return what the log knows of its sources, and what the last ingest on this machine said.

    Rejected records are those of all time: when they happened is often what could not be read of them.
    """
    sources = events.ask(_SOURCES)
    names: dict[str, int] = dict(events.ask(_UNMAPPED))
    main = names.pop(MAIN_THREAD, 0)
    rejected = tuple(Rejected(*row) for row in connection.execute(_REJECTED))
    (derived,) = events.ask(_DERIVED)[0]
    return Reading(
        tuple((source, number) for source, number, _ in sources),
        sources[0][2] if sources else 0,
        tuple(names.items()),
        main,
        rejected,
        derived,
        last_run(settings.home),
    )
