"""The guard against a few lines that say what it is for: of two values, which stands, and which write is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detektor_pipelines.stores.online import values as online
from detektor_pipelines.stores.online.packing import Layout, Unpacked, pack, unpack
from detektor_pipelines.stores.online.values import StoredView

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redis import Redis

    from detektor_pipelines.settings import Settings

VIEW = StoredView("some_features", "0123456789ab", Layout.of([("count", "int64"), ("rate", "float64")]), None)
TEXTS = StoredView("text_features", "0123456789ab", Layout.of([("count", "text"), ("rate", "float64"), ("tools", "text")]), None)
"""Of two of its values only a text tells the one from the other: the guard has to see it all the same."""
FIRST, LAST = 100, 112
"""Transactions: those before FIRST are over, those from LAST on have not begun."""


@dataclass(frozen=True)
class Value:
    seen: frozenset[int] | None
    epoch: int
    as_of: int
    created: int
    count: int

    def packed(self, view: StoredView) -> bytes:
        row = Unpacked(self.as_of, self.created, 0, self.snapshot(), self.values(view), self.epoch, "test")
        return pack(view.layout, row)

    def values(self, view: StoredView) -> dict[str, int | str | None]:
        if view is TEXTS:
            return {"count": f"{self.count} {FIRST}:{LAST}:\n", "rate": None, "tools": None}
        return {"count": self.count, "rate": None}

    def snapshot(self) -> str | None:
        """As PostgreSQL writes what is visible; the last transaction that has ended is."""
        if self.seen is None:
            return None
        following = max(self.seen, default=FIRST - 1) + 1
        running = [each for each in range(FIRST, following) if each not in self.seen]
        return f"{min([*running, following])}:{following}:{','.join(map(str, running))}"


values = st.builds(
    Value,
    seen=st.one_of(
        st.none(),
        st.frozensets(st.integers(FIRST, LAST - 1), max_size=6),
        st.integers(FIRST, LAST).map(lambda end: frozenset(range(FIRST, end))),
    ),
    epoch=st.sampled_from((1, 1, 1, 2)),
    as_of=st.integers(1_000, 1_003),
    created=st.integers(500, 501),
    count=st.integers(0, 2),
)


def verdict(new: Value, old: Value | None) -> str:
    """What becomes of a write, in sets of transactions."""
    if old is None or (new.seen is not None and old.seen is None):
        return "written"
    if new.seen is None or old.seen is None:
        order = (new.as_of, new.created), (old.as_of, old.created)
        fixes = order[0] == order[1] and old.seen is None and new.count != old.count
        return "written" if order[0] > order[1] or fixes else "kept"
    if new.epoch != old.epoch:
        return "written" if new.epoch > old.epoch else "kept"
    if new.seen == old.seen:
        order = (new.as_of, new.created), (old.as_of, old.created)
        return "written" if order[0] > order[1] or (order[0] == order[1] and new.count != old.count) else "kept"
    if new.seen >= old.seen and new.as_of >= old.as_of:
        return "written"
    return "kept" if (old.seen >= new.seen and old.as_of >= new.as_of) or new.count == old.count else "refused"


@pytest.fixture
def client(redis_db: Settings) -> Iterator[Redis]:
    with online.redis_client(redis_db) as client:
        yield client


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(values, min_size=2, max_size=12), st.sampled_from(("at once", "one by one")), st.sampled_from((VIEW, TEXTS)))
def test_random_writes_leave_what_knows_most(client: Redis, written: list[Value], how: str, view: StoredView) -> None:
    client.flushall()
    key = online.value_key("detektor", view, "agent")
    stands: Value | None = None
    expected, refused = 0, []
    for each in written:
        found = verdict(each, stands)
        if found == "written":
            stands, expected = each, expected + 1
        elif found == "refused":
            assert stands is not None
            refused.append(stands.as_of)
    if how == "at once":
        counts = [online.write_packed(client, [key] * len(written), [each.packed(view) for each in written])]
    else:
        counts = [online.write_packed(client, [key], [each.packed(view)]) for each in written]
    assert sum(each.written for each in counts) == expected
    assert [one.as_of for each in counts for one in each.refused] == refused
    assert sum(each.kept for each in counts) == len(written) - expected - len(refused)
    answer = client.get(key)
    assert stands is not None
    assert isinstance(answer, bytes)
    row = unpack(view.layout, answer)
    epoch = 1 if stands.seen is None else stands.epoch
    assert (row.as_of, row.created_at, row.snapshot, row.epoch) == (stands.as_of, stands.created, stands.snapshot(), epoch)
    assert row.values == stands.values(view)
    counted = online.refusals(client, "detektor", view)
    assert {agent: count for agent, (count, _, writer) in counted.items() if writer == "test"} == (
        {"agent": len(refused)} if refused else {}
    )
