"""The online store: the newest value of each agent_id, in Redis, one packed value a view.

Belongs here: keys, writes, reads, statuses. Does not belong here: the bytes of a value (`packing`), retired versions (`versions`),
and Feast, which reaches the same keys through `stores.feast.online_store`; this module never imports it.

    feast:<project>:<view>@<hash>:<agent_id>           a packed value; <hash> is the start of the view's data hash
    feast:<project>:<view>@<hash>#valid_through        µs UTC up to which the values are complete, one number a shard: "n,n,…"
    feast:<project>:<view>@<hash>#layout               the features' names and kinds, so that a retired version stays readable
    feast:<project>:<view>@<hash>#refused              a hash: agent_id → "count,last µs,writer" of writes that the guard refused

No agent_id can collide with the last three: behind the hash stands ':' for a value and '#' for what is about the version. No key expires.
How old a value is does not follow from when its row was written, but from `valid_through`: an idle agent's zeros stay true, and are
PRESENT, as long as batch or stream say that they have seen everything up to now. That holds for values that say what they know (their
snapshot of the log); of another nobody knows what it has seen, and it is true up to its own as_of (`OnlineRow.true_up_to`).

Who may overwrite whom is the guard's business (`guard.lua`): a write that it refuses is reported, and its shard's `valid_through`
does not move before the value is made good.
"""

from __future__ import annotations

import json
import logging
import os
import re
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path
from socket import gethostname
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast
from zlib import crc32

from detektor_pipelines import clock
from detektor_pipelines.language.hashes import short_hash
from detektor_pipelines.stores.connections_redis import OnlineStoreDownError, by_slot, escaped, is_cluster, mget, redis_client, redis_errors
from detektor_pipelines.stores.online.packing import (
    INSTANTS_END,
    CorruptValueError,
    Layout,
    Unpacked,
    Value,
    pack,
    pack_table,
    unpack,
    writer_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import pyarrow as pa
    from redis import Redis

    from detektor_pipelines.language.views import FeatureView

Call: TypeAlias = tuple[str, int, list[str | bytes]]
"""An EVAL: script, number of keys, keys and arguments."""

Status: TypeAlias = Literal["PRESENT", "NULL_VALUE", "NOT_FOUND", "OUTSIDE_MAX_AGE"]

ROWS_A_CALL: Final = 500
"""Values a script call: keeps Redis from other clients for about a millisecond."""

VALUES_A_ROUND_TRIP: Final = 10_000
CALLS_A_ROUND_TRIP: Final = 2_000
"""What a pipeline takes at once; in a cluster there is a call for each slot, and each carries the script."""

SHARDS: Final = 8
"""Parts of a view's agent_ids, by a hash of the name: each belongs to one stream worker, a batch writes all."""

ALL_SHARDS: Final = tuple(range(SHARDS))

OTHER: Final = "feast"
"""What stands in the keys of views that are not ours where our own have their data hash (`feast_other_views`)."""

_MOVE_FORWARD: Final = """
local moved, there = {}, true
local old = redis.pcall('GET', KEYS[1])
if type(old) == 'string' then for number in string.gmatch(old, '[^,]+') do moved[#moved + 1] = tonumber(number) or 0 end end
for shard = 1, tonumber(ARGV[2]) do moved[shard] = moved[shard] or 0 end
for i = 4, #ARGV do there = there and moved[tonumber(ARGV[i]) + 1] >= tonumber(ARGV[3]) end
local to, furthest = there and tonumber(ARGV[1]) or 1, 0
for i = 4, #ARGV do
    local shard = tonumber(ARGV[i]) + 1
    if to > moved[shard] then moved[shard] = to end
    if moved[shard] > furthest then furthest = moved[shard] end
end
for shard, number in ipairs(moved) do moved[shard] = string.format('%.0f', number) end
redis.call('SET', KEYS[1], table.concat(moved, ','))
return { there and 1 or 0, furthest }
"""
"""Moves the shards of ARGV[4…] to ARGV[1], of ARGV[2] in all, if each stands at ARGV[3] at least, else only to FILLING.

Returns which, and where the furthest of them stands now. Instants are written by `string.format`: cjson of Redis keeps 14 digits, and an
instant in µs has 16 (findings/redis-cjson-microseconds.sh).
"""

_FOR_EVER: Final = 10**15
"""Thirty years, in µs."""

_VALUE_KEY: Final = re.compile(r"(feast:.*?:[^:#@]*@[^@:#]+):")

_DIGITS: Final = 16
FILLING: Final = 1
"""Where a shard of `valid_through` stands whose values are lost and being written again; 0 is never. Neither is an instant to readers."""

_NOTE_REFUSED: Final = """
for i = 3, #ARGV do
    local count = tonumber(string.match(redis.call('HGET', KEYS[1], ARGV[i]) or '', '^%d+')) or 0
    redis.call('HSET', KEYS[1], ARGV[i], string.format('%.0f,%s,%s', count + 1, ARGV[1], ARGV[2]))
end
return 0
"""
"""Counts one more refused write of each of ARGV[3…], at ARGV[1] by ARGV[2]."""

_DISTRUST: Final = """
local value = redis.pcall('GET', KEYS[1])
local size = tonumber(ARGV[1])
if type(value) ~= 'string' or #value <= size or string.sub(value, 1, 2) ~= string.char(222, 1) then return 0 end
if string.sub(value, size + 1, size + 1) == ' ' or struct.unpack('>i8', value, 5) > tonumber(ARGV[2]) then return 0 end
redis.call('SET', KEYS[1], string.sub(value, 1, size) .. (string.match(value, ' .*', size + 1) or ''))
return 1
"""
"""Takes its snapshot from a value of ARGV[1] bytes before the tail, unless it is true later than ARGV[2]; returns whether it did."""

_LOOK: Final = """
local found, size = {}, tonumber(ARGV[1])
for i, key in ipairs(KEYS) do
    local known = redis.pcall('GETRANGE', key, size, size)
    if type(known) == 'string' and not string.find(known, '^%d') then
        local head = redis.call('GETRANGE', key, 0, 11)
        if head == '' then found[#found + 1] = -i
        elseif #head == 12 and string.sub(head, 1, 2) == string.char(222, 1) and struct.unpack('>i8', head, 5) < tonumber(ARGV[2]) then
            found[#found + 1] = i
        end
    end
end
return found
"""
"""Returns the positions of the keys that are not there, negative, and of the values that say nothing of the log, true before ARGV[2].

ARGV[1] is the size of a value before its tail. Reads a few bytes of each, not the values.
"""

__all__ = ["OnlineRow", "OnlineStoreDownError", "Status", "StoredView", "WriteCounts", "read", "read_views", "redis_client", "write_rows"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StoredView:
    """One version of a view as the online store knows it; from a definition, from Feast's registry, or from Redis itself."""

    name: str
    hash: str
    layout: Layout
    max_age_us: int | None

    @property
    def version(self) -> str:
        """Name and hash: `code_review_features@1a2b3c4d5e6f`."""
        return f"{self.name}@{self.hash}"


@dataclass(frozen=True, slots=True)
class OnlineRow:
    """The features of one agent_id. Instants are int µs UTC; an instant feature's value too.

    `as_of`: up to when the value is true knowledge. `event_timestamp`, `created_at`: the row it came from. `snapshot`: of the log, None
    when unknown. `valid_through`: up to when the values of its shard are complete, None when nobody has said so. `status`: PRESENT or
    OUTSIDE_MAX_AGE; a row that was never published is not an OnlineRow but None. `epoch`: the life of the log that the snapshot belongs to.
    `writer`: who wrote it, None when nobody said so.
    """

    agent_id: str
    as_of: int
    created_at: int
    event_timestamp: int
    snapshot: str | None
    values: Mapping[str, Value]
    valid_through: int | None = None
    status: Status = "PRESENT"
    epoch: int = 1
    writer: str | None = None

    @property
    def true_up_to(self) -> int:
        """Up to when the value is known to be true, µs UTC: one that does not say what it knows, up to its own instant only."""
        if self.snapshot is None or self.valid_through is None:
            return self.as_of
        return max(self.as_of, self.valid_through)

    def status_of(self, feature: str) -> Status:
        """Status of one feature: the row's own when it is too old, else NULL_VALUE for a null."""
        if self.status == "PRESENT" and self.values[feature] is None:
            return "NULL_VALUE"
        return self.status


@dataclass(frozen=True, slots=True)
class Refusal:
    """A write that the guard refused: neither it nor the stored value, true at `as_of` (µs UTC), knows all that both know."""

    agent_id: str
    as_of: int
    key: str


@dataclass(frozen=True, slots=True)
class WriteCounts:
    """What became of a write's values.

    `written`: put down. `kept`: left, because the stored value knows all that they know, or says the same. `refused`: neither; whoever
    wrote has to compute them again, for an instant that is not before the stored one's.
    """

    written: int
    kept: int
    refused: tuple[Refusal, ...] = field(default=())


def version_prefix(project: str, view: FeatureView | StoredView) -> str:
    """Return what all keys of one version begin with."""
    return f"feast:{project}:{stored_view(view).version}"


def value_key(project: str, view: FeatureView | StoredView, agent_id: str) -> str:
    """Return the key of one agent_id's packed value."""
    return f"{version_prefix(project, view)}:{agent_id}"


def valid_through_key(project: str, view: FeatureView | StoredView) -> str:
    """Return the key that says up to when a view's values are complete, shard by shard."""
    return f"{version_prefix(project, view)}#valid_through"


def shard_of(agent_id: str) -> int:
    """Return the shard that an agent_id belongs to, 0 to SHARDS − 1."""
    return crc32(agent_id.encode()) % SHARDS


def refused_key(project: str, view: FeatureView | StoredView) -> str:
    """Return the key of the hash that counts a version's refused writes."""
    return f"{version_prefix(project, view)}#refused"


def layout_key(project: str, view: FeatureView | StoredView) -> str:
    """Return the key that holds a version's features."""
    return f"{version_prefix(project, view)}#layout"


def stored_view(view: FeatureView | StoredView) -> StoredView:
    """Return a definition as the online store knows it."""
    return view if isinstance(view, StoredView) else _stored(view)


def this_process(kind: str) -> str:
    """Return what a value says of who wrote it: what it is, `stream` or `batch`, its host and its process."""
    host = gethostname().encode("ascii", errors="replace").decode()
    return f"{kind} {host}-{os.getpid()}"


def write_rows(  # noqa: PLR0913 - what a value says of itself, each with its own name
    client: Redis,
    project: str,
    view: FeatureView | StoredView,
    rows: pa.Table,
    *,
    as_of_us: int,
    valid_through_us: int | None,
    snapshot: str | Sequence[str | None] | None = None,
    epoch: int = 1,
    writer: str | None = None,
) -> WriteCounts:
    """Write a table of rows, agent_id each once or in any order; a key keeps what knows more (`guard.lua`).

    Args:
        client: Of Redis.
        project: Whose keys.
        view: Which version of which view.
        rows: agent_id: string, event_timestamp and created_at: timestamp, and the view's features.
        as_of_us: The instant that the values are true at.
        valid_through_us: Where the shards go whose values were all written or kept, after every row is down; none goes back. None: nowhere,
            and `move_valid_through` must follow: it also records what the view's features are.
        snapshot: Of the log that the rows were computed from, or one for each row; None: unknown.
        epoch: The life of the log that it belongs to.
        writer: Who writes, for people.

    Raises:
        KeyError: A column is missing.
        ValueError: A value that cannot be stored, such as a NaN.
        OnlineStoreDownError: Redis does not answer; what was written before stays, writing again is harmless.

    """
    target = stored_view(view)
    packed = pack_table(target.layout, rows, as_of=as_of_us, snapshot=snapshot, epoch=epoch, writer=writer)
    prefix = f"{version_prefix(project, target)}:"
    keys = [prefix + agent_id for agent_id in rows.column("agent_id").to_pylist()]
    return _write(client, project, target, keys, packed, valid_through_us)


def write_values(
    client: Redis, project: str, view: FeatureView | StoredView, rows: Sequence[OnlineRow], *, valid_through_us: int | None
) -> WriteCounts:
    """Write rows that carry their own as_of, snapshot and writer, as a stream's poll makes them; otherwise as `write_rows`.

    Raises:
        ValueError: A value that cannot be stored.
        OnlineStoreDownError: Redis does not answer.

    """
    target = stored_view(view)
    packed = [
        pack(
            target.layout,
            Unpacked(row.as_of, row.created_at, row.event_timestamp, row.snapshot, dict(row.values), row.epoch, row.writer),
        )
        for row in rows
    ]
    keys = [value_key(project, target, row.agent_id) for row in rows]
    return _write(client, project, target, keys, packed, valid_through_us)


def move_valid_through(
    client: Redis, project: str, view: FeatureView | StoredView, valid_through_us: int, shards: Sequence[int] = ALL_SHARDS
) -> None:
    """Say that the values of some shards are complete up to an instant, and what the view's features are; it never moves back.

    Raises:
        OnlineStoreDownError: Redis does not answer.

    """
    target = stored_view(view)
    with redis_errors(client), client.pipeline(transaction=False) as pipe:
        send(pipe, layout_call(project, target))
        if shards:
            send(pipe, move_call(project, target, valid_through_us, shards))
        pipe.execute()


def valid_through(client: Redis, project: str, view: FeatureView | StoredView) -> int | None:
    """Return up to when all of the view's values are complete, in µs UTC; None when that was never said of a shard.

    Raises:
        OnlineStoreDownError: Redis does not answer.

    """
    (instants,) = shard_instants(client, project, [view])
    return min(instants.values()) if len(instants) == SHARDS else None


def shard_instants(client: Redis, project: str, views: Iterable[FeatureView | StoredView]) -> list[Mapping[int, int]]:
    """Return for each view up to when its shards are complete, in µs UTC; a shard that nobody spoke of is missing.

    Raises:
        OnlineStoreDownError: Redis does not answer.

    """
    with redis_errors(client):
        answers = mget(client, [valid_through_key(project, view) for view in views])
    return [instants_of(answer) for answer in answers]


def refusals(client: Redis, project: str, view: FeatureView | StoredView) -> dict[str, tuple[int, int, str]]:
    """Return agent_id → (how often, when last in µs UTC, whose) of the view's refused writes, also of those made good since.

    Raises:
        OnlineStoreDownError: Redis does not answer.

    """
    with redis_errors(client):
        found = cast("dict[bytes, bytes]", client.hgetall(refused_key(project, view)))
    texts = {agent_id.decode(): text.decode().split(",", 2) for agent_id, text in found.items()}
    return {agent_id: (int(count), int(last), writer) for agent_id, (count, last, writer) in texts.items()}


def distrust(client: Redis, project: str, view: FeatureView | StoredView, agent_ids: Sequence[str], up_to_us: int) -> int:
    """Have the stored values of some agent_ids be true up to their own as_of only, but for those that are true later than `up_to_us`.

    What they know is forgotten, so `valid_through` says nothing of them; the next value that says what it knows overwrites them. Returns
    how many those were.

    Raises:
        OnlineStoreDownError: Redis does not answer.

    """
    if not agent_ids:
        return 0
    size = str(stored_view(view).layout.size)
    with redis_errors(client), client.pipeline(transaction=False) as pipe:
        for agent_id in agent_ids:
            send(pipe, (_DISTRUST, 1, [value_key(project, view, agent_id), size, str(up_to_us)]))
        return sum(pipe.execute())


def read(client: Redis, project: str, view: FeatureView | StoredView, agent_ids: Sequence[str]) -> list[OnlineRow | None]:
    """Read one view in one round trip, in the order of `agent_ids`; None where nothing was ever published.

    Raises:
        OnlineStoreDownError: Redis does not answer.

    """
    return read_views(client, project, [view], agent_ids)[0]


def read_views(
    client: Redis, project: str, views: Sequence[FeatureView | StoredView], agent_ids: Sequence[str]
) -> list[list[OnlineRow | None]]:
    """Read several views in one round trip: one list a view, each in the order of `agent_ids`.

    Raises:
        OnlineStoreDownError: Redis does not answer.

    """
    lookups = [Lookup(project, stored_view(view), tuple(agent_ids)) for view in views]
    with redis_errors(client):
        answers = mget(client, keys_of(lookups))
    return rows_of(lookups, answers)


def agent_ids(client: Redis, project: str, view: FeatureView | StoredView, limit: int) -> list[str]:
    """Return up to `limit` agent_ids that have a value, in no order.

    Raises:
        OnlineStoreDownError: Redis does not answer.

    """
    prefix = f"{version_prefix(project, view)}:"
    with redis_errors(client):
        keys = islice(client.scan_iter(match=f"{escaped(prefix)}*", count=1_000), limit)
        return [key.decode().removeprefix(prefix) for key in keys]


@dataclass(frozen=True, slots=True)
class Lookup:
    """One view's part of a read. `keys_of` and `rows_of` are the two pure halves of a read, for callers with a client of their own."""

    project: str
    view: StoredView
    agent_ids: Sequence[str]


def keys_of(lookups: Iterable[Lookup]) -> list[str]:
    """Return the keys of one MGET that answers all lookups."""
    keys = []
    for each in lookups:
        prefix = f"{version_prefix(each.project, each.view)}:"
        keys += [prefix + agent_id for agent_id in each.agent_ids]
        keys.append(valid_through_key(each.project, each.view))
    return keys


def rows_of(lookups: Iterable[Lookup], answers: Sequence[bytes | None]) -> list[list[OnlineRow | None]]:
    """Turn the MGET's answer into rows: one list a lookup.

    A value that is not of our format is logged and given as None: one damaged key must not fail a request for a hundred, NOT_FOUND is
    what a reader handles anyway, and the next write overwrites it.
    """
    now, position, result = clock.now_us(), 0, []
    for each in lookups:
        values = answers[position : position + len(each.agent_ids)]
        result.append(rows_at(each, values, answers[position + len(values)], now))
        position += len(values) + 1
    return result


def rows_at(lookup: Lookup, values: Sequence[bytes | None], mark: bytes | None, now: int) -> list[OnlineRow | None]:
    """Return the rows of one lookup at an instant (µs UTC); `mark`: what the view's `valid_through_key` holds."""
    through = instants_of(mark)
    return [_row(lookup, agent_id, value, through, now) for agent_id, value in zip(lookup.agent_ids, values, strict=True)]


def guard_calls(keys: Sequence[str], packed: Sequence[bytes], *, cluster: bool = False) -> list[Call]:
    """Return the EVAL calls (script, number of keys, keys and values) that write packed values through the guard.

    An answer is how many were written, then position (from 1) and stored as_of of each that was refused.
    `cluster`: no call has keys of two slots (`connections_redis.is_cluster`).
    """
    calls: list[Call] = []
    for group, theirs in by_slot(keys, packed) if cluster else [(keys, packed)]:
        for start in range(0, len(group), ROWS_A_CALL):
            some = group[start : start + ROWS_A_CALL]
            calls.append((_guard(), len(some), [*some, *theirs[start : start + ROWS_A_CALL]]))
    return calls


def send(client: Any, call: Call) -> Any:
    """Have a client or a pipeline of any kind do a call; one to a cluster has no `eval`."""
    script, number, arguments = call
    return client.execute_command("EVAL", script, number, *arguments)


def layout_call(project: str, view: StoredView) -> Call:
    """Return the EVAL call that records a version's layout."""
    layout = json.dumps([list(each) for each in view.layout.fields], separators=(",", ":"))
    return "redis.call('SETNX', KEYS[1], ARGV[1])", 1, [layout_key(project, view), layout]


def look_calls(project: str, view: StoredView, agent_ids: Sequence[str], before_us: int, *, cluster: bool = False) -> list[Call]:
    """Return EVAL calls that look for values: each answers with positions from 1 of its agent_ids, in their order.

    Negative positions are of those that have no value, positive ones of values without a snapshot that are true before `before_us`.
    `cluster`: one call for each agent_id, as each key has a slot of its own.
    """
    prefix = f"{version_prefix(project, view)}:"
    names = [prefix + agent_id for agent_id in agent_ids]
    arguments = [str(view.layout.size), str(before_us)]
    return [(_LOOK, len(some), [*some, *arguments]) for some in ([[name] for name in names] if cluster else filter(None, [names]))]


def move_call(project: str, view: StoredView, valid_through_us: int, shards: Sequence[int], *, expected: int = 0) -> Call:
    """Return the EVAL call that moves `valid_through` of some shards.

    Its answer is whether they moved, and where the furthest of them stands now. They have not when one of them stood before `expected`:
    then Redis lost what was written.
    """
    numbers = [str(valid_through_us), str(SHARDS), str(expected), *map(str, shards)]
    return _MOVE_FORWARD, 1, [valid_through_key(project, view), *numbers]


def write_packed(client: Redis, keys: Sequence[str], packed: Sequence[bytes]) -> WriteCounts:
    """Write packed values through the guard, and count what it refused in `#refused`; nothing else.

    Raises:
        OnlineStoreDownError: Redis does not answer; what was written before stays, writing again is harmless.

    """
    written, refused = 0, []
    with redis_errors(client), client.pipeline(transaction=False) as pipe:
        for calls in round_trips(guard_calls(keys, packed, cluster=is_cluster(client))):
            for call in calls:
                send(pipe, call)
            for (_, number, arguments), answer in zip(calls, pipe.execute(), strict=True):
                written += answer[0]
                for position, as_of in zip(answer[1::2], answer[2::2], strict=True):
                    refused.append((str(arguments[position - 1]), as_of, cast("bytes", arguments[number + position - 1])))
        if refused:
            for call in _notes(refused):
                send(pipe, call)
            pipe.execute()
    return WriteCounts(
        written, len(keys) - written - len(refused), tuple(Refusal(_parted(key)[1], as_of, key) for key, as_of, _ in refused)
    )


def _notes(refused: Iterable[tuple[str, int, bytes]]) -> list[Call]:
    """Return the EVAL calls that count refused writes: (key, stored as_of, packed value) of each."""
    by_version: dict[tuple[str, str], list[str | bytes]] = {}
    for key, _, packed in refused:
        version, agent_id = _parted(key)
        by_version.setdefault((version, writer_of(packed) or "unknown"), []).append(agent_id)
    now = str(clock.now_us())
    return [(_NOTE_REFUSED, 1, [f"{version}#refused", now, writer, *theirs]) for (version, writer), theirs in by_version.items()]


def _parted(key: str) -> tuple[str, str]:
    """Return what a value's key begins with, up to the version's hash, and its agent_id."""
    match = _VALUE_KEY.match(key)
    if match is None:
        message = f"{key!r} is not a value's key"
        raise ValueError(message)
    return match[1], key[match.end() :]


def round_trips(calls: Iterable[Call]) -> Iterator[list[Call]]:
    """Part calls into pipelines of a bearable size, in their order."""
    some: list[Call] = []
    values = 0
    for call in calls:
        if some and (len(some) == CALLS_A_ROUND_TRIP or values + call[1] > VALUES_A_ROUND_TRIP):
            yield some
            some, values = [], 0
        some.append(call)
        values += call[1]
    if some:
        yield some


def _write(
    client: Redis, project: str, view: StoredView, keys: Sequence[str], packed: Sequence[bytes], valid_through_us: int | None
) -> WriteCounts:
    counts = write_packed(client, keys, packed)
    if valid_through_us is not None:
        move_valid_through(client, project, view, valid_through_us, without_shards_of(each.agent_id for each in counts.refused))
    return counts


def without_shards_of(agent_ids: Iterable[str]) -> list[int]:
    """Return the shards that none of some agent_ids belongs to."""
    theirs = set(map(shard_of, agent_ids))
    return [shard for shard in ALL_SHARDS if shard not in theirs]


def _row(lookup: Lookup, agent_id: str, value: bytes | None, instants: Mapping[int, int], now: int) -> OnlineRow | None:
    if value is None:
        return None
    through = instants.get(shard_of(agent_id))
    try:
        row = unpack(lookup.view.layout, value)
    except CorruptValueError as error:
        key = value_key(lookup.project, lookup.view, agent_id)
        _log.warning("%s is not a readable value (%s); writing it again or deleting the key fixes it", key, error)
        return None
    known = row.as_of if row.snapshot is None or through is None or through < row.as_of else through
    status: Status = "PRESENT" if is_in_time(lookup.view, known, now) else "OUTSIDE_MAX_AGE"
    stamps = row.as_of, row.created_at, row.event_timestamp
    return OnlineRow(agent_id, *stamps, row.snapshot, row.values, through, status, row.epoch, row.writer)


def is_in_time(view: StoredView, known: int, now: int) -> bool:
    """Whether a value that is known to be true up to an instant (µs UTC) is neither too old nor ahead of the clock."""
    return known - now <= clock.AHEAD_LIMIT_US and (view.max_age_us is None or now - known <= view.max_age_us)


def status_holds(view: StoredView, known: Iterable[int], now: int) -> tuple[int, int]:
    """Return from when to when, both included and around `now`, no value has another status, by the instants up to which each is true."""
    since, until = 0, now + _FOR_EVER
    for each in known:
        ends = [each - clock.AHEAD_LIMIT_US - 1] + ([] if view.max_age_us is None else [each + view.max_age_us])
        for end in ends:  # the last instant of a status
            since, until = (max(since, end + 1), until) if end < now else (since, min(until, end))
    return since, until


@lru_cache(maxsize=256)
def instants_of(answer: bytes | None) -> Mapping[int, int]:
    """Read the instants by shard from what `valid_through_key` holds; one that was never set, or is damaged, is none."""
    numbers = answer.split(b",") if answer is not None else []
    return {
        shard: int(number)
        for shard, number in enumerate(numbers)
        if len(number) <= _DIGITS and number.isdigit() and FILLING < int(number) < INSTANTS_END
    }


@lru_cache(maxsize=64)
def _stored(view: FeatureView) -> StoredView:
    return StoredView(view.name, short_hash(view), Layout.of_view(view), view.max_age.size)


@lru_cache(maxsize=1)
def _guard() -> str:
    """Return the guard's script without its comments and indents, which every call would carry."""
    lines = Path(__file__).with_name("guard.lua").read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in (line.partition("--")[0].strip() for line in lines) if line)
