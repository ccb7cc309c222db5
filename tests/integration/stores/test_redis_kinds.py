"""The online store on a Redis behind Sentinels, on a cluster and over TLS: the same as on a single server, and what differs in a fault."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import pytest
from support.redis_servers import LOOPBACK, Cluster, Watched, cluster_node, redis_cluster, tls_proxy, until, watched_redis

from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.clock import AHEAD_LIMIT_US
from detektor_pipelines.settings import Settings
from detektor_pipelines.stack.servers import embedded
from detektor_pipelines.stores.connections_redis import OnlineStoreDownError, async_client_of, client_of, mget_async, where_is
from detektor_pipelines.stores.online import clock as online_clock
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.stores.online import versions as online_versions
from detektor_pipelines.stores.online.packing import Layout
from detektor_pipelines.stores.online.server import eviction_policies
from detektor_pipelines.stores.online.values import OnlineRow, WriteCounts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from redis import Redis

VIEW = online.StoredView("counts", "0123456789ab", Layout.of([("count", "int64"), ("share", "float64")]), None)
OTHER = online.StoredView("others", "ba9876543210", Layout.of([("count", "int64")]), None)
PROJECT = "detektor"
NOON = 1_772_712_000_000_000
AGENTS = [f"agent{number}@project" for number in range(300)]


@pytest.fixture(autouse=True)
def at_noon(isolated_environment: object, monkeypatch: pytest.MonkeyPatch) -> None:
    del isolated_environment
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-05T12:00:00Z")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with redis_cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with watched_redis(tmp_path_factory.mktemp("watched")) as running:
        yield running


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("tls")
    with embedded.start_redis(directory / "redis") as server, tls_proxy(server, directory) as (port, authority):
        yield f"rediss://:{server.password}@{LOOPBACK}:{port}/0?ssl_ca_certs={authority}"


@pytest.fixture(params=["cluster", "watched", "tls"])
def url(request: pytest.FixtureRequest) -> str:
    """Return the URL of an empty Redis of each kind."""
    running = request.getfixturevalue(request.param)
    found = running if isinstance(running, str) else running.url
    with client_of(found) as client:
        client.flushall()
    return found


@pytest.fixture
def client(url: str) -> Iterator[Redis]:
    with client_of(url) as client:
        yield client


def write(client: Redis, count: int, agents: list[str] = AGENTS, as_of: int = NOON, view: online.StoredView = VIEW) -> WriteCounts:
    rows = [OnlineRow(agent, as_of, as_of, as_of, "1:1:", {"count": count, "share": None}) for agent in agents]
    return online.write_values(client, PROJECT, view, rows, valid_through_us=as_of)


def counts(client: Redis, agents: list[str] = AGENTS) -> set[object]:
    return {row and row.values["count"] for row in online.read(client, PROJECT, VIEW, agents)}


def test_rows_come_back_in_order_and_only_get_newer(client: Redis) -> None:
    assert write(client, 1) == WriteCounts(300, 0)
    assert write(client, 2, as_of=NOON - 1) == WriteCounts(0, 300)
    assert write(client, 3, AGENTS[:10], as_of=NOON + 1) == WriteCounts(10, 0)
    found = online.read(client, PROJECT, VIEW, ["nobody", *AGENTS])
    assert found[0] is None
    assert [row and (row.agent_id, row.values["count"]) for row in found[1:]] == [
        (agent, 3 if number < 10 else 1) for number, agent in enumerate(AGENTS)
    ]
    assert online.valid_through(client, PROJECT, VIEW) == NOON + 1


def test_views_are_read_together(client: Redis) -> None:
    write(client, 1)
    write(client, 5, view=OTHER)
    first, second = online.read_views(client, PROJECT, [VIEW, OTHER], AGENTS[:3])
    assert [row and row.values for row in first] == [{"count": 1, "share": None}] * 3
    assert [row and row.values for row in second] == [{"count": 5}] * 3


def test_everything_is_found_wherever_it_stands(client: Redis) -> None:
    write(client, 1)
    assert sorted(online.agent_ids(client, PROJECT, VIEW, 1_000)) == sorted(AGENTS)
    assert online_versions.versions(client, PROJECT) == [VIEW]
    (held,) = online_versions.held(client, PROJECT)
    assert (held.version, held.keys, held.size, held.last) == (VIEW.version, 300, 300 * (VIEW.layout.size + len("1:1:")), NOON)
    assert online_versions.drop_version(client, PROJECT, VIEW) == 300
    assert list(client.scan_iter(match="feast:*")) == []


def test_an_event_loop_reads_the_same(url: str, client: Redis) -> None:
    write(client, 1)
    keys = online.keys_of([online.Lookup(PROJECT, VIEW, AGENTS)])

    async def read() -> list[bytes | None]:
        asynchronous = async_client_of(url, single_connection_client=True)
        try:
            return await mget_async(asynchronous, keys)
        finally:
            await asynchronous.aclose()

    (rows,) = online.rows_of([online.Lookup(PROJECT, VIEW, AGENTS)], asyncio.run(read()))
    assert [row and row.agent_id for row in rows] == AGENTS


def test_the_stream_publishes(url: str, client: Redis) -> None:
    from detektor_pipelines.stores.online.packing import Unpacked, pack
    from detektor_pipelines.stream.publisher import Publisher

    publisher = Publisher(Settings(external_redis_url=url))
    try:
        publisher.take(VIEW, {agent: pack(VIEW.layout, Unpacked(NOON, NOON, NOON, None, {"count": 7, "share": 0.5})) for agent in AGENTS})
        publisher.take(OTHER, {"a": pack(OTHER.layout, Unpacked(NOON, NOON, NOON, None, {"count": 8}))})
        assert publisher.write() == WriteCounts(301, 0)
        assert publisher.move([VIEW, OTHER], NOON, range(online.SHARDS)) == {VIEW, OTHER}  # not known before: as after a loss
        publisher.filled(VIEW)
        assert publisher.move([VIEW], NOON, range(online.SHARDS)) == set()
        client.delete(online.value_key(PROJECT, VIEW, AGENTS[5]))
        client.append(online.value_key(PROJECT, VIEW, AGENTS[7]), "5:5: stream here")
        known = {AGENTS[7]}
        for later, grown_old in ((0, []), (AHEAD_LIMIT_US, []), (AHEAD_LIMIT_US + 1, [each for each in AGENTS[6:] if each not in known])):
            publisher.move([VIEW], NOON + later, range(online.SHARDS), (VIEW, AGENTS[6:]))
            assert (publisher.absent, publisher.unvouched) == ([], grown_old)
            publisher.move([VIEW], NOON + later, range(online.SHARDS), (VIEW, AGENTS[:6]))
            assert (publisher.absent, publisher.unvouched) == ([AGENTS[5]], AGENTS[:5] if grown_old else [])
        publisher.move([VIEW], NOON + later, range(online.SHARDS), (VIEW, []))
        assert (publisher.absent, publisher.unvouched) == ([], [])
    finally:
        publisher.close()
    assert counts(client) == {7, None}
    assert online.valid_through(client, PROJECT, VIEW) == NOON + AHEAD_LIMIT_US + 1


def test_what_is_refused_is_told_and_counted_and_shards_wait_for_it(client: Redis) -> None:
    write(client, 1)
    other = [OnlineRow(agent, NOON + 1, NOON, NOON, "0:2:0", {"count": 2, "share": None}, writer="other") for agent in AGENTS[:7]]
    counts = online.write_values(client, PROJECT, VIEW, other, valid_through_us=NOON + 1)
    assert {(each.agent_id, each.as_of) for each in counts.refused} == {(agent, NOON) for agent in AGENTS[:7]}
    assert online.refusals(client, PROJECT, VIEW) == dict.fromkeys(AGENTS[:7], (1, NOON, "other"))
    (instants,) = online.shard_instants(client, PROJECT, [VIEW])
    waiting = {online.shard_of(agent) for agent in AGENTS[:7]}
    assert instants == {shard: NOON if shard in waiting else NOON + 1 for shard in online.ALL_SHARDS}
    assert online.distrust(client, PROJECT, VIEW, AGENTS[:3], NOON) == 3
    assert [row and row.snapshot for row in online.read(client, PROJECT, VIEW, AGENTS[:4])] == [None, None, None, "1:1:"]
    assert online_versions.drop_version(client, PROJECT, VIEW) == 300
    assert list(client.scan_iter(match="feast:*")) == []


def test_what_lies_ahead_is_found_and_dropped(client: Redis) -> None:
    write(client, 1)
    write(client, 2, AGENTS[:5], as_of=NOON + 3_600_000_000)
    found = online_clock.ahead(client, PROJECT, VIEW)
    assert (found.agent_ids, found.shards, found.furthest) == (tuple(sorted(AGENTS[:5])), online.ALL_SHARDS, NOON + 3_600_000_000)
    assert online_clock.drop(client, PROJECT, VIEW, found) == 5
    assert not online_clock.ahead(client, PROJECT, VIEW)
    assert online.valid_through(client, PROJECT, VIEW) is None
    assert counts(client, AGENTS[5:]) == {1}
    assert eviction_policies(client) == {"noeviction"}


def test_the_feature_server_reads(url: str) -> None:
    from detektor_pipelines.serving.values.live_values import LiveValues

    lookups = [online.Lookup(Settings().project, online.stored_view(VIEWS[0]), AGENTS[:50])]

    async def read(client: Redis) -> list[bytes | None]:
        live = LiveValues(Settings(external_redis_url=url, serve_redis_timeout_ms=5_000))
        try:
            live.send([("SET", "feast:sent", "1")])
            answer = await live.get(online.keys_of(lookups))
            for _ in range(200):  # what nobody waits for is sent a moment later
                if client.get("feast:sent"):
                    return answer
                await asyncio.sleep(0.05)
            raise AssertionError
        finally:
            await live.close()

    with client_of(url) as client:
        rows = [OnlineRow(agent, NOON, NOON, NOON, None, {}) for agent in AGENTS[:50]]
        online.write_values(client, Settings().project, VIEWS[0], rows, valid_through_us=NOON)
        (found,) = online.rows_of(lookups, asyncio.run(read(client)))
        assert [row and row.agent_id for row in found] == AGENTS[:50]


def test_status_says_where_it_is_and_no_password(url: str) -> None:
    from detektor_pipelines import stack

    redis = stack.status(Settings(external_redis_url=url))["redis"]
    assert redis.state == "external"
    assert redis.ready
    assert redis.address.startswith("127.0.0.1:")
    assert embedded.PASSWORD not in redis.address


class TestTls:
    def test_without_the_authority_the_server_is_not_believed(self, tls: str) -> None:
        with client_of(tls.partition("?")[0]) as client, pytest.raises(OnlineStoreDownError, match="does not answer"):
            counts(client)

    def test_of_a_cluster_or_sentinels_it_is_asked_for_the_same_way(self, tls: str) -> None:
        address = tls.removeprefix("rediss://")
        with client_of(f"rediss+cluster://{address.replace('/0?', '?')}") as client, pytest.raises(OnlineStoreDownError) as caught:
            counts(client)
        assert caught.value.what == "This Redis is not a cluster."
        sentinel = f"rediss+sentinel://{address.replace('/0?', '/features/0?')}&sentinel_password={embedded.PASSWORD}"
        with client_of(sentinel) as client, pytest.raises(OnlineStoreDownError, match="This Redis is not a Sentinel"):
            counts(client)


class TestFailOver:
    @pytest.mark.slow
    def test_reads_and_writes_come_back_by_themselves(self, tmp_path: Path) -> None:
        with watched_redis(tmp_path) as watched, client_of(watched.url) as client:
            write(client, 1)
            until(lambda: client.wait(1, 1_000) == 1, "the replica has it")
            os.killpg(watched.primary.pid, signal.SIGKILL)
            with pytest.raises(OnlineStoreDownError, match="does not answer") as caught:
                write(client, 2, as_of=NOON + 1)
            assert "Redis features by the Sentinels at 127.0.0.1:" in str(caught.value)

            def written() -> bool:
                try:
                    write(client, 2, as_of=NOON + 1)
                except OnlineStoreDownError:
                    return False
                return True

            until(written, "the replica is the primary")
            assert counts(client) == {2}
            assert client.connection_pool.get_master_address() == (LOOPBACK, watched.replica.port)
            assert asyncio.run(self.read_by_loop(watched.url)) == b"1"

    @pytest.mark.slow
    def test_the_feature_server_finds_the_new_primary(self, tmp_path: Path) -> None:
        from detektor_pipelines.serving.values.live_values import LiveValues

        async def watch(watched: Watched) -> int:
            live, failed = LiveValues(Settings(external_redis_url=watched.url)), 0
            try:
                assert await live.get(["feast:probe"]) == [b"1"]
                os.killpg(watched.primary.pid, signal.SIGKILL)
                for _ in range(600):
                    await asyncio.sleep(0.05)
                    try:
                        assert await live.get(["feast:probe"]) == [b"1"]
                    except OnlineStoreDownError:
                        failed += 1
                    else:
                        return failed
                raise AssertionError
            finally:
                await live.close()

        with watched_redis(tmp_path) as watched:
            with client_of(watched.url) as client:
                client.set("feast:probe", "1")
                until(lambda: client.wait(1, 1_000) == 1, "the replica has it")
            assert asyncio.run(watch(watched)) > 0

    async def read_by_loop(self, url: str) -> bytes | None:
        client = async_client_of(url)
        try:
            await client.set("feast:probe", "1")
            return (await mget_async(client, ["feast:probe"]))[0]
        finally:
            await client.aclose()

    def test_a_service_that_the_sentinels_do_not_know(self, watched: Watched) -> None:
        wrong = watched.url.replace("/features/", "/nobody/")
        with client_of(wrong) as client, pytest.raises(OnlineStoreDownError, match="does not answer"):
            counts(client)


class TestClusterFaults:
    @pytest.mark.slow
    def test_a_node_that_dies_in_the_middle_of_a_write(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with redis_cluster(tmp_path) as cluster, client_of(cluster.url) as client:
            write(client, 1)
            holder = client.get_node_from_key(online.valid_through_key(PROJECT, VIEW))
            number, victim = next((at, node) for at, node in enumerate(cluster.nodes) if node.port != holder.port)
            trips = online.round_trips

            def killing(calls: list[online.Call]) -> Iterator[list[online.Call]]:
                for at, trip in enumerate(trips(calls)):
                    if at == 1:
                        os.killpg(victim.pid, signal.SIGKILL)
                    yield trip

            monkeypatch.setattr(online, "VALUES_A_ROUND_TRIP", 100)
            monkeypatch.setattr(online, "round_trips", killing)
            with pytest.raises(OnlineStoreDownError) as caught:
                write(client, 2, as_of=NOON + 1)
            assert "Redis cluster at 127.0.0.1:" in str(caught.value)
            monkeypatch.undo()

            with cluster_node(tmp_path / str(number), victim.port):
                until(lambda: _whole(client), "the cluster is whole")
                assert online.valid_through(client, PROJECT, VIEW) == NOON  # nobody was told that the new values are complete
                assert counts(client) <= {1, 2, None}  # each is an old one, a new one, or was lost with the node
                write(client, 2, as_of=NOON + 1)
                assert counts(client) == {2}
                assert online.valid_through(client, PROJECT, VIEW) == NOON + 1

    def test_a_cluster_of_which_nobody_answers(self) -> None:
        with client_of("redis+cluster://127.0.0.1:1,127.0.0.1:2") as client, pytest.raises(OnlineStoreDownError) as caught:
            counts(client)
        assert "Redis cluster at 127.0.0.1:1, 127.0.0.1:2" in str(caught.value)

    def test_a_wrong_password(self, cluster: Cluster) -> None:
        wrong = cluster.url.replace(embedded.PASSWORD, "wrong")
        with client_of(wrong) as client, pytest.raises(OnlineStoreDownError, match="password"):
            counts(client)

    def test_the_first_of_its_nodes_may_be_away(self, cluster: Cluster) -> None:
        away = cluster.url.replace("@", "@127.0.0.1:1,")
        with client_of(away) as client:
            write(client, 4, AGENTS[:20])
            assert counts(client, AGENTS[:20]) == {4}
            assert where_is(client).startswith("Redis cluster at 127.0.0.1:")


def _whole(client: Redis) -> bool:
    try:
        counts(client)
        client.set("feast:probe", "1")
    except OnlineStoreDownError:
        return False
    return True
