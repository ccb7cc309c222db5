"""Redis: values of agent_ids that go, of versions that nobody computes any more, notes of refused writes, and the sample of reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from detektor_pipelines.erasure.files import agent_of
from detektor_pipelines.language.hashes import SHORT, data_hash
from detektor_pipelines.stores.connections_redis import escaped, redis_client, redis_errors
from detektor_pipelines.stores.online import read_log
from detektor_pipelines.stores.online.values import value_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from redis import Redis

    from detektor_pipelines.erasure.events import Touched
    from detektor_pipelines.erasure.record import Record
    from detektor_pipelines.erasure.subject import Subject
    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings

_SOME: Final = 1_000


def remove(settings: Settings, subject: Subject, touched: Touched, record: Record, views: Sequence[FeatureView]) -> None:
    """Delete what is its own. Values of shared agent_ids are written again by who computes them; those of other versions go too.

    Raises:
        OnlineStoreDownError: Redis does not answer; what is left goes when called again.

    """
    present = {f"{view.name}@{data_hash(view)[:SHORT]}" for view in views}
    client = redis_client(settings)
    try:
        with redis_errors(client):
            gone = [key for key, agent_id in _values(client, settings.project) if _goes(key, agent_id, subject, touched, present)]
            for start in range(0, len(gone), _SOME):
                record.went("values online", cast("int", client.unlink(*gone[start : start + _SOME])))
            record.went("notes of refused writes", _notes(client, settings.project, subject, touched, write=True))
            record.went("sampled reads", _reads(client, settings.project, subject, touched, write=True))
            _save(client)
    finally:
        client.close()


def found(settings: Settings, subject: Subject, touched: Touched) -> dict[str, int]:
    """Count what is its own in Redis.

    Raises:
        OnlineStoreDownError: Redis does not answer.

    """
    client = redis_client(settings)
    try:
        with redis_errors(client):
            counts = {
                "values online": sum(_owned(agent_id, subject, touched) for _, agent_id in _values(client, settings.project)),
                "notes of refused writes": _notes(client, settings.project, subject, touched, write=False),
                "sampled reads": _reads(client, settings.project, subject, touched, write=False),
            }
    finally:
        client.close()
    return {name: number for name, number in counts.items() if number}


def _values(client: Redis, project: str) -> Iterator[tuple[bytes, str]]:
    for key in client.scan_iter(match=f"feast:{escaped(project)}:*", count=5_000):
        agent_id = agent_of(key.decode(errors="replace"))
        if agent_id is not None:
            yield key, agent_id


def _owned(agent_id: str, subject: Subject, touched: Touched) -> bool:
    return subject.owns(agent_id) or agent_id in touched.own or subject.is_in(agent_id)


def _goes(key: bytes, agent_id: str, subject: Subject, touched: Touched, present: set[str]) -> bool:
    if _owned(agent_id, subject, touched):
        return True
    version = key.decode(errors="replace")[: -len(agent_id) - 1].rpartition(":")[2]
    return agent_id in touched.spans and version not in present


def _notes(client: Redis, project: str, subject: Subject, touched: Touched, *, write: bool) -> int:
    number = 0
    for key in client.scan_iter(match=f"feast:{escaped(project)}:*#refused", count=5_000):
        agents = [name for name in cast("list[bytes]", client.hkeys(key)) if _owned(name.decode(errors="replace"), subject, touched)]
        number += len(agents)
        if agents and write:
            client.hdel(key, *cast("Any", agents))
    return number


def _reads(client: Redis, project: str, subject: Subject, touched: Touched, *, write: bool) -> int:
    """Go through the sample of reads: what was read of a shared agent_id knew of it as well."""
    key = read_log.key(project)
    entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", client.xrange(key))
    agents = [(entry, fields.get(b"a", b"").decode(errors="replace")) for entry, fields in entries]
    gone = [entry for entry, agent_id in agents if _owned(agent_id, subject, touched) or (write and agent_id in touched.spans)]
    if gone and write:
        client.xdel(key, *cast("Any", gone))
    return len(gone)


def _save(client: Redis) -> None:
    """Have the snapshot on Redis's disk replaced by one without it; a server that keeps none, or may not be asked, needs none."""
    import redis

    try:
        if cast("dict[str, str]", client.config_get("save")).get("save"):
            client.bgsave()
    except redis.ResponseError:  # one is being written; its successor will be without it. Or it is a service without this command.
        return


def standing(settings: Settings, view: FeatureView, agent_ids: Sequence[str]) -> list[str]:
    """Return those of the agent_ids that have a value online.

    Raises:
        OnlineStoreDownError: Redis does not answer.

    """
    client = redis_client(settings)
    try:
        with redis_errors(client):
            return [each for each in agent_ids if client.exists(value_key(settings.project, view, each))]
    finally:
        client.close()
