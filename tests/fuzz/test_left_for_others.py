"""What our programs leave for each other, bent: reports of stream workers in Redis, the mark of a restore. Nothing ends in a traceback."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.examples import examples
from support.mangled import bent, not_for_ever, torn, written

from detektor_pipelines.cli_commands import restart
from detektor_pipelines.compile.loaded import combined_hash, definitions
from detektor_pipelines.orchestration.assets.online import of_workers
from detektor_pipelines.recovery import restore
from detektor_pipelines.stores.connections_redis import redis_client
from detektor_pipelines.stream import run
from detektor_pipelines.stream.report import report
from detektor_pipelines.stream.worker import Health
from detektor_pipelines.versions import processes

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings

REPORT = report(Health(shards=frozenset((0, 1))))
MARK = {"backup": "20260305T100000Z-1a2b", "target": "/mnt/back ups"}
FIXTURES = settings(
    max_examples=examples(25), suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], deadline=None
)


def content_of(record: object) -> st.SearchStrategy[bytes]:
    """Draw a JSON text that is bent, or torn, or both."""
    text = bent(record).map(written)
    return text | text.flatmap(torn) | torn(written(record))


@FIXTURES
@given(content=content_of(REPORT))
def test_a_report_in_redis(content: bytes, redis_db: Settings, caplog: pytest.LogCaptureFixture) -> None:
    caplog.clear()
    with redis_client(redis_db) as client:
        client.set(run._key(redis_db, "a"), content)
        client.set(run._key(redis_db, "b"), json.dumps(REPORT))
    with not_for_ever():
        found = run.workers(redis_db)
        said = processes._workers(redis_db)
        of_workers(found)
        restart._await_values(redis_db, combined_hash(), pytest.fail)
    assert found[-1] == json.loads(json.dumps(REPORT)), "the one beside it is read"
    assert len(said) == len(found)
    assert len(found) == 2 or "is left out" in caplog.text


@FIXTURES
@given(content=content_of(definitions()))
def test_what_another_program_answers_at_a_port_of_ours(content: bytes) -> None:
    try:
        said = json.loads(content)
    except (ValueError, RecursionError):
        said = None
    found = processes.process_of("collect", "detektor collect", "127.0.0.1:4318", said)
    assert found.hash is None or isinstance(found.hash, str)
    assert found.words or found.hash == combined_hash()


@FIXTURES
@given(content=content_of(MARK))
def test_the_mark_of_a_restore(content: bytes, settings: Settings) -> None:
    settings.home.mkdir(exist_ok=True)
    (settings.home / restore.MARK).write_bytes(content)
    with not_for_ever():
        again = restore.interrupted(settings)
    assert again is not None, "a mark says that there was one, whatever stands in it"
    words = shlex.split(again)
    assert words[:3] == ["detektor", "backup", "restore"]
    assert words[3:] == ["--replace"] or (words[3], words[5], len(words)) == ("--backup", "--replace", 7)


def test_the_mark_names_the_backup(settings: Settings) -> None:
    settings.home.mkdir()
    assert restore.interrupted(settings) is None
    (settings.home / restore.MARK).write_text(json.dumps(MARK))
    assert shlex.split(restore.interrupted(settings) or "") == [
        *("detektor", "backup", "restore", "--backup", MARK["backup"], "--replace", MARK["target"])
    ]
