"""Bent records into PostgreSQL itself: what passes the checks can be stored, and what does not is kept with its reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.examples import examples
from support.mangled import STRANGE, lines_of, written
from support.valid_records import CLAUDE, COPILOT, OTLP, OWN

from detektor_pipelines.ingest.live import otlp
from detektor_pipelines.ingest.live.writer import LiveWriter
from detektor_pipelines.ingest.readers import jsonl
from detektor_pipelines.ingest.readers.interface import ReadContext
from detektor_pipelines.ingest.readers.names import AgentNames
from detektor_pipelines.ingest.run import ingest
from detektor_pipelines.language.records import Rejection

if TYPE_CHECKING:
    from pathlib import Path

    from detektor_pipelines.settings import Settings

NAMES = AgentNames.load()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stored")


@settings(max_examples=examples(10), suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=st.data())
def test_a_bent_log_is_stored_or_kept_with_reasons(data: st.DataObject, module_database: Settings, place: Path) -> None:
    records = data.draw(st.sampled_from((OWN, CLAUDE, COPILOT)))
    file = place / "log.jsonl"
    file.write_bytes(b"\n".join([written(records[0]), *data.draw(lines_of(records))]) + b"\n")
    report = ingest(module_database, [file])
    counts = report.counts
    kept = counts.added + counts.known + counts.also_seen + counts.reread + counts.conflicts
    assert kept == sum(report.events.values())
    assert counts.rejected + counts.rejected_known >= sum(report.rejected.values())


@settings(max_examples=examples(10), suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=st.data())
def test_bent_live_events_are_stored_or_rejected(data: st.DataObject, module_database: Settings) -> None:
    context = ReadContext(names=NAMES, live=True)
    records = [each for line in data.draw(lines_of(OWN)) for each in jsonl.read([(1, line)], source="http", context=context)]
    records += otlp.read(OTLP, NAMES)
    records.append(Rejection("a\x00\ud800", None, "b\x00\ud800", "c\x00\ud800" + str(data.draw(STRANGE))[:50], "d\x00\ud800"))
    with LiveWriter(module_database) as writer:
        outcomes = writer.write(records)
    assert len(outcomes) == len(records)
    with psycopg.connect(module_database.postgres_dsn) as connection:
        assert connection.execute("SELECT count(*) > 0 FROM ml_learning.rejected_events WHERE reason LIKE 'b%'").fetchone() == (True,)
