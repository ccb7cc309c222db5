"""Rule 24: transaction ids belong to one cluster and timeline; a log that is moved to another goes on there as if nothing had happened."""

from __future__ import annotations

import subprocess
import sys
import time
from itertools import count as numbers
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from support import clusters
from support.log_rows import insert
from support.rule_log import days_of, run, stale, stored
from support.rule_views import AGENT, happened, view_of

from detektor_pipelines.clock import parse_instant
from detektor_pipelines.engine.online import publish_online
from detektor_pipelines.errors import UserError
from detektor_pipelines.ingest.live.writer import LiveWriter
from detektor_pipelines.language import count, days
from detektor_pipelines.language.records import AgentEvent
from detektor_pipelines.quality.parity.check import check
from detektor_pipelines.settings import Settings
from detektor_pipelines.stack.servers import embedded
from detektor_pipelines.stores import cluster
from detektor_pipelines.stores.connections import connect, connect_arrow
from detektor_pipelines.stores.offline.staleness import days_to_materialize, stale_days
from detektor_pipelines.stores.offline.staleness_watch import StalenessWatch
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.stores.raw_log.bulk import append
from detektor_pipelines.stores.raw_log.months import ensure_months
from detektor_pipelines.stores.raw_log.volume import log_volume
from detektor_pipelines.stream.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

VIEW = view_of(number=(count(), days(7)), name="moved_features")
FIRST, TODAY, NOW = "2026-03-01", "2026-03-08", "2026-03-08T10:05:00Z"
_numbers = numbers(1)


def at_address(settings: Settings, postgres: str) -> Settings:
    """The settings with PostgreSQL at another address."""
    return Settings(home=settings.home, external_postgres_url=postgres, external_redis_url=settings.external_redis_url)


def database_of(settings: Settings) -> str:
    return settings.postgres_database


@pytest.fixture(scope="module")
def younger(postgres_server: embedded.PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[embedded.PostgresServer]:
    """A second cluster, whose transaction ids lie thousands behind those of the first."""
    clusters.use_up_transactions(postgres_server, 6_000)
    with embedded.start_postgres(tmp_path_factory.mktemp("younger")) as server:
        yield server


@pytest.fixture
def week(servers: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A week with a review a day, published offline and online."""
    monkeypatch.setenv("DETEKTOR_NOW", NOW)
    with connect_arrow(servers) as connection:
        ensure_months(connection, {"2026-03"})
    insert(servers, [happened(f"2026-03-0{day} 08:00", event_id=f"review {day}") for day in range(1, 8)])
    run(servers, VIEW, FIRST, TODAY)
    publish_online(servers, VIEW)
    assert stale(servers, VIEW) == []
    return servers


@pytest.fixture
def move(week: Settings, younger: embedded.PostgresServer, tmp_path: Path) -> Iterator[Callable[[], Settings]]:
    """What dumps the log, when it is first called, and restores it on the other cluster; nothing of ours has connected there yet."""
    made: list[str] = []
    file = tmp_path / "dump"

    def dump_and_restore() -> Settings:
        made.append(f"restored_{next(_numbers)}")
        return at_address(week, clusters.restore(file if len(made) > 1 else clusters.dump(week.postgres_dsn, file), younger, made[-1]))

    yield dump_and_restore
    for name in made:
        younger.sql(f"DROP DATABASE {name} WITH (FORCE)")


def review(event_id: str, at: str) -> AgentEvent:
    return AgentEvent(event_id=event_id, agent_type=AGENT, raw_name=AGENT, operation="review", occurred_at=parse_instant(at), source="test")


def served(settings: Settings) -> Any:
    client = online.redis_client(settings)
    try:
        (row,) = online.read(client, settings.project, VIEW, [AGENT])
    finally:
        client.close()
    return row and row.values["number"]


def life(settings: Settings) -> cluster.Life:
    with connect(settings) as connection:
        return cluster.life(connection)


def one(settings: Settings, statement: str) -> Any:
    """Ask without any of the product's code in between."""
    with psycopg.connect(settings.postgres_dsn) as connection:
        row = connection.execute(statement).fetchone()
        assert row is not None
        return row[0]


def span(first: str, last: str) -> list[str]:
    return [day.isoformat() for day in days_of(first, last)]


def test_24_example_a_restored_log_has_no_day_to_compute(week: Settings, move: Callable[[], Settings]) -> None:
    highest = one(week, "SELECT max(xid)::text::bigint FROM ml_learning.agent_events")
    restored = move()
    assert one(restored, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint") < highest

    assert stale(restored, VIEW) == []
    with connect(restored) as connection:
        assert days_to_materialize(connection, VIEW, days_of(FIRST, "2026-03-07")) == []
    assert {day.status for day in run(restored, VIEW, FIRST, TODAY).days} == {"unchanged"}
    assert stale(restored, VIEW) == []
    assert stored(restored, VIEW) == stored(week, VIEW)
    assert life(week).epoch == 1 < life(restored).epoch


def test_24_example_the_stream_counts_each_event_once(move: Callable[[], Settings]) -> None:
    restored = move()
    with Worker(restored, [VIEW]) as worker:
        ticks = [worker.tick() for _ in range(4)]
        assert (ticks, served(restored)) == ([0, 0, 0, 0], 6)
        append(restored, [review("after", "2026-03-08 09:00")])
        assert [worker.tick() for _ in range(3)] == [1, 0, 0]
    assert served(restored) == 7
    (parity,) = check(restored, [VIEW], 10)
    assert parity.compared > 0
    assert parity.mismatches == []


def test_24_what_was_late_at_the_dump_is_late_after_the_restore(week: Settings, move: Callable[[], Settings]) -> None:
    insert(week, [happened("2026-03-04 10:00", event_id="late")])
    assert stale(week, VIEW) == span("2026-03-04", TODAY)
    restored = move()

    assert stale(restored, VIEW) == span("2026-03-04", TODAY)
    run(restored, VIEW, "2026-03-04", TODAY)
    assert stale(restored, VIEW) == []


def test_24_what_is_added_afterwards_makes_exactly_its_days_stale(move: Callable[[], Settings]) -> None:
    restored = move()
    append(restored, [review("new", "2026-03-06 10:00")])

    assert stale(restored, VIEW) == span("2026-03-06", TODAY)
    run(restored, VIEW, "2026-03-06", TODAY)
    assert stale(restored, VIEW) == []


def test_24_what_is_under_way_at_a_publication_is_found_after_a_move_too(move: Callable[[], Settings]) -> None:
    restored = move()
    life(restored)
    with psycopg.connect(restored.postgres_dsn) as slow:
        slow.execute(
            "INSERT INTO ml_learning.agent_events (event_id, revision, agent_type, raw_name, operation, occurred_at, known_at, ingested_at,"
            " derived, simulated, source, reader_revision) VALUES ('slow', 1, 'code-reviewer', 'x', 'review', '2026-03-06 10:00+00',"
            " '2026-03-06 10:00+00', now(), false, false, 'test', 1)"
        )
        insert(restored, [happened("2026-03-06 11:00", event_id="quick")])
        run(restored, VIEW, FIRST, TODAY)
        with Worker(restored, [VIEW]) as worker:
            worker.tick()
            assert worker.tick() == 0
            slow.commit()
            assert [worker.tick(), worker.tick()] == [1, 0]

    assert stale(restored, VIEW) == span("2026-03-06", TODAY)
    run(restored, VIEW, FIRST, TODAY)
    assert stale(restored, VIEW) == []


@pytest.mark.parametrize("way", ["in bulk", "live"])
def test_24_whoever_adds_first_adds_above_all_that_is_there(move: Callable[[], Settings], way: str) -> None:
    restored = move()
    if way == "live":
        with LiveWriter(restored) as writer:
            assert [each.status for each in writer.write([review("first", "2026-03-06 10:00")])] == ["accepted"]
    else:
        append(restored, [review("first", "2026-03-06 10:00")])

    assert one(restored, "SELECT event_id FROM ml_learning.agent_events ORDER BY xid DESC LIMIT 1") == "first"
    assert stale(restored, VIEW) == span("2026-03-06", TODAY)


def test_24_nobody_can_add_before_the_numbers_go_on(move: Callable[[], Settings]) -> None:
    restored = move()
    add = "INSERT INTO {} SELECT * FROM {} LIMIT 1"
    for table in ("ml_learning.agent_events", "ml_learning.partition_state"):
        with psycopg.connect(restored.postgres_dsn) as other, pytest.raises(psycopg.Error, match="moved to another cluster") as caught:
            other.execute(add.format(table, table))
        assert caught.value.sqlstate == cluster.MOVED


def test_24_a_log_that_is_moved_on_and_back_keeps_its_answers(
    week: Settings, move: Callable[[], Settings], postgres_server: embedded.PostgresServer, tmp_path: Path
) -> None:
    """Back on the first cluster, whose ids are ahead of the numbers that the log had on the second."""
    restored = move()
    append(restored, [review("on the other", "2026-03-07 10:00")])
    clusters.use_up_transactions(postgres_server, 1_000)
    address = clusters.restore(clusters.dump(restored.postgres_dsn, tmp_path / "back"), postgres_server, "moved_back")
    back = at_address(week, address)
    try:
        assert stale(back, VIEW) == span("2026-03-07", TODAY)
        assert life(restored).epoch < life(back).epoch
        assert one(back, "SELECT shift FROM ml_learning.log_cluster") == 0
        append(back, [review("home again", "2026-03-08 09:00")])
        run(back, VIEW, "2026-03-07", TODAY)
        assert stale(back, VIEW) == []
    finally:
        postgres_server.sql("DROP DATABASE moved_back WITH (FORCE)")


def test_24_what_was_remembered_of_the_former_life_is_not_compared(move: Callable[[], Settings], week: Settings) -> None:
    """A server may be put in another's place under a process that goes on."""
    watch = StalenessWatch()
    with connect(week) as connection:
        assert watch.unseen(connection, VIEW) == {}
    settled = log_volume(week).settled
    restored = move()
    insert(week, [happened("2026-03-02 10:00", event_id=f"lost {each}") for each in range(3)])
    before = log_volume(week, settled).settled
    append(restored, [review("new", "2026-03-07 10:00")])

    with connect(restored) as connection:
        assert [day.isoformat() for day in watch.unseen(connection, VIEW)] == span("2026-03-07", TODAY)
    assert sum(each.events for each in log_volume(restored, before).agents) == 8


def test_24_many_processes_at_once_begin_one_life(move: Callable[[], Settings]) -> None:
    restored = move()
    code = (
        "import sys\nfrom detektor_pipelines.settings import Settings\n"
        "from detektor_pipelines.stores.connections import connect, connect_arrow\n"
        "sys.stdin.readline()\nwith (connect if sys.argv[2] == '0' else connect_arrow)(Settings(external_postgres_url=sys.argv[1])): pass\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, restored.postgres_dsn, str(number % 2)], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for number in range(3)
    ]
    said = [process.communicate("go\n")[1] for process in processes]

    assert [process.returncode for process in processes] == [0, 0, 0]
    assert [each.count("The log was moved") for each in sorted(said)] == [0, 0, 1]


def test_24_a_process_that_dies_in_the_middle_leaves_nothing_half_done(move: Callable[[], Settings]) -> None:
    restored = move()
    code = (
        "import os, signal, sys\nfrom detektor_pipelines.settings import Settings\nfrom detektor_pipelines.stores import cluster\n"
        "from detektor_pipelines.stores.connections import connect\ncount_on = cluster._count_on\n"
        "def die(connection):\n    count_on(connection)\n    os.kill(os.getpid(), signal.SIGKILL)\n"
        "cluster._count_on = die\nwith connect(Settings(external_postgres_url=sys.argv[1])): pass\n"
    )
    default = (
        "SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum"
        " WHERE adrelid = 'ml_learning.agent_events'::regclass AND attname = 'xid'"
    )
    assert subprocess.run([sys.executable, "-c", code, restored.postgres_dsn], check=False).returncode == -9
    assert one(restored, "SELECT epoch FROM ml_learning.log_cluster") == 1
    assert one(restored, default) == "pg_current_xact_id()"

    assert life(restored).epoch > 1
    assert stale(restored, VIEW) == []
    append(restored, [review("new", "2026-03-08 09:00")])
    assert stale(restored, VIEW) == [TODAY]


def test_24_who_may_not_begin_a_life_is_told_who_may(move: Callable[[], Settings], younger: embedded.PostgresServer) -> None:
    restored = move()
    younger.sql("CREATE ROLE reader LOGIN PASSWORD 'throw-away'")
    name = database_of(restored)
    younger.sql("GRANT USAGE ON SCHEMA ml_learning TO reader; GRANT SELECT ON ALL TABLES IN SCHEMA ml_learning TO reader", name)
    reader = at_address(restored, restored.postgres_dsn.replace("//detektor:", "//reader:"))
    try:
        with pytest.raises(UserError, match="moved to another cluster") as caught, connect(reader):
            pass
        assert "detektor up" in (caught.value.fix or "")
        assert life(restored) == life(reader)
    finally:
        younger.sql("DROP OWNED BY reader", name)
        younger.sql("DROP ROLE reader")


@pytest.fixture
def replica(week: Settings, postgres_server: embedded.PostgresServer, tmp_path: Path) -> Iterator[Settings]:
    clusters.copy_files(postgres_server, tmp_path / "replica")
    with embedded.start_postgres(tmp_path / "replica") as server:
        yield at_address(week, server.dsn(database_of(week)))


def test_24_a_replica_may_be_read_and_nothing_else_and_begins_a_life_when_it_is_promoted(week: Settings, replica: Settings) -> None:
    assert stale(replica, VIEW) == []
    assert life(replica) == life(week)
    for refused in (
        lambda: Worker(replica, [VIEW]).tick(),
        lambda: run(replica, VIEW, TODAY),
        lambda: publish_online(replica, VIEW),
        lambda: append(replica, [review("e", "2026-03-08 09:00")]),
        lambda: LiveWriter(replica).write([review("e", "2026-03-08 09:00")]),
    ):
        with pytest.raises(UserError, match="is a replica") as caught:
            refused()
        assert "primary's address" in (caught.value.fix or "")

    with psycopg.connect(replica.postgres_dsn, autocommit=True) as reading:
        reading.execute("SELECT pg_promote()")
        with pytest.raises(psycopg.Error, match="moved to another cluster"):
            reading.execute("INSERT INTO ml_learning.agent_events SELECT * FROM ml_learning.agent_events LIMIT 1")
    insert(week, [happened("2026-03-02 10:00", event_id="after the parting")])
    append(replica, [review("on the copy", "2026-03-06 10:00")])

    assert stale(replica, VIEW) == span("2026-03-06", TODAY)
    assert life(replica).epoch > life(week).epoch
    assert life(replica).timeline == life(week).timeline + 1
    assert life(replica).system_identifier == life(week).system_identifier
    with Worker(replica, [VIEW]) as worker:
        assert [worker.tick() for _ in range(3)] == [0, 0, 0]
    assert served(replica) == 7


def test_24_a_run_does_not_take_back_what_the_former_life_had_counted(week: Settings, move: Callable[[], Settings]) -> None:
    """Its rows never heard of the late review; what the stream of the former life had counted stays, until a worker ticks here too."""
    with Worker(week, [VIEW]) as worker:
        worker.tick()
        append(week, [review("late", "2026-03-04 10:00")])
        worker.tick()
    assert served(week) == 7
    restored = move()
    publish_online(restored, VIEW)
    assert served(restored) == 7
    assert stale(restored, VIEW) == span("2026-03-04", TODAY)


def test_24_an_older_dump_is_a_later_life(week: Settings, move: Callable[[], Settings]) -> None:
    """What is online may know of events that the log restored last does not hold: by its life it is told from what is written now."""
    once = life(move())
    time.sleep(1.1)  # lives are told apart by the second in which they began
    again = life(move())
    assert life(week).epoch < once.epoch < again.epoch


def test_24_connecting_again_begins_nothing(move: Callable[[], Settings]) -> None:
    restored = move()
    first = life(restored)
    with connect_arrow(restored), connect(restored) as connection:
        assert cluster.life(connection) == first
        assert stale_days(connection, VIEW) == []
