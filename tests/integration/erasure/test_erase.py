"""What is erased is gone from every store, shared values are as if it had never been, and neither a crash nor an old log brings it back."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from detektor_pipelines import clock
from detektor_pipelines.catalog import view_named
from detektor_pipelines.clock import parse_instant
from detektor_pipelines.engine.as_of import read_values
from detektor_pipelines.engine.materialize import compute_days, materialize
from detektor_pipelines.engine.online import publish_online
from detektor_pipelines.erasure import erase as erasing
from detektor_pipelines.erasure.subject import Subject
from detektor_pipelines.errors import UserError
from detektor_pipelines.ingest.live.held import Held
from detektor_pipelines.ingest.live.writer import LiveWriter
from detektor_pipelines.language.records import AgentEvent, Rejection
from detektor_pipelines.settings import Settings
from detektor_pipelines.stack import binaries
from detektor_pipelines.stores.connections import connect, connect_arrow
from detektor_pipelines.stores.connections_redis import redis_client
from detektor_pipelines.stores.offline.rows import NewerKnowledgeError, publish, published_days, row_table
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.stores.raw_log.bulk import IngestCounts, append
from detektor_pipelines.stores.raw_log.live import ERASED, LiveLog
from detektor_pipelines.stores.raw_log.reader import begin_snapshot, read_events
from detektor_pipelines.stream.known_keys import LOOK_S
from detektor_pipelines.stream.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator

VIEW = view_named("code_review_features")
DAYS = [date(2026, 3, day) for day in (5, 6, 7)]
SESSION = "5f0c1b7e-0000-4d11-9c4e-feedfacecafe"
PROJECT = "zebra.shop-7"
USER = "zofia.kowalska@example.org"


def review(event_id: str, at: str, **changes: Any) -> AgentEvent:
    """A review of another session of the project `cli`."""
    instant = parse_instant(at)
    event = AgentEvent(
        event_id=event_id,
        agent_type="code-reviewer",
        raw_name="reviewer",
        operation="review",
        occurred_at=instant,
        known_at=instant,
        source="/logs/other.jsonl",
        project="cli",
        session_id="another-session",
        task_id=f"task of {event_id}",
        measures={"issues_found": 3, "duration_ms": 60_000},
        categories={"verdict": "approved"},
    )
    return replace(event, **changes)


OTHERS = [review(f"o{number}", f"2026-03-0{5 + number % 2}T{10 + number}:15:00Z") for number in range(6)]
OF_THE_SESSION = [
    review(
        f"s{number}",
        f"2026-03-05T{11 + number}:40:00Z",
        session_id=SESSION,
        source=f"/logs/{SESSION}.jsonl",
        categories={"verdict": "rejected"},
        measures={"issues_found": 900 + number},
    )
    for number in range(2)
]
OF_THE_PROJECT = [
    review(f"p{number}", f"2026-03-06T0{number}:40:00Z", project=PROJECT, measures={"issues_found": 70 + number}) for number in range(3)
]
OF_THE_USER = [review("u1", "2026-03-05T09:00:00Z", attributes={"by": {"user.email": USER}}, measures={"issues_found": 500})]


@pytest.fixture(autouse=True)
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the platform's clock at noon of the third day."""
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-07T12:00:00Z")


def published(settings: Settings, events: list[AgentEvent]) -> None:
    """Store events, compute the days, and put their newest values online."""
    append(settings, events)
    materialize(settings, VIEW, DAYS)
    publish_online(settings, VIEW)


def hashes(settings: Settings) -> dict[date, str]:
    """The hash over the rows of each published day."""
    with connect_arrow(settings) as connection:
        return {day.day: day.hash for day in published_days(connection, VIEW)}


def online_values(settings: Settings) -> dict[str, Any]:
    """The features of each agent_id that is online."""
    client = redis_client(settings)
    try:
        agents = sorted(online.agent_ids(client, settings.project, VIEW, 1_000))
        return {row.agent_id: dict(row.values) for row in online.read(client, settings.project, VIEW, agents) if row is not None}
    finally:
        client.close()


def plant(settings: Settings, token: str, agent_id: str) -> None:
    """Put a name into every other store that there is, in the form in which programs put it there."""
    home = settings.home
    with connect(settings) as connection:
        for statement in (
            "CREATE TABLE dagster.event_logs (id bigint PRIMARY KEY, event text)",
            "CREATE TABLE dagster.runs (id bigint PRIMARY KEY, run_body text)",
            "CREATE TABLE mlflow.tags (key text, run_uuid text, value text, PRIMARY KEY (key, run_uuid))",
            'CREATE TABLE feast."saved one" (agent_id text, event_timestamp timestamptz, note text, task json)',
            "CREATE SCHEMA learning",
            "CREATE TABLE learning.mine (words text[], said jsonb)",
        ):
            connection.execute(statement)
        said = json.dumps({"__class__": "Entry", "message": f"rows of {agent_id}", "of": [token, f"code-reviewer@{token}"]})
        connection.execute("INSERT INTO dagster.event_logs VALUES (1, %s)", (json.dumps({"inside": said}),))
        connection.execute("INSERT INTO dagster.runs VALUES (1, '{}')")
        connection.execute("INSERT INTO mlflow.tags VALUES ('note', 'r1', %s)", (f"| agent | {token} | {token} |",))
        connection.execute("INSERT INTO learning.mine VALUES (NULL, %s)", (json.dumps({"who": token}),))
        connection.execute(
            'INSERT INTO feast."saved one" VALUES (%s, %s, %s, NULL)', (agent_id, clock.from_us(OF_THE_SESSION[1].occurred_at), token)
        )
        connection.execute("""INSERT INTO feast."saved one" VALUES ('pisarz', now(), 'stays', NULL)""")
        connection.execute(
            "INSERT INTO ml_learning.predictions VALUES ('m', '1', 'run', %s, 'task of s0', now(), 'l', now(), 0.5, 0.5, 'd')", (agent_id,)
        )
    append(settings, (), [Rejection(f"/logs/{token}.jsonl", 3, "not JSON", f'{{"session_id": "{token}", "project": "{token}"')])
    for directory in ("logs", "spool", "mlflow-outbox", "servers/mlflow/artifacts/1/run/artifacts"):
        (home / directory).mkdir(parents=True, exist_ok=True)
    (home / "spool" / "hook-20260301.jsonl").write_text(
        json.dumps({"hook_event_name": "Stop", "session_id": token, "cwd": f"/srv/{token}"}) + "\n"
    )
    (home / "logs" / "serve.log").write_text(f'{{"asked": "{token}"}}\n{{"asked": "pisarz"}}\n')
    (home / "logs" / "serve.log.1").write_text(f"Traceback of code-reviewer@{token}\n")
    (home / "last-ingest.json").write_text(json.dumps({"files": {}, "paths": [f"/logs/{token}"]}))
    (home / "mlflow-outbox" / "1.json").write_text(json.dumps({"tags": {"who": token}}))
    (home / "report.html").write_text(f"<td>{token}</td>")
    artifacts = home / "servers" / "mlflow" / "artifacts" / "1" / "run" / "artifacts"
    (artifacts / "experiment.json").write_text(json.dumps({"labels": {"who": token}, "view": "code_review_features"}))
    at = pa.array([OF_THE_SESSION[1].occurred_at] * 2, pa.timestamp("us", "UTC"))
    pq.write_table(
        pa.table({"agent_id": [agent_id, "pisarz"], "task_id": [token, "t"], "event_timestamp": at}), artifacts / "labels.parquet"
    )
    client = redis_client(settings)
    try:
        client.hset(online.refused_key(settings.project, VIEW), agent_id, "1,1,x")
        client.xadd(f"feast:{settings.project}#reads", {"v": "code_review_features@x", "a": agent_id, "p": b"packed"})
        keys = [key.decode() for key in client.scan_iter("feast:*:*") if b"#" not in key]
        values = {key: base64.b64encode(client.get(key) or b"").decode() for key in keys}
    finally:
        client.close()
    (home / "static-features.json").write_text(json.dumps({"written_at": "2026-03-07T12:00:00Z", "values": values}))


def everything(settings: Settings) -> Iterator[tuple[str, bytes]]:
    """All that the stores hold: a dump of the database, Redis's keys and values, all files."""
    dump = subprocess.run([binaries.postgres("pg_dump"), "--inserts", "-d", settings.postgres_dsn], capture_output=True, check=True)
    yield "PostgreSQL", dump.stdout
    client = redis_client(settings)
    try:
        for key in client.scan_iter():
            yield "Redis", key + (client.dump(key) or b"")
        yield "Redis", repr(client.xrange(f"feast:{settings.project}#reads")).encode()
        yield "Redis", repr(client.hgetall(online.refused_key(settings.project, VIEW))).encode()
    finally:
        client.close()
    for path in settings.home.rglob("*"):
        if path.is_file():
            yield str(path.relative_to(settings.home)), str(path).encode() + path.read_bytes()
            if path.suffix == ".parquet":
                yield str(path), repr(pq.read_table(path).to_pydict()).encode()


def places_of(settings: Settings, token: str) -> list[str]:
    """Where a name still is."""
    return sorted({where for where, held in everything(settings) if token.encode() in held})


def test_a_session_is_gone_from_every_store_and_shared_values_are_as_if_it_had_never_been(
    servers: Settings, module_database: Settings
) -> None:
    published(servers, [*OTHERS, *OF_THE_SESSION])
    plant(servers, SESSION, "code-reviewer")
    before = online_values(servers)
    assert len(places_of(servers, SESSION)) >= 8

    done = erasing.erase(servers, Subject("session", SESSION), [VIEW])

    assert places_of(servers, SESSION) == []
    assert done.remaining == {}
    assert (done.removed["events"], done.removed["rejected events"], done.removed["predictions"]) == (2, 1, 1)
    append(module_database, OTHERS)
    materialize(module_database, VIEW, DAYS)
    assert hashes(servers) == hashes(module_database)
    assert online_values(servers) != before
    with connect(servers) as connection:
        kept = connection.execute("SELECT kind, finished_at IS NOT NULL, todo FROM ml_learning.erasures").fetchall()
        others = connection.execute('SELECT note FROM feast."saved one"').fetchall()
    assert kept == [("session", True, {})]
    assert others == [("stays",)]
    assert (servers.home / "logs" / "serve.log").read_text().splitlines()[1] == '{"asked": "pisarz"}'
    assert json.loads((servers.home / "last-ingest.json").read_text())["paths"] == ["/logs/erased"]
    artifacts = servers.home / "servers" / "mlflow" / "artifacts" / "1" / "run" / "artifacts"
    assert pq.read_table(artifacts / "labels.parquet")["agent_id"].to_pylist() == ["pisarz"]


def test_a_project_goes_with_its_agents_and_what_it_did_before_does_not_come_back(servers: Settings, module_database: Settings) -> None:
    published(servers, [*OTHERS, *OF_THE_PROJECT])
    plant(servers, PROJECT, f"code-reviewer@{PROJECT}")
    looked = erasing.look(servers, Subject("project", PROJECT))
    assert looked.removed["log: events"] == 3
    assert f"code-reviewer@{PROJECT}" in online_values(servers)

    done = erasing.erase(servers, Subject("project", PROJECT), [VIEW])

    assert places_of(servers, PROJECT) == []
    assert done.remaining == {}
    assert sorted(online_values(servers)) == ["code-reviewer", "code-reviewer@cli"]
    with connect(module_database) as connection:
        connection.execute("TRUNCATE ml_learning.agent_events, ml_learning.event_ids, ml_learning.partition_state")
        connection.execute(f'DROP TABLE IF EXISTS feast."{row_table(VIEW)}" CASCADE')
    append(module_database, OTHERS)
    materialize(module_database, VIEW, DAYS)
    assert hashes(servers) == hashes(module_database)

    later = review("p9", "2026-03-07T12:00:00.000001Z", project=PROJECT)
    assert append(servers, [*OF_THE_PROJECT, later]) == IngestCounts(added=1, erased=3)


def test_what_a_person_is_named_by_is_found_in_attributes_and_in_home_directories(servers: Settings) -> None:
    at_home = review("u2", "2026-03-05T08:00:00Z", source="/home/zofia.kowalska@example.org/log.jsonl")
    published(servers, [*OTHERS, *OF_THE_USER, at_home, review("u3", "2026-03-05T07:00:00Z", attributes={"by": f"{USER}.pl"})])
    plant(servers, USER, "code-reviewer")
    at_first = len(places_of(servers, USER))

    done = erasing.erase(servers, Subject("user", USER), [VIEW])

    left = [where for where, held in everything(servers) if USER.encode() in held.replace(f"{USER}.pl".encode(), b"")]
    assert (at_first >= 8, left) == (True, [])
    of_another = {"PostgreSQL: ml_learning.agent_events_y2026m03.attributes": 1}  # whose name goes on; it is told, for a person to look
    assert done.remaining == of_another
    with connect(servers) as connection:
        assert connection.execute("SELECT count(*) FROM ml_learning.agent_events WHERE event_id LIKE 'u%'").fetchone() == (1,)
    assert append(servers, [*OF_THE_USER, at_home]) == IngestCounts(erased=2)


def test_an_agent_of_a_project_goes_and_the_projects_other_agents_stay(servers: Settings) -> None:
    coder = review(
        "c1", "2026-03-05T08:00:00Z", agent_type="detektor-coder", operation="tool_call", measures={}, categories={"tool_name": "x"}
    )
    published(servers, [*OTHERS, *OF_THE_PROJECT, replace(coder, project=PROJECT)])

    done = erasing.erase(servers, Subject("agent-id", f"code-reviewer@{PROJECT}"), [VIEW])

    assert (done.removed["events"], done.remaining) == (3, {})
    with connect(servers) as connection:
        left = connection.execute("SELECT agent_type FROM ml_learning.agent_events WHERE project = %s", (PROJECT,)).fetchall()
    assert left == [("detektor-coder",)]


def test_what_waits_for_its_instant_goes_too(servers: Settings) -> None:
    held = Held(servers.home)
    held.hold([review("of its", "2026-03-08T12:01:00Z", project=PROJECT), review("of another", "2026-03-08T12:01:00Z")])
    subject = Subject("agent-id", f"code-reviewer@{PROJECT}")
    assert erasing.look(servers, subject).removed["files: held"] == 1

    done = erasing.erase(servers, subject, [VIEW])

    assert (done.removed["held events"], done.remaining) == (1, {})
    with LiveWriter(servers) as writer:
        assert writer.release(parse_instant("2026-03-09T00:00:00Z")) == 1
    with connect(servers) as connection:
        assert connection.execute("SELECT event_id FROM ml_learning.agent_events").fetchall() == [("of another",)]
        assert connection.execute("SELECT count(*) FROM ml_learning.rejected_events").fetchone() == (0,)


def test_a_live_writer_refuses_what_was_erased_and_what_names_it(servers: Settings) -> None:
    published(servers, [*OTHERS, *OF_THE_SESSION])
    erasing.erase(servers, Subject("session", SESSION), [VIEW])

    with psycopg.connect(servers.postgres_dsn, autocommit=True) as connection:
        log = LiveLog(connection)
        outcomes = log.append([OF_THE_SESSION[0], review("new", "2026-03-06T10:00:00Z")])
        assert [(each.status, each.reason) for each in outcomes] == [("rejected", ERASED), ("accepted", "")]
        assert log.keep([Rejection(f"/logs/{SESSION}.jsonl", 1, "not JSON"), Rejection("/logs/x.jsonl", 1, "not JSON")]) == 1
    assert append(servers, (), [Rejection("/logs/y.jsonl", 1, "cut off", f'{{"session_id":"{SESSION}"')]) == IngestCounts(erased=1)
    assert places_of(servers, SESSION) == []


def test_a_run_that_read_the_log_before_does_not_publish_what_it_knows(servers: Settings) -> None:
    append(servers, [*OTHERS, *OF_THE_SESSION])
    materialize(servers, VIEW, DAYS[:1])
    with connect_arrow(servers) as connection:
        snapshot = begin_snapshot(connection)
        events = read_events(connection, VIEW.agent, ("issues_found",), 0, 2**52)
        connection.rollback()
        assert events.num_rows == 8

        erasing.erase(servers, Subject("session", SESSION), [VIEW])

        with connect_arrow(servers) as reader:
            rows = compute_days(VIEW, _all_events(reader), DAYS[1:2], cutoff=None)
        with pytest.raises(NewerKnowledgeError, match="was erased from the log"):
            publish(connection, VIEW, DAYS[1:2], rows, snapshot)


def _all_events(connection: Any) -> pa.Table:
    from detektor_pipelines.compile.plan import plan

    return read_events(connection, VIEW.agent, plan(VIEW).columns, 0, 2**52)


@pytest.mark.parametrize(
    "step", ["online", *(pytest.param(step, marks=pytest.mark.long) for step in ("log", "stream", "days", "mentions", "files"))]
)
def test_a_kill_in_the_middle_leaves_an_erasure_that_the_same_command_ends(servers: Settings, step: str) -> None:
    published(servers, [*OTHERS, *OF_THE_SESSION])
    plant(servers, SESSION, "code-reviewer")
    child = os.fork()
    if not child:
        erasing.erase(
            servers, Subject("session", SESSION), [VIEW], tell=lambda now: os.kill(os.getpid(), signal.SIGKILL) if now == step else None
        )
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert places_of(servers, SESSION) != []
    with connect(servers) as connection:
        assert connection.execute("SELECT finished_at FROM ml_learning.erasures").fetchall() == [(None,)]

    done = erasing.erase(servers, Subject("session", SESSION), [VIEW])

    assert done.removed["events"] == 2
    assert places_of(servers, SESSION) == []
    with connect(servers) as connection:
        assert connection.execute("SELECT finished_at IS NULL FROM ml_learning.erasures").fetchall() == [(False,)]
        assert connection.execute("SELECT count(*) FROM ml_learning.partition_state").fetchone() == (len(DAYS),)


def test_the_command_asks_first_says_what_it_would_do_and_what_it_did(servers: Settings) -> None:
    append(servers, [*OTHERS, *OF_THE_SESSION])
    words = [sys.executable, "-m", "detektor_pipelines", "erase", "--session", SESSION, "--json"]
    looked = json.loads(subprocess.run([*words, "--dry-run"], capture_output=True, check=True, text=True).stdout)
    assert (looked["dry_run"], looked["removed"]["log: events"], looked["backups"]) == (True, 2, None)
    refused = subprocess.run(words, capture_output=True, check=False, text=True, stdin=subprocess.DEVNULL)
    assert (refused.returncode, "--yes" in refused.stderr) == (1, True)
    with connect(servers) as connection:
        assert connection.execute("SELECT count(*) FROM ml_learning.agent_events").fetchone() == (8,)


@pytest.mark.parametrize(
    ("kind", "name", "fits", "passes"),
    [
        ("project", "shop", "code-reviewer@shop", "code-reviewer@shop-2"),
        ("project", "a.b", '{"project": "a.b"}', '{"project": "a.bc"}'),
        ("project", "webshop", "in webshop.", "webshop.example"),
        ("project", "label", '{\\"project\\": \\"label\\"}', '{"label": 1}'),
        ("session", SESSION, f"/x/{SESSION}.jsonl", f"/x/{SESSION[:-1]}f.jsonl"),
        ("user", "zoë.m", '"zo\\u00eb.m"', "zoë.mx"),
        ("agent-id", "pisarz@shop", "pisarz@shop:", "pisarz@shopping"),
    ],
)
def test_a_name_is_told_from_longer_ones_and_from_words_of_programs(kind: Any, name: str, fits: str, passes: str) -> None:
    subject = Subject(kind, name)
    assert (subject.is_in(fits), subject.is_in(passes)) == (True, False)
    assert not subject.is_in(subject.without(fits))


def test_a_name_that_cannot_be_meant_is_refused() -> None:
    with pytest.raises(UserError, match="no agent reviewer"):
        Subject("agent-id", "reviewer@cli")
    with pytest.raises(UserError, match="is no name"):
        Subject("project", " ")


def test_a_stream_worker_forgets_what_it_had_counted(servers: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    published(servers, [*OTHERS, *OF_THE_SESSION])
    with Worker(servers, [VIEW]) as worker:
        worker.tick()
        erasing.erase(servers, Subject("session", SESSION), [VIEW])
        rightly = online_values(servers)
        with pytest.raises(UserError):
            worker.tick()
        worker.tick()
        append(servers, [review("after", "2026-03-07T11:59:00Z", measures={"issues_found": 1})])
        monkeypatch.setenv("DETEKTOR_NOW", "2026-03-07T12:00:01Z")
        for _ in range(3):
            worker.tick()
    with connect_arrow(servers) as connection:
        wanted = dict(
            zip((each.name for each in VIEW.features), read_values(connection, VIEW, clock.now_us())["code-reviewer"], strict=True)
        )
    assert online_values(servers)["code-reviewer"] == wanted
    assert wanted != rightly["code-reviewer"]


def test_a_stream_worker_puts_no_value_back_that_it_had_seen(servers: Settings) -> None:
    published(servers, [*OTHERS, *OF_THE_PROJECT])
    with Worker(servers, [VIEW]) as worker:
        worker.tick()

        def start_again(step: str) -> None:
            if step == "online":  # as it does by itself, while the days are computed
                with pytest.raises(UserError):
                    worker.tick()
                worker.tick()

        done = erasing.erase(servers, Subject("project", PROJECT), [VIEW], tell=start_again)
        with suppress(UserError):
            worker.tick()
        for _ in range(4):
            worker.tick()
            time.sleep(LOOK_S)
        worker.tick()
    assert done.remaining == {}
    assert f"code-reviewer@{PROJECT}" not in online_values(servers)


def test_an_admin_who_owns_no_table_may_erase(servers: Settings) -> None:
    published(servers, [*OTHERS, *OF_THE_SESSION])
    with connect(servers) as connection:
        connection.execute("CREATE ROLE eraser LOGIN PASSWORD 'throw-away' IN ROLE detektor_admin")
    try:
        parts = urlsplit(servers.postgres_dsn)
        url = urlunsplit(parts._replace(netloc=f"eraser:throw-away@{parts.netloc.rpartition('@')[2]}"))
        eraser = Settings(home=servers.home, external_postgres_url=url, external_redis_url=servers.external_redis_url)
        done = erasing.erase(eraser, Subject("session", SESSION), [VIEW])
    finally:
        with connect(servers) as connection:
            connection.execute("DROP ROLE eraser")
    assert (done.removed["events"], done.remaining, places_of(servers, SESSION)) == (2, {}, [])
