"""What comes in live, bent: the hook's input, its notes and its state, events and OpenTelemetry over HTTP."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any, Final

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.asgi import post
from support.examples import examples
from support.mangled import STRANGE, bent, lines_of, not_for_ever, written
from support.valid_records import HOOKS, OTLP, OWN

from detektor_pipelines import hook
from detektor_pipelines.ingest.checks import problem
from detektor_pipelines.ingest.live import http
from detektor_pipelines.ingest.live.hook_records import HookReader
from detektor_pipelines.ingest.live.spool import STATE_FILE, Spool
from detektor_pipelines.ingest.masking import Masker
from detektor_pipelines.ingest.readers.names import AgentNames
from detektor_pipelines.language.records import AgentEvent, Rejection
from detektor_pipelines.settings import Settings
from detektor_pipelines.stores.raw_log.live import STATUSES, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from starlette.applications import Starlette

AT: Final = 1_772_704_800_000_000_000
NAMES: Final = AgentNames.load()


class Taken:
    """Takes the place of the writer: judges as it does, and stores nothing."""

    records: list[AgentEvent | Rejection]

    def __init__(self, *_: Any, **__: Any) -> None:
        self._masker = Masker(lambda: b"key")
        self.records = []

    def release(self) -> int:
        return 0

    def close(self) -> None:
        """Have no connection."""

    def write(self, records: Sequence[AgentEvent | Rejection]) -> list[Outcome]:
        masked = [self._masker.record(each) for each in records]
        self.records += masked
        found = [each.reason if isinstance(each, Rejection) else (problem(each) or (None,))[0] for each in masked]
        return [Outcome(each.event_id, "rejected" if reason else "accepted", reason) for each, reason in zip(masked, found, strict=True)]


# The hook -------------------------------------------------------------------------------------------------------------------


@given(lines_of(HOOKS) | st.lists(st.binary(max_size=200), max_size=3))
def test_the_hook_writes_one_line_that_can_be_read(texts: list[bytes]) -> None:
    for text in texts:
        with not_for_ever():
            line = hook.line_of(text, AT)
        assert line.isascii()
        assert b"\n" not in line
        assert len(line) <= hook.LINE_LIMIT
        assert json.loads(line)[hook.TIME] == AT


@settings(max_examples=examples(20), suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(lines_of(HOOKS), STRANGE)
def test_a_note_is_events_a_rejection_or_remembered(texts: list[bytes], state: Any) -> None:
    agents: dict[str, Any] = {}
    reader, writer = HookReader(NAMES, agents, {}), Taken()
    for text in (*texts, *[written(record) for record in HOOKS], written(state)):
        for line in (hook.line_of(text, AT), text):
            with not_for_ever():
                writer.write(reader.read(line))
    with not_for_ever():
        writer.write(reader.overdue(AT // 1000 + 10**12))
    assert not any("stop" in agent for agent in agents.values())


@settings(max_examples=examples(20), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(data=st.data())
def test_a_spool_is_drained_whatever_its_state_says(data: st.DataObject, place: Path) -> None:
    spool, notes = place / "spool", [hook.line_of(written(record), AT) for record in HOOKS]
    for file in [*spool.glob("*")] if spool.is_dir() else []:
        file.unlink()
    spool.mkdir(exist_ok=True)
    log = spool / "hook-20260305.jsonl"
    log.write_bytes(b"".join(b"\n" + note + b"\n" for note in notes))
    writer = Taken()
    first = Spool(Settings(home=place), spool).drain(writer)  # type: ignore[arg-type]
    assert first.lines == len(notes)
    state = spool / STATE_FILE
    state.write_bytes(written(data.draw(bent(json.loads(state.read_bytes())))))
    log.write_bytes(b"".join(b"\n" + line + b"\n" for line in data.draw(lines_of(HOOKS))))
    with not_for_ever():
        again = Spool(Settings(home=place), spool).drain(writer)  # type: ignore[arg-type]
    assert again.lines <= len([line for line in log.read_bytes().split(b"\n") if line.strip()]) if log.exists() else True
    assert json.loads(state.read_bytes())


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("live")


# Over HTTP ------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def collector(place: Path) -> Iterator[Starlette]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(http, "LiveWriter", Taken)
        yield http.app(Settings(home=place))


@settings(max_examples=examples(20), suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=st.data())
def test_a_request_of_events_is_answered_item_by_item(data: st.DataObject, collector: Starlette) -> None:
    lines = data.draw(lines_of(OWN))
    kind = data.draw(st.sampled_from(("application/json", "application/x-ndjson")))
    body = (
        b"\n".join(lines) if kind != "application/json" else data.draw(st.sampled_from((b"[" + b",".join(lines) + b"]", b"".join(lines))))
    )
    packed = data.draw(st.sampled_from((False, False, True)))
    with not_for_ever():
        status, answer = post(collector, "/v1/events", gzip.compress(body, 1) if packed else body, kind, "gzip" if packed else "identity")
    told = json.loads(answer)
    assert status in {200, 400, 413}
    if status == 200:
        assert len(told["items"]) == sum(told[each] for each in STATUSES)
        assert kind == "application/json" or len(told["items"]) >= sum(bool(line.strip(b"\x00 \r\n\t")) for line in body.split(b"\n"))
    else:
        assert told["detail"]


@settings(max_examples=examples(20), suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=st.data())
def test_an_export_of_logs_is_answered(data: st.DataObject, collector: Starlette) -> None:
    body = written(data.draw(bent(OTLP)))
    with not_for_ever():
        status, answer = post(collector, "/v1/logs", body, "application/json")
    assert status in {200, 400, 413}
    assert isinstance(json.loads(answer), dict)


@settings(max_examples=examples(20), suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=st.data())
def test_a_binary_export_of_logs_is_answered(data: st.DataObject, collector: Starlette) -> None:
    from google.protobuf.json_format import ParseDict
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

    body = bytearray(ParseDict(OTLP, ExportLogsServiceRequest()).SerializeToString())
    for _ in range(data.draw(st.integers(0, 8))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    with not_for_ever():
        status, _ = post(collector, "/v1/logs", bytes(body), "application/x-protobuf")
    assert status in {200, 400}


HOSTILE: Final = {
    "many events": ("/v1/events", "application/json", b"[" + b"0," * 2_000_000 + b"0]"),
    "many lines": ("/v1/events", "application/x-ndjson", b"0\n" * 2_000_000),
    "a long name": ("/v1/events", "application/json", b'{"' + b"x" * 4_000_000 + b'":1}'),
    "other names": ("/v1/events", "application/x-ndjson", b"".join(b'{"outcom%d":1}\n' % (number % 50) for number in range(9_000))),
    "many logs": ("/v1/logs", "application/json", b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[' + b"{}," * 1_000_000 + b"{}]}]}]}"),
    "many scopes": ("/v1/logs", "application/json", b'{"resourceLogs":[{"scopeLogs":[' + b"{}," * 1_000_000 + b"{}]}]}"),
    "many attributes": (
        "/v1/logs",
        "application/json",
        b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"attributes":[' + b'{"key":"a","value":{"intValue":1}},' * 200_000 + b"{}]}]}]}]}",
    ),
    "deep": ("/v1/events", "application/json", b"[" * 4_000_000),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_request_does_not_hold_the_others_up(name: str, collector: Starlette) -> None:
    path, kind, body = HOSTILE[name]
    with not_for_ever():
        status, answer = post(collector, path, body, kind)
    assert status in {200, 400, 413}
    assert isinstance(orjson.loads(answer), dict)


def test_what_stands_behind_a_gzip_stream_is_not_dropped(collector: Starlette) -> None:
    one = gzip.compress(orjson.dumps(OWN[0]))
    for more in (one, b"x"):
        status, answer = post(collector, "/v1/events", one + more, "application/json", "gzip")
        assert (status, "one gzip stream" in orjson.loads(answer)["detail"]) == (400, True)


def test_one_strange_log_record_costs_the_others_nothing(collector: Starlette) -> None:
    content = orjson.loads(orjson.dumps(OTLP))
    records = content["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    records[0]["timeUnixNano"] = "²"
    records[2]["attributes"][3]["value"] = {"stringValue": ["529"]}
    status, answer = post(collector, "/v1/logs", orjson.dumps(content), "application/json")
    assert (status, orjson.loads(answer)["partialSuccess"]["rejectedLogRecords"]) == (200, "3")
    content["resourceLogs"][0]["scopeLogs"].append({"logRecords": None, "scope": None})
    assert post(collector, "/v1/logs", orjson.dumps(content), "application/json")[0] == 200
    content["resourceLogs"][0]["scopeLogs"].append({"logRecords": {"a": 1}})
    assert post(collector, "/v1/logs", orjson.dumps(content), "application/json")[0] == 400


def test_a_report_of_any_signs_is_a_line_that_is_read() -> None:
    for sign in ("x", "ż", "語", "🙂", "\x01"):
        record = {**HOOKS[4], "last_assistant_message": sign * 40_000, "tool_response": {"agentId": sign * 9_000, "status": sign * 9_000}}
        record["tool_response"]["content"] = [{"type": "text", "text": sign * 40_000}]
        line = hook.line_of(orjson.dumps(record), AT)
        assert len(line) <= hook.LINE_LIMIT
