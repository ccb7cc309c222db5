from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from detektor_pipelines.clock import now_us, to_text
from detektor_pipelines.ingest.live.writer import LiveWriter
from detektor_pipelines.ingest.masking import KEY_FILE, Masker, key_of, pseudonym
from detektor_pipelines.ingest.run import ingest
from detektor_pipelines.language.records import AgentEvent, Rejection

if TYPE_CHECKING:
    from pathlib import Path

    from detektor_pipelines.settings import Settings

KEY = "gh" + "p_" + "a1B2" * 9
AT = now_us() - 3_600_000_000
SECRETS = (KEY, "ada.l@", "zborowska", "Juniper9")


def event(**changed: Any) -> AgentEvent:
    given: dict[str, Any] = {
        "event_id": f"work:{KEY}",
        "raw_name": "reviewer for ada.l@example.org",
        "project": f"shop-{KEY.lower()}",
        "session_id": "ada.l@example.org",
        "task_id": f"task/{KEY}",
        "source": "/home/zborowska/.claude/projects/-home-zborowska-shop/a.jsonl",
        "categories": {"verdict": "approved", "model": f"m {KEY}"},
        "attributes": {"evidence": "password: Juniper9", "user": "zborowska", "deep": {"list": [f"see {KEY}"]}, f"{KEY}": 1},
        "measures": {"issues_found": 1},
    }
    given |= changed
    return AgentEvent(agent_type="code-reviewer", operation="review", occurred_at=AT, **given)


def everything(settings: Settings) -> str:
    with psycopg.connect(settings.postgres_dsn) as connection:
        rows = [
            connection.execute(f"SELECT coalesce(json_agg(t)::text, '') FROM ml_learning.{table} AS t").fetchone()
            for table in ("agent_events", "event_ids", "rejected_events")
        ]
    return " ".join(str(row[0]) for row in rows if row)


def test_nothing_of_a_record_is_stored_unmasked_whichever_way_it_comes(database: Settings) -> None:
    with LiveWriter(database) as writer:
        outcomes = writer.write(
            [
                event(),
                event(event_id="bad", measures={"issues_found": -1}),
                Rejection(f"/home/zborowska/{KEY}", 3, f"what is {KEY}", "pwd=Juniper9", KEY),
            ]
        )
        assert [outcome.status for outcome in outcomes] == ["accepted", "rejected", "rejected"]
        # A record that contradicts the first is kept whole among the conflicts, and no plainer than the event.
        (conflict,) = writer.write([event(measures={"issues_found": 2})])
        assert conflict.status == "rejected"
        assert writer.write([event()])[0].status == "known"
    kept = everything(database)
    assert [secret for secret in SECRETS if secret in kept or secret.lower() in kept.lower()] == []
    assert pseudonym(key_of(database.home), "zborowska") in kept


def test_files_give_the_same_text_and_the_same_identity_as_live(database: Settings, tmp_path: Path) -> None:
    record = {
        "event_id": f"work:{KEY}",
        "agent": "code-reviewer",
        "operation": "review",
        "occurred_at": to_text(AT),
        "session_id": "ada.l@example.org",
        "verdict": "approved",
        "attributes": {"note": f"see {KEY}"},
    }
    file = tmp_path / "log.jsonl"
    file.write_text(json.dumps(record) + "\n", encoding="utf-8")
    report = ingest(database, [file])
    if not report.counts.added:
        pytest.fail(str(report.rejected))
    kept = everything(database)
    assert KEY not in kept
    masked = Masker.of(database).name(f"work:{KEY}")
    assert masked in kept
    assert "ada.l@" not in kept
    # The same record, heard live, is the same event.
    with LiveWriter(database) as writer:
        live = event(attributes={"note": f"see {KEY}"}, project=None, task_id=None, measures={}, categories={"verdict": "approved"})
        assert [outcome.event_id for outcome in writer.write([live])] == [masked]
    with psycopg.connect(database.postgres_dsn) as connection:
        assert connection.execute("SELECT count(*) FROM ml_learning.event_ids").fetchone() == (1,)


def test_the_key_is_the_owners_alone_and_stays(tmp_path: Path) -> None:
    home = tmp_path / "home"
    key = key_of(home)
    assert stat.S_IMODE((home / KEY_FILE).stat().st_mode) == 0o600
    assert (key_of(home), len(key)) == (key, 64)
    assert key_of(tmp_path / "another") != key


def test_two_names_stay_two_and_the_same_stays_the_same() -> None:
    masker = Masker(lambda: b"k" * 64)
    one, other = (masker.name(f"work:{KEY}{end}") for end in ("A1", "B2"))
    assert one != other
    assert one == Masker(lambda: b"k" * 64).name(f"work:{KEY}A1")
    assert one != Masker(lambda: b"l" * 64).name(f"work:{KEY}A1")
    assert masker.name(one) == one


def test_what_holds_nothing_is_the_event_itself() -> None:
    plain = AgentEvent(
        "tool:toolu_01Ab", "code-reviewer", "reviewer", "tool_call", AT, "log.jsonl", session_id="s", categories={"tool_name": "Bash"}
    )
    assert Masker(lambda: b"k" * 64).event(plain) is plain
