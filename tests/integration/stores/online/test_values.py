from __future__ import annotations

import logging
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from detektor_pipelines import clock
from detektor_pipelines.catalog import VIEWS, view_named
from detektor_pipelines.language.hashes import short_hash
from detektor_pipelines.settings import Settings
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.stores.online import versions as online_versions
from detektor_pipelines.stores.online.packing import Layout
from detektor_pipelines.stores.online.values import OnlineRow, OnlineStoreDownError, Refusal, WriteCounts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redis import Redis

VIEW = view_named("code_review_features")
NAMES = [each.name for each in VIEW.features]
PROJECT = "detektor"
HOUR = 3_600_000_000
NOON = 1_772_712_000_000_000  # 2026-03-05 12:00 UTC
AGENT = "code-reviewer"


@pytest.fixture
def client(redis_db: Settings) -> Iterator[Redis]:
    with online.redis_client(redis_db) as client:
        yield client


@pytest.fixture(autouse=True)
def at_noon(isolated_environment: object, monkeypatch: pytest.MonkeyPatch) -> None:
    del isolated_environment
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-05T12:00:00Z")


def rows(count: int | None, *agents: str, at: int = NOON - HOUR, created: int | None = None) -> pa.Table:
    """One row an agent: recent_reviews_count is `count`, all else null."""
    agents = agents or (AGENT,)
    instant = pa.timestamp("us", tz="UTC")
    columns = {
        "agent_id": pa.array(agents),
        "event_timestamp": pa.array([at] * len(agents), pa.int64()).cast(instant),
        "created_at": pa.array([at if created is None else created] * len(agents), pa.int64()).cast(instant),
    }
    kinds = {"int64": pa.int64(), "float64": pa.float64(), "instant": instant}
    for each in VIEW.features:
        columns[each.name] = pa.nulls(len(agents), kinds[each.value_type])
    columns["recent_reviews_count"] = pa.array([count] * len(agents), pa.int64())
    return pa.table(columns)


def write(client: Redis, table: pa.Table, as_of: int = NOON, snapshot: str | None = "100:200:") -> WriteCounts:
    return online.write_rows(client, PROJECT, VIEW, table, as_of_us=as_of, valid_through_us=as_of, snapshot=snapshot)


def stored(client: Redis, agent_id: str = AGENT) -> OnlineRow:
    row = online.read(client, PROJECT, VIEW, [agent_id])[0]
    assert row is not None
    return row


def count_of(client: Redis) -> object:
    return stored(client).values["recent_reviews_count"]


def test_a_row_comes_back_whole(client: Redis) -> None:
    assert write(client, rows(4)) == WriteCounts(1, 0)
    expected = dict.fromkeys(sorted(NAMES), None) | {"recent_reviews_count": 4}
    assert stored(client) == OnlineRow(AGENT, NOON, NOON - HOUR, NOON - HOUR, "100:200:", expected, NOON, "PRESENT")


def test_the_keys_are_the_documented_ones(client: Redis) -> None:
    write(client, rows(4))
    version = f"feast:detektor:code_review_features@{short_hash(VIEW)}"
    assert sorted(key.decode() for key in client.scan_iter()) == [
        f"{version}#layout",
        f"{version}#valid_through",
        f"{version}:code-reviewer",
    ]
    assert client.ttl(f"{version}:code-reviewer") == -1


def test_reading_keeps_the_order_and_says_none_for_what_was_never_published(client: Redis) -> None:
    write(client, rows(1, "a@p", "b@p"))
    answer = online.read(client, PROJECT, VIEW, ["b@p", "nobody", "a@p", "b@p"])
    assert [row and row.agent_id for row in answer] == ["b@p", None, "a@p", "b@p"]


def test_many_views_in_one_round_trip(client: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    write(client, rows(1))
    calls = []
    original = client.execute_command
    monkeypatch.setattr(client, "execute_command", lambda *words, **options: calls.append(words[0]) or original(*words, **options))
    answers = online.read_views(client, PROJECT, VIEWS, [AGENT, "x"])
    assert calls == ["MGET"]
    assert [[row is not None for row in answer] for answer in answers] == [[view is VIEW, False] for view in VIEWS]


def test_reading_nothing_asks_nothing(client: Redis) -> None:
    assert online.read_views(client, PROJECT, [], ["a"]) == []
    assert online.read(client, PROJECT, VIEW, []) == []


class TestGuard:
    def test_a_newer_as_of_overwrites(self, client: Redis) -> None:
        write(client, rows(1))
        assert write(client, rows(2), NOON + 1) == WriteCounts(1, 0)
        assert count_of(client) == 2

    def test_an_older_as_of_is_kept_out(self, client: Redis) -> None:
        write(client, rows(1, created=NOON))
        assert write(client, rows(2, created=NOON + HOUR), NOON - 1) == WriteCounts(0, 1)
        assert count_of(client) == 1

    def test_later_knowledge_about_the_same_instant_overwrites(self, client: Redis) -> None:
        write(client, rows(1))
        assert write(client, rows(2, created=NOON)) == WriteCounts(1, 0)
        assert write(client, rows(1)) == WriteCounts(0, 1)
        assert count_of(client) == 2

    def test_the_same_value_again_is_left(self, client: Redis) -> None:
        write(client, rows(1))
        assert write(client, rows(1)) == WriteCounts(0, 1)

    def test_the_same_knowledge_with_another_value_mends_the_stored_one(self, client: Redis) -> None:
        write(client, rows(1))
        assert write(client, rows(2)) == WriteCounts(1, 0)
        assert count_of(client) == 2

    def test_the_same_value_keeps_the_snapshot_it_came_with(self, client: Redis) -> None:
        write(client, rows(1))
        assert write(client, rows(1), snapshot=None) == WriteCounts(0, 1)
        assert stored(client).snapshot == "100:200:"

    def test_a_computed_value_overwrites_one_of_unknown_origin_however_late_that_is(self, client: Redis) -> None:
        write(client, rows(1), NOON + HOUR, snapshot=None)
        assert write(client, rows(2)) == WriteCounts(1, 0)
        assert write(client, rows(3), NOON - HOUR, snapshot=None) == WriteCounts(0, 1)
        assert write(client, rows(4), NOON + HOUR, snapshot=None) == WriteCounts(1, 0)

    def test_who_knows_less_is_refused_and_told_so(self, client: Redis) -> None:
        write(client, rows(2), snapshot="300:300:")
        counts = write(client, rows(1), NOON + HOUR, snapshot="200:200:")
        key = online.value_key(PROJECT, VIEW, AGENT)
        assert counts == WriteCounts(0, 0, (Refusal(AGENT, NOON, key),))
        assert (count_of(client), stored(client).as_of) == (2, NOON)
        assert online.refusals(client, PROJECT, VIEW) == {AGENT: (1, NOON, "unknown")}

    def test_who_knows_more_of_an_earlier_instant_is_refused_too(self, client: Redis) -> None:
        write(client, rows(2), NOON + 1, snapshot="200:200:")
        assert [each.as_of for each in write(client, rows(1), snapshot="300:300:").refused] == [NOON + 1]
        assert write(client, rows(2), snapshot="300:300:") == WriteCounts(0, 1)  # it says the same

    def test_who_knows_less_of_an_earlier_instant_is_kept_out_silently(self, client: Redis) -> None:
        write(client, rows(2), NOON + 1, snapshot="300:300:")
        assert write(client, rows(1), snapshot="200:200:") == WriteCounts(0, 1)

    def test_a_running_transaction_is_knowledge_that_lacks(self, client: Redis) -> None:
        write(client, rows(1), snapshot="200:200:")
        assert write(client, rows(2), NOON + 1, snapshot="150:300:150").refused  # it lacks 150, which the stored one saw
        assert write(client, rows(3), NOON + 1, snapshot="250:300:250") == WriteCounts(1, 0)
        assert write(client, rows(4), NOON + 2, snapshot="250:300:250,260").refused
        assert write(client, rows(5), NOON + 2, snapshot="250:301:250") == WriteCounts(1, 0)

    def test_a_later_life_of_the_log_wins_whatever_its_transactions_are_called(self, client: Redis) -> None:
        def of_epoch(number: int, count: int, as_of: int, snapshot: str) -> WriteCounts:
            return online.write_rows(
                client, PROJECT, VIEW, rows(count), as_of_us=as_of, valid_through_us=None, snapshot=snapshot, epoch=number, writer="w"
            )

        of_epoch(1, 1, NOON + HOUR, "9000:9000:")
        assert of_epoch(2, 2, NOON, "10:10:") == WriteCounts(1, 0)
        assert of_epoch(1, 3, NOON + 2 * HOUR, "9001:9001:") == WriteCounts(0, 1)
        row = stored(client)
        assert (row.values["recent_reviews_count"], row.snapshot, row.epoch, row.writer) == (2, "10:10:", 2, "w")

    def test_valid_through_does_not_pass_a_value_that_was_refused(self, client: Redis) -> None:
        agents = [f"a{number}" for number in range(20)]
        write(client, rows(2, *agents), snapshot="300:300:")
        assert len(write(client, rows(1, "a3"), NOON + HOUR, snapshot="200:200:").refused) == 1
        (instants,) = online.shard_instants(client, PROJECT, [VIEW])
        refused = online.shard_of("a3")
        assert instants == {shard: NOON if shard == refused else NOON + HOUR for shard in online.ALL_SHARDS}

    def test_refused_writes_are_counted_by_agent_with_the_last_writer(self, client: Redis) -> None:
        write(client, rows(2, "a", "b"), snapshot="300:300:")
        for number, writer in enumerate(("batch one", "batch two")):
            online.write_rows(
                client,
                PROJECT,
                VIEW,
                rows(1, *("a", "b")[: 2 - number]),
                as_of_us=NOON + 1,
                valid_through_us=None,
                snapshot="200:200:",
                writer=writer,
            )
        assert online.refusals(client, PROJECT, VIEW) == {"a": (2, NOON, "batch two"), "b": (1, NOON, "batch one")}

    def test_distrust_forgets_what_a_value_knows_up_to_an_instant(self, client: Redis) -> None:
        for agent, as_of in (("early", NOON - 1), ("late", NOON + 1)):
            online.write_rows(
                client, PROJECT, VIEW, rows(1, agent), as_of_us=as_of, valid_through_us=None, snapshot="1:1:", writer="batch x"
            )
        assert online.distrust(client, PROJECT, VIEW, ["early", "late", "nobody"], NOON) == 1
        early, late = stored(client, "early"), stored(client, "late")
        assert (early.snapshot, early.writer, early.as_of) == (None, "batch x", NOON - 1)
        assert (late.snapshot, late.writer) == ("1:1:", "batch x")
        assert online.distrust(client, PROJECT, VIEW, ["early"], NOON) == 0

    def test_a_value_of_unknown_origin_mends_only_its_like(self, client: Redis) -> None:
        write(client, rows(1), snapshot=None)
        assert write(client, rows(2), snapshot=None) == WriteCounts(1, 0)
        assert write(client, rows(3)) == WriteCounts(1, 0)
        assert write(client, rows(4), snapshot=None) == WriteCounts(0, 1)
        assert count_of(client) == 3

    @pytest.mark.parametrize("old", [-5, 0, 2**31 * 1_000, 2**53 - 2])
    def test_instants_are_ordered_exactly(self, client: Redis, old: int) -> None:
        write(client, rows(1, at=0), old)
        assert write(client, rows(2, at=0), old + 1) == WriteCounts(1, 0)
        assert write(client, rows(3, at=0), old) == WriteCounts(0, 1)

    def test_what_is_no_value_of_ours_is_overwritten(self, client: Redis) -> None:
        key = online.value_key(PROJECT, VIEW, AGENT)
        client.set(key, b"\xde")
        assert write(client, rows(1)) == WriteCounts(1, 0)
        client.delete(key)
        client.hset(key, "field", "of another program")
        assert write(client, rows(2)) == WriteCounts(1, 0)
        assert count_of(client) == 2

    def test_one_agent_twice_in_a_table_keeps_the_newer(self, client: Redis) -> None:
        twice = pa.concat_tables([rows(5, created=NOON), rows(4)])
        assert write(client, twice) == WriteCounts(1, 1)
        assert count_of(client) == 5

    def test_eight_writers_at_once_leave_the_newest(self, client: Redis, redis_db: Settings) -> None:
        agents = [f"a{number}" for number in range(50)]
        instants = list(range(NOON, NOON + 160))
        failures: list[BaseException] = []

        def work(mine: list[int]) -> None:
            try:
                with online.redis_client(redis_db) as own:
                    for as_of in mine:
                        write(own, rows(as_of - NOON, *agents), as_of)
            except BaseException as error:
                failures.append(error)
                raise

        # Each writer goes backwards or forwards through its own instants, so that older writes come after newer ones all the time.
        threads = [threading.Thread(target=work, args=(instants[n::8][:: -1 if n % 2 else 1],)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures
        answer = online.read(client, PROJECT, VIEW, agents)
        assert {(row.as_of - NOON, row.values["recent_reviews_count"]) for row in answer if row} == {(159, 159)}
        assert online.valid_through(client, PROJECT, VIEW) == NOON + 159

    def test_more_rows_than_one_call_holds(self, client: Redis) -> None:
        agents = [f"a{number}" for number in range(2 * online.VALUES_A_ROUND_TRIP + 7)]
        assert write(client, rows(1, *agents)) == WriteCounts(len(agents), 0)
        assert write(client, rows(1, *agents)) == WriteCounts(0, len(agents))
        assert None not in online.read(client, PROJECT, VIEW, agents)


class TestStatuses:
    def test_present_null_and_too_old(self, client: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
        write(client, rows(0))
        row = stored(client)
        assert (row.status_of("recent_reviews_count"), row.status_of("rejection_rate")) == ("PRESENT", "NULL_VALUE")
        monkeypatch.setenv("DETEKTOR_NOW", "2026-03-06T14:00:00Z")  # max_age is 26 h: still inside, to the µs
        assert stored(client).status == "PRESENT"
        monkeypatch.setenv("DETEKTOR_NOW", "2026-03-06T14:00:00.000001Z")
        row = stored(client)
        assert (row.status_of("recent_reviews_count"), row.status_of("rejection_rate")) == ("OUTSIDE_MAX_AGE", "OUTSIDE_MAX_AGE")

    def test_an_idle_agents_zeros_stay_present_while_valid_through_moves(self, client: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
        write(client, rows(0))
        monkeypatch.setenv("DETEKTOR_NOW", "2026-06-01T00:00:00Z")
        assert stored(client).status == "OUTSIDE_MAX_AGE"
        online.move_valid_through(client, PROJECT, VIEW, NOON + 24 * 87 * HOUR)
        assert stored(client).status_of("recent_reviews_count") == "PRESENT"

    def test_valid_through_never_moves_back(self, client: Redis) -> None:
        assert online.valid_through(client, PROJECT, VIEW) is None
        online.move_valid_through(client, PROJECT, VIEW, NOON)
        write(client, rows(1), NOON - HOUR)
        assert online.valid_through(client, PROJECT, VIEW) == NOON

    def test_each_shard_has_its_own_valid_through(self, client: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
        agents = [f"{AGENT}@p{number}" for number in range(40)]
        write(client, rows(1, *agents))
        monkeypatch.setenv("DETEKTOR_NOW", "2026-03-08T00:00:00Z")
        online.move_valid_through(client, PROJECT, VIEW, NOON + 60 * HOUR, shards=(1, 6))
        found = online.read(client, PROJECT, VIEW, agents)
        fresh = {row.agent_id for row in found if row is not None and row.status == "PRESENT"}
        assert fresh == {agent for agent in agents if online.shard_of(agent) in {1, 6}}
        assert 0 < len(fresh) < len(agents)
        assert online.valid_through(client, PROJECT, VIEW) == NOON

    def test_a_batch_without_rows_moves_valid_through(self, client: Redis) -> None:
        assert write(client, rows(1).slice(0, 0)) == WriteCounts(0, 0)
        assert online.valid_through(client, PROJECT, VIEW) == NOON

    def test_valid_through_stays_when_a_row_cannot_be_stored(self, client: Redis) -> None:
        bad = rows(1)
        bad = bad.set_column(bad.schema.get_field_index("rejection_rate"), "rejection_rate", pa.array([float("nan")]))
        with pytest.raises(ValueError, match="rejection_rate"):
            write(client, bad)
        assert online.valid_through(client, PROJECT, VIEW) is None
        assert online.read(client, PROJECT, VIEW, [AGENT]) == [None]

    @pytest.mark.parametrize("damaged", [b"\xde\x01", b"{}", b"\xff" * 200])
    def test_a_damaged_value_is_not_found_and_says_where(self, client: Redis, caplog: pytest.LogCaptureFixture, damaged: bytes) -> None:
        write(client, rows(1, "a", "b"))
        client.set(online.value_key(PROJECT, VIEW, "a"), damaged)
        with caplog.at_level(logging.WARNING):
            answer = online.read(client, PROJECT, VIEW, ["a", "b"])
        assert [row is not None for row in answer] == [False, True]
        assert f"code_review_features@{short_hash(VIEW)}:a is not a readable value" in caplog.text

    def test_with_a_damaged_valid_through_a_value_is_true_up_to_its_own_instant(
        self, client: Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(client, rows(1))
        client.set(online.valid_through_key(PROJECT, VIEW), b"nonsense")
        assert (stored(client).status, stored(client).true_up_to) == ("PRESENT", NOON)
        monkeypatch.setenv("DETEKTOR_NOW", "2026-03-07T00:00:00Z")
        assert stored(client).status == "OUTSIDE_MAX_AGE"
        online.move_valid_through(client, PROJECT, VIEW, NOON + 24 * HOUR)
        assert stored(client).status == "PRESENT"

    def test_a_value_that_does_not_say_what_it_knows_is_true_up_to_its_own_instant(
        self, client: Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(client, rows(1, "known"))
        write(client, rows(1, "unknown"), snapshot=None)
        monkeypatch.setenv("DETEKTOR_NOW", "2026-03-07T00:00:00Z")
        online.move_valid_through(client, PROJECT, VIEW, NOON + 24 * HOUR)
        known, unknown = stored(client, "known"), stored(client, "unknown")
        assert (known.status, known.true_up_to) == ("PRESENT", NOON + 24 * HOUR)
        assert (unknown.status, unknown.true_up_to) == ("OUTSIDE_MAX_AGE", NOON)

    def test_what_lies_ahead_of_the_clock_is_not_trusted(self, client: Redis) -> None:
        limit = clock.AHEAD_LIMIT_US
        write(client, rows(1, "near"), NOON + limit)
        assert stored(client, "near").status == "PRESENT"
        write(client, rows(1, "far"), NOON + limit + 1)  # and with it valid_through
        assert [stored(client, agent).status for agent in ("near", "far")] == ["OUTSIDE_MAX_AGE"] * 2

    def test_ahead_of_the_clock_holds_without_a_bound_on_age_too(self, client: Redis) -> None:
        online.write_rows(client, PROJECT, VIEW, rows(1), as_of_us=NOON + 24 * HOUR, valid_through_us=None, snapshot="1:1:")
        unbound = replace(online.stored_view(VIEW), max_age_us=None)
        (row,) = online.read(client, PROJECT, unbound, [AGENT])
        assert row is not None
        assert row.status == "OUTSIDE_MAX_AGE"


def test_rows_with_their_own_as_of_as_a_stream_writes_them(client: Redis) -> None:
    write(client, rows(1, "a", "b"))
    mine = [replace(stored(client, "a"), as_of=NOON + 5, snapshot="300:300:", values={"recent_reviews_count": 9})]
    assert online.write_values(client, PROJECT, VIEW, mine, valid_through_us=NOON + 5) == WriteCounts(1, 0)
    row = stored(client, "a")
    assert (row.as_of, row.snapshot, row.values["recent_reviews_count"], row.valid_through) == (NOON + 5, "300:300:", 9, NOON + 5)


class TestVersions:
    OLD = online.StoredView("code_review_features", "0123456789ab", Layout.of([("was_here", "int64")]), None)

    def write_old(self, client: Redis) -> None:
        row = OnlineRow(AGENT, NOON, NOON, NOON, None, {"was_here": 1})
        online.write_values(client, PROJECT, self.OLD, [row], valid_through_us=NOON)

    def test_a_retired_version_is_found_and_still_readable(self, client: Redis) -> None:
        write(client, rows(1))
        self.write_old(client)
        (old,) = online_versions.retired(client, PROJECT, VIEWS)
        assert old == self.OLD
        answer = online.read(client, PROJECT, old, [AGENT])[0]
        assert answer is not None
        assert answer.values == {"was_here": 1}

    def test_dropping_one_leaves_the_others(self, client: Redis) -> None:
        write(client, rows(1))
        self.write_old(client)
        assert online_versions.drop_version(client, PROJECT, self.OLD) == 1
        assert online_versions.retired(client, PROJECT, VIEWS) == []
        assert count_of(client) == 1
        assert not [key for key in client.scan_iter() if b"0123456789ab" in key]

    def test_another_project_is_not_touched(self, client: Redis) -> None:
        online.write_rows(client, "other", VIEW, rows(1), as_of_us=NOON, valid_through_us=NOON)
        assert online_versions.versions(client, PROJECT) == []
        assert online_versions.versions(client, "othe*") == []
        assert online_versions.drop_version(client, "othe*", VIEW) == 0
        assert len(online_versions.versions(client, "other")) == 1

    def test_a_damaged_layout_is_told(self, client: Redis, caplog: pytest.LogCaptureFixture) -> None:
        self.write_old(client)
        client.set(online.layout_key(PROJECT, self.OLD), b"[1")
        assert online_versions.versions(client, PROJECT) == []
        assert "#layout" in caplog.text


class TestServerTrouble:
    def test_a_server_that_is_down(self, unused_port: int) -> None:
        settings = Settings(external_redis_url=f"redis://127.0.0.1:{unused_port}/0")
        with online.redis_client(settings) as client, pytest.raises(OnlineStoreDownError, match="does not answer") as caught:
            write(client, rows(1))
        assert f"127.0.0.1:{unused_port}" in str(caught.value)
        assert "detektor up" in str(caught.value)

    def test_a_wrong_password(self, redis_db: Settings) -> None:
        settings = Settings(external_redis_url=f"redis://:wrong@{redis_db.redis_host}:{redis_db.redis_port}/0")
        with online.redis_client(settings) as client, pytest.raises(OnlineStoreDownError, match="refuses the password"):
            online.read(client, PROJECT, VIEW, [AGENT])

    def test_no_password(self, redis_db: Settings) -> None:
        settings = Settings(external_redis_url=f"redis://{redis_db.redis_host}:{redis_db.redis_port}/0")
        with online.redis_client(settings) as client, pytest.raises(OnlineStoreDownError, match=r"refuses the password|wants a password"):
            online.read(client, PROJECT, VIEW, [AGENT])

    def test_a_full_server(self, client: Redis) -> None:
        client.config_set("maxmemory", 1)
        try:
            with pytest.raises(OnlineStoreDownError, match="Redis is full"):
                write(client, rows(1))
        finally:
            client.config_set("maxmemory", 0)


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
