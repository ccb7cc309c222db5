from __future__ import annotations

import gc
import gzip
import json
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from detektor_pipelines.errors import UserError
from detektor_pipelines.ingest.last_run import last_run
from detektor_pipelines.ingest.readers.interface import context_of
from detektor_pipelines.ingest.readers.names import AgentNames
from detektor_pipelines.ingest.reading import Apart, Here, Records
from detektor_pipelines.ingest.run import IngestOptions, ingest
from detektor_pipelines.settings import Settings
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.raw_log.bulk import IngestCounts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from detektor_pipelines.ingest.reading import Message


def record(number: int, **fields: Any) -> dict[str, Any]:
    day = f"2026-03-{number % 28 + 1:02d}T10:00:00Z"
    return {"agent": "reviewer", "operation": "review", "occurred_at": day, "event_id": f"e{number}", "issues_found": number, **fields}


def write(path: Path, *records: dict[str, Any] | str) -> Path:
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in records)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def rejected(settings: Settings) -> list[tuple[Any, ...]]:
    with connect(settings) as connection:
        query = "SELECT split_part(source, '/', -1), line, reason FROM ml_learning.rejected_events ORDER BY source, line"
        return connection.execute(query).fetchall()


def test_a_directory_of_logs_is_read_once_however_often(database: Settings, tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", record(1), record(2, agent="stranger"), record(3, operation="feedback"))
    write(tmp_path / "b.jsonl.gz", record(4), record(1), '{"agent": torn')
    options = IngestOptions(names=AgentNames.load())
    first = ingest(database, [tmp_path], options)
    assert first.counts == IngestCounts(added=3, known=1, rejected=2)
    assert first.events == {("code-reviewer", "review"): 3, ("unmapped", "review"): 1}
    assert first.unmapped == {"stranger": 1}
    assert first.rejected == {"feedback has no issues_found": 1, "the line is torn or not JSON": 1}
    assert (first.files, first.lines, first.skipped) == ({"jsonl": 2}, 6, {})
    assert ingest(database, [tmp_path], options).counts == IngestCounts(known=4, rejected_known=2)
    assert rejected(database) == [("a.jsonl", 3, "feedback has no issues_found"), ("b.jsonl.gz", 3, "the line is torn or not JSON")]


def test_bad_lines_never_stop_a_run(database: Settings, tmp_path: Path) -> None:
    bad = [
        record(1, agent=7),
        record(2, duration_ms=-1),
        record(3, occurred_at="2999-01-01T00:00:00Z"),
        "not JSON",
        "\x00\x01",
        record(4, operation="juggle"),
        record(5, event_id="twice"),
        record(6, event_id="twice"),
    ]
    path = write(tmp_path / "a.jsonl", *bad, record(7))
    report = ingest(database, [path])
    assert report.counts == IngestCounts(added=2, conflicts=1, rejected=7)
    reasons = [reason for _, _, reason in rejected(database)]
    assert reasons[:6] == [
        "the field 'agent' is not text",
        "duration_ms is below its minimum 0",
        "occurred_at is in the future",
        "the line is torn or not JSON",
        "the line is torn or not JSON",
        "unknown operation",
    ]
    assert reasons[6].startswith("duplicate event_id with another body: issues_found 5 is stored, 6 here")
    assert ingest(database, [path]).counts == IngestCounts(known=2, conflicts=1, rejected_known=7)


def test_a_line_of_fifty_megabytes_is_read_or_rejected_and_the_rest_goes_in(database: Settings, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    long = json.dumps(record(1, attributes={"text": "x" * 50_000_000}))
    path.write_text(f"{json.dumps(record(2))}\n{long}\n{'y' * 70_000_000}\n{json.dumps(record(3))}\n")
    assert ingest(database, [path]).counts == IngestCounts(added=2, rejected=2)
    assert rejected(database) == [
        ("a.jsonl", 2, "attributes are longer than 16 KiB of JSON"),
        ("a.jsonl", 3, "the line is longer than 64 MiB"),
    ]


def test_files_that_tear_or_cannot_be_read_are_noted(database: Settings, tmp_path: Path) -> None:
    whole = gzip.compress("".join(json.dumps(record(number)) + "\n" for number in range(5000)).encode())
    (tmp_path / "torn.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    report = ingest(database, [tmp_path])
    assert 0 < report.counts.added < 5000
    assert [reason for *_, reason in rejected(database)] == ["the packed data are torn: what follows could not be read"]


def test_simulated_beside_real_needs_mix(database: Settings, tmp_path: Path) -> None:
    ingest(database, [write(tmp_path / "real.jsonl", record(1))])
    simulated = write(tmp_path / "simulated.jsonl", record(2, simulated=True))
    with pytest.raises(UserError, match="holds real events and these are simulated") as caught:
        ingest(database, [simulated])
    assert "--mix" in str(caught.value)
    assert ingest(database, [simulated], IngestOptions(mix=True)).counts == IngestCounts(added=1)


def test_a_better_table_of_names_repairs_history_by_reingest(database: Settings, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", record(1, agent="our-critic"))
    assert ingest(database, [path], IngestOptions(names=AgentNames.load())).unmapped == {"our-critic": 1}
    (tmp_path / "agents.toml").write_text('[agents]\n"our-critic" = "code-reviewer"\n')
    better = AgentNames.load(tmp_path / "agents.toml")
    assert ingest(database, [path], IngestOptions(names=better)).counts == IngestCounts(reread=1)
    assert ingest(database, [path], IngestOptions(names=better, reingest=True)).counts == IngestCounts(repaired=1)
    assert ingest(database, [path], IngestOptions(names=better, reingest=True)).counts == IngestCounts(known=1)
    with connect(database) as connection:
        history = connection.execute("SELECT revision, retracted, agent_type FROM ml_learning.agent_events ORDER BY revision").fetchall()
    assert history == [(1, False, "unmapped"), (2, True, "unmapped"), (3, False, "code-reviewer")]


def test_a_server_that_is_down_is_named_before_anything_is_read(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, postgres_port=1)
    with pytest.raises(UserError, match="PostgreSQL does not answer") as caught:
        ingest(settings, [write(tmp_path / "a.jsonl", record(1))])
    assert caught.value.fix == "Run `detektor up`."


def test_many_batches_are_all_stored(database: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detektor_pipelines.ingest.run.BATCH_EVENTS", 7)
    told: list[int] = []
    path = write(tmp_path / "a.jsonl", *(record(number) for number in range(100)))
    report = ingest(database, [path], IngestOptions(on_start=told.append))
    assert report.counts == IngestCounts(added=100)
    assert told == [path.stat().st_size]


def test_cycles_are_looked_for_rarely_while_a_run_stores(database: Settings, tmp_path: Path) -> None:
    before, meanwhile = gc.get_threshold(), []
    path = write(tmp_path / "a.jsonl", record(1))
    ingest(database, [path], IngestOptions(on_start=lambda _: meanwhile.append(gc.get_threshold())))
    assert meanwhile[0] > before
    assert gc.get_threshold() == before


def test_an_error_of_the_store_in_the_background_reaches_the_person(database: Settings, tmp_path: Path) -> None:
    with connect(database) as connection:
        connection.execute("DROP TABLE ml_learning.event_ids")
    with pytest.raises(UserError, match="lacks a table of this version") as caught:
        ingest(database, [write(tmp_path / "a.jsonl", record(1))])
    assert caught.value.fix == "Run `detektor up`: it creates what is missing."


COPILOT = [
    {"type": "session.start", "id": "1", "parentId": None, "timestamp": "2026-03-01T10:00:00Z", "data": {"sessionId": "s", "context": {}}},
    {
        "type": "assistant.message",
        "id": "2",
        "parentId": "1",
        "timestamp": "2026-03-01T10:00:01Z",
        "data": {"messageId": "m-x", "outputTokens": 5},
    },
    {"type": "brand-new.kind", "id": "3", "parentId": "2", "timestamp": "2026-03-01T10:00:02Z", "data": {}},
]


def test_a_run_says_what_it_read_by_whom_and_everything_that_it_did_not(database: Settings, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    write(logs / "mixed.jsonl", record(1), *COPILOT, record(2, agent="stranger"), "torn", record(3, outcome="success", verdict="approved"))
    write(logs / "prompts.jsonl", {"display": "x", "timestamp": 1, "project": "p"})
    (logs / "picture.png").write_bytes(b"x")
    database.home.mkdir(parents=True)
    report = ingest(database, [logs], IngestOptions(names=AgentNames.load()))
    assert (report.counts.added, report.lines, report.files) == (4, 7, {"jsonl": 1})
    assert report.by_agent == {"code-reviewer": {"review": 2}, "unmapped": {"review": 1, "chat": 1}}
    assert report.unmapped == {"stranger": 1, "main": 1}
    assert report.strange == {("copilot", "brand-new.kind"): 1}
    assert report.rejected == {"the line is torn or not JSON": 1}
    assert report.skipped == {str(logs / "prompts.jsonl"): "Claude Code's list of prompts: it holds no events"}
    assert report.others == {".png": 1}
    nulls = {(each.source, each.operation): (each.events, each.shares) for each in report.nulls}
    events, shares = nulls["jsonl", "review"]
    assert (events, shares["issues_found"], shares["outcome"], shares["model"]) == (3, 0.0, 0.6667, 1.0)
    assert nulls["copilot", "chat"][1]["output_tokens"] == 0.0
    kept = last_run(database.home)
    assert kept is not None
    assert kept["unmapped_names"] == {"stranger": 1, "main": 1}
    assert kept["not_understood"] == {"copilot: brand-new.kind": 1}
    assert kept["skipped_because"] == {"Claude Code's list of prompts: it holds no events": 1}
    assert (kept["events"], kept["other_files"], kept["rejected_by_reason"]) == (4, 1, {"the line is torn or not JSON": 1})


class Torn:
    """A reading whose process dies behind its first records."""

    def __init__(self, whole: Here, records: int) -> None:
        self.started = whole.started
        self._whole = whole
        self._records = records

    def messages(self, on_bytes: Callable[[int], None]) -> Iterator[Message]:
        for message in self._whole.messages(on_bytes):
            if isinstance(message, Records):
                yield Records(message.reader, message.events[: self._records])
                os.kill(os.getpid(), signal.SIGKILL)
            yield message


def test_what_a_killed_reader_did_not_send_comes_with_the_next_run(
    database: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.jsonl", *map(record, range(1, 9)))
    monkeypatch.setattr("detektor_pipelines.ingest.run.BATCH_EVENTS", 1)
    context = context_of([path], None, None)
    with Apart(Torn(Here([path], context), 3)) as reading, pytest.raises(UserError, match="ended too soon"):
        ingest(database, [path], reading=reading)
    with Apart(Here([path], context)) as reading:
        report = ingest(database, [path], reading=reading)
    assert report.counts == IngestCounts(added=5, known=3)
    assert report.lines == 8
