"""What a cluster takes in one command: keys of one slot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from detektor_pipelines.stores.connections_redis import async_client_of, by_slot, client_of, is_cluster
from detektor_pipelines.stores.online import values as online

if TYPE_CHECKING:
    from collections.abc import Callable

KEYS = st.lists(
    st.text(st.characters(codec="utf-8"), max_size=20) | st.sampled_from(["{a}1", "{a}2", "{b}3", "a@p", "feast:x@1:agent"]), max_size=60
)


def slot(key: str) -> int:
    """CRC16 (XMODEM) of the key, or of what stands in its first braces, modulo 16384: as the Redis Cluster specification has it."""
    text = key.encode()
    start = text.find(b"{")
    end = text.find(b"}", start + 1)
    if start >= 0 and end > start + 1:
        text = text[start + 1 : end]
    crc = 0
    for byte in text:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1) ^ 0x1021 if crc & 0x8000 else crc << 1
    return (crc & 0xFFFF) % 16384


def test_the_specifications_own_example() -> None:
    assert slot("123456789") == key_slot(b"123456789") == 0x31C3


@given(KEYS)
def test_each_group_is_of_one_slot_and_nothing_is_lost(keys: list[str]) -> None:
    groups = by_slot(keys, range(len(keys)))
    assert sorted(number for _, numbers in groups for number in numbers) == list(range(len(keys)))
    for some, numbers in groups:
        assert [keys[number] for number in numbers] == some
        assert list(numbers) == sorted(numbers)
        assert len({slot(key) for key in some}) == 1
    assert len({slot(some[0]) for some, _ in groups}) == len(groups)


@given(KEYS, st.booleans())
def test_the_guards_calls_hold_every_value_once(keys: list[str], cluster: bool) -> None:  # noqa: FBT001
    packed = [f"{number}".encode() for number in range(len(keys))]
    calls = online.guard_calls(keys, packed, cluster=cluster)
    found = [pair for _, number, words in calls for pair in zip(words[:number], words[number:], strict=True)]
    assert sorted(found, key=lambda pair: int(pair[1])) == list(zip(keys, packed, strict=True))
    if cluster:
        assert all(len({slot(str(key)) for key in words[:number]}) == 1 for _, number, words in calls)


@given(st.lists(st.integers(1, online.ROWS_A_CALL), max_size=80))
def test_pipelines_are_bounded_and_keep_the_order(sizes: list[int]) -> None:
    calls: list[online.Call] = [(f"{at}", size, []) for at, size in enumerate(sizes)]
    trips = list(online.round_trips(calls))
    assert [call for trip in trips for call in trip] == calls
    assert all(trip and sum(size for _, size, _ in trip) <= online.VALUES_A_ROUND_TRIP for trip in trips)


def test_many_small_calls_are_parted_too() -> None:
    calls: list[online.Call] = [("", 1, [])] * (online.CALLS_A_ROUND_TRIP + 1)
    assert [len(trip) for trip in online.round_trips(calls)] == [online.CALLS_A_ROUND_TRIP, 1]


@pytest.mark.parametrize("make", [client_of, async_client_of])
def test_a_cluster_is_known_before_it_is_asked(make: Callable[[str], object]) -> None:
    assert is_cluster(make("redis+cluster://127.0.0.1:1"))
    assert not is_cluster(make("redis://127.0.0.1:1"))
    assert not is_cluster(make("redis+sentinel://127.0.0.1:1/features"))
