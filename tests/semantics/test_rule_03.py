"""Rule 3: an event_id is stored once whatever its month, its identity in the same transaction; of two texts the longer counts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from detektor_pipelines.clock import parse_instant
from detektor_pipelines.language.records import AgentEvent
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.raw_log import writer
from detektor_pipelines.stores.raw_log.bulk import IngestCounts, append

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings

AT = parse_instant("2026-03-05 10:00")
WHOLE = AgentEvent(
    "e",
    "code-reviewer",
    "reviewer",
    "review",
    AT,
    "a.jsonl",
    known_at=AT,
    measures={"issues_found": 3, "duration_ms": 60_000},
    categories={"verdict": "rejected"},
    attributes={"evidence": "REQUEST CHANGES"},
)
CUT = replace(WHOLE, measures={"duration_ms": 60_000}, categories={}, attributes={"evidence": "REQ"})


def fetched(settings: Settings, query: str) -> list[tuple[Any, ...]]:
    with connect(settings) as connection:
        return connection.execute(query).fetchall()


def counting(settings: Settings) -> list[tuple[Any, ...]]:
    """The values that count: those of the highest revision."""
    query = "SELECT issues_found, verdict FROM ml_learning.agent_events JOIN ml_learning.event_ids USING (event_id, revision)"
    return fetched(settings, query)


def test_03_an_event_id_is_unique_across_the_months_of_the_log(database: Settings) -> None:
    append(database, [WHOLE])
    later = replace(WHOLE, occurred_at=parse_instant("2026-04-05 10:00"))

    assert append(database, [later]).added == 0
    assert fetched(database, "SELECT count(*), count(DISTINCT event_id) FROM ml_learning.agent_events") == [(1, 1)]


def test_03_the_identity_has_a_key_of_its_own_that_is_not_partitioned(database: Settings) -> None:
    query = """
        SELECT c.relkind, array_agg(a.attname::text)
        FROM pg_class c JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
        WHERE c.oid = 'ml_learning.event_ids'::regclass GROUP BY 1
    """

    assert fetched(database, query) == [("r", ["event_id"])]


def test_03_identity_and_event_are_written_together_or_not_at_all(database: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        message = "broken"
        raise RuntimeError(message)

    with monkeypatch.context() as patched:
        patched.setattr(writer, "copy_events", broken)
        with pytest.raises(RuntimeError, match="broken"):
            append(database, [WHOLE])
    assert fetched(database, "SELECT FROM ml_learning.event_ids UNION ALL SELECT FROM ml_learning.agent_events") == []

    assert append(database, [WHOLE]) == IngestCounts(added=1)
    same = "SELECT e.xid = i.xmin::text::xid8 FROM ml_learning.agent_events e JOIN ml_learning.event_ids i USING (event_id)"
    assert fetched(database, same) == [(True,)]


@pytest.mark.parametrize("same", [{"source": "b.jsonl"}, {"known_at": None}, {"known_at": AT + 5}])
def test_03_the_body_is_what_happened_not_where_it_was_read(database: Settings, same: dict[str, Any]) -> None:
    append(database, [WHOLE])

    assert append(database, [replace(WHOLE, **same)]) == IngestCounts(known=1)


@pytest.mark.parametrize("order", [(CUT, WHOLE), (WHOLE, CUT)], ids=["cut first", "whole first"])
def test_03_of_a_cut_text_and_a_whole_one_the_longer_counts(database: Settings, order: tuple[AgentEvent, ...]) -> None:
    counts = [append(database, [event]) for event in order]

    assert counts == [IngestCounts(added=1), IngestCounts(also_seen=1)]
    assert counting(database) == [(3, "rejected")]


def test_03_a_difference_in_a_measure_is_a_conflict_kept_as_rejected(database: Settings) -> None:
    append(database, [WHOLE])
    other = replace(WHOLE, measures={"issues_found": 4, "duration_ms": 60_000})

    assert append(database, [other]) == IngestCounts(conflicts=1, rejected=1)
    assert counting(database) == [(3, "rejected")]
    assert fetched(database, "SELECT event_id FROM ml_learning.rejected_events") == [("e",)]
