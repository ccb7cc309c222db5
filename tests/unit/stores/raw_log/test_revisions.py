"""When a revision is known: of a live event when its record came, of history from files when the event happened."""

from __future__ import annotations

from typing import Any

import pytest

from detektor_pipelines.stores.raw_log.duplicates import revisions

OCCURRED, STORED, LATER = 1_000, 5_000, 9_000


def row(known: int, ingested: int, **changes: Any) -> dict[str, Any]:
    named = {"event_id": "e", "agent_type": "code-reviewer", "project": "p", "occurred_at": OCCURRED, "revision": 1, "retracted": False}
    return {**named, "known_at": known, "ingested_at": ingested, "verdict": None, **changes}


LIVE, HISTORY = row(STORED, STORED), row(OCCURRED, STORED)
AT_THE_VERY_INSTANT = row(OCCURRED, OCCURRED)
"""A live record whose clock stood at the event's own instant."""


@pytest.mark.parametrize(
    ("stored", "incoming", "known"),
    [
        (LIVE, row(LATER, LATER), LATER),
        (LIVE, row(OCCURRED, LATER), LATER),  # a file says more than what was heard live
        (HISTORY, row(OCCURRED, LATER), OCCURRED),
        (HISTORY, row(LATER, LATER), LATER),
        (AT_THE_VERY_INSTANT, row(LATER, LATER), LATER),
        (AT_THE_VERY_INSTANT, row(OCCURRED, LATER), LATER),
    ],
)
def test_a_revision_is_known_when_the_platform_learnt_it(stored: dict[str, Any], incoming: dict[str, Any], known: int) -> None:
    (revised,) = revisions(stored, {**incoming, "verdict": "approved"})

    assert (revised["revision"], revised["known_at"], revised["ingested_at"], revised["verdict"]) == (2, known, LATER, "approved")


@pytest.mark.parametrize(("stored", "known"), [(LIVE, LATER), (HISTORY, OCCURRED)])
def test_an_event_that_leaves_its_key_is_taken_back_when_the_platform_learnt_it(stored: dict[str, Any], known: int) -> None:
    tombstone, moved = revisions(stored, row(OCCURRED, LATER, project="q"))

    assert (tombstone["revision"], tombstone["retracted"], tombstone["project"], tombstone["known_at"]) == (2, True, "p", known)
    assert (moved["revision"], moved["retracted"], moved["project"], moved["known_at"]) == (3, False, "q", known)
    assert tombstone["ingested_at"] == LATER


def test_history_that_moves_in_time_is_known_when_it_happened_in_either_place() -> None:
    tombstone, moved = revisions(HISTORY, row(OCCURRED + 70, LATER, occurred_at=OCCURRED + 70))

    assert (tombstone["known_at"], moved["known_at"]) == (OCCURRED, OCCURRED + 70)
