"""Real transcripts as they stand in the tables: the figures counted by hand, the same whichever way the logs came in.

`DETEKTOR_SHARED_DATA` names their directory (default: `../shared/data` beside the repository); skipped where it is not.
"""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from detektor_pipelines.ingest.readers.names import AgentNames
from detektor_pipelines.ingest.run import IngestOptions, IngestReport, ingest
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.raw_log import state as log_state

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings

DATA = Path(os.environ.get("DETEKTOR_SHARED_DATA") or Path(__file__).parents[3].parent / "shared" / "data")
OPTIONS = IngestOptions(names=AgentNames.load())

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"no real transcripts in {DATA}; DETEKTOR_SHARED_DATA names their directory"),
]

FIGURES = """
SELECT project,
    count(*) FILTER (WHERE operation = 'tool_call'),
    count(*) FILTER (WHERE operation = 'tool_call' AND outcome = 'failure'),
    count(*) FILTER (WHERE operation = 'chat'),
    (sum(output_tokens) FILTER (WHERE operation = 'chat'))::bigint,
    count(*) FILTER (WHERE operation = 'invoke_agent')
FROM ml_learning.agent_events GROUP BY project ORDER BY project
"""
NEWEST = """
SELECT event.* FROM ml_learning.agent_events AS event JOIN ml_learning.event_ids AS identity USING (event_id, revision) ORDER BY event_id
"""


def read(settings: Settings, *paths: Path) -> IngestReport:
    return ingest(settings, paths, OPTIONS)


def newest(settings: Settings) -> list[dict[str, Any]]:
    """Every event as it counts, without what tells when and from which file it came."""
    with connect(settings) as connection:
        cursor = connection.execute(NEWEST)
        names = [column.name for column in cursor.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in cursor]
    return [{name: row[name] for name in row if name not in {"xid", "ingested_at", "source", "revision"}} for row in rows]


def test_the_figures_come_out_of_the_tables_and_a_second_run_adds_nothing(module_database: Settings) -> None:
    first = read(module_database, DATA)
    assert first.counts.added == sum(first.events.values())
    assert first.counts.rejected == 0
    with connect(module_database) as connection:
        figures = connection.execute(FIGURES).fetchall()
    assert figures == [
        ("agents-md-evaluator", 3_493, 239, 3_020, 213_554, 18),
        ("cipher-box", 3_965, 143, 2_928, 234_797, 50),
        ("cli", 23_214, 1_046, 21_020, 1_878_772, 224),
        ("oh-my-posh", 377, 7, 370, 284_052, 33),
    ]
    again = read(module_database, DATA)
    assert (again.counts.added, again.counts.known) == (0, first.counts.added)
    assert sum(row.events for row in log_state.event_counts(module_database)) == first.counts.added


@pytest.mark.long
def test_cut_texts_first_and_whole_ones_later_end_as_both_together(database: Settings, module_database: Settings) -> None:
    del module_database
    cut = read(database, DATA / "entireio-cli" / "events.slim.jsonl.gz")
    whole = read(database, DATA / "entireio-cli")
    assert (cut.counts.conflicts, whole.counts.conflicts, whole.counts.added) == (0, 0, 0)
    assert whole.counts.also_seen > 0
    assert read(database, DATA / "entireio-cli").counts.known == cut.counts.added


@pytest.mark.parametrize("shares", [(0.31, 0.62, 1.0)])
def test_a_log_that_is_read_while_it_grows_ends_as_one_that_is_read_once(
    database: Settings, module_database: Settings, tmp_path: Path, shares: tuple[float, ...]
) -> None:
    with gzip.open(DATA / "context-evaluator" / "events.slim.jsonl.gz") as stream:
        lines = stream.readlines()
    log = tmp_path / "session.jsonl"
    for share in shares:
        log.write_bytes(b"".join(lines[: int(len(lines) * share)]))
        assert read(database, log).counts.rejected == 0
    with connect(module_database) as connection:
        connection.execute("TRUNCATE ml_learning.agent_events, ml_learning.event_ids")
    read(module_database, log)
    assert newest(database) == newest(module_database)
