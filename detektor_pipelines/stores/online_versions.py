"""Which versions of the views stand in the online store, and how a retired one goes.

A changed definition has another data hash and writes under other keys; what the old one wrote stays readable until it is dropped here.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, cast

from detektor_pipelines.stores.connections_redis import escaped, redis_errors
from detektor_pipelines.stores.online import ROWS_A_CALL, StoredView, stored_view, version_prefix
from detektor_pipelines.stores.packing import Layout

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from redis import Redis

    from detektor_pipelines.language.views import FeatureView

_log = logging.getLogger(__name__)


def versions(client: Redis, project: str) -> list[StoredView]:
    """List every version of every view that was ever written and not dropped, by name and hash; their max_age is None.

    Raises:
        OnlineStoreDownError: Redis does not answer.

    """
    with redis_errors(client):
        keys = sorted(client.scan_iter(match=f"feast:{escaped(project)}:*#layout", count=5_000))
        layouts = cast("list[bytes]", client.mget(keys) if keys else [])
    found = []
    for key, layout in zip(keys, layouts, strict=True):
        name, _, short = key.decode().removeprefix(f"feast:{project}:").removesuffix("#layout").rpartition("@")
        try:
            found.append(StoredView(name, short, Layout.of((name, kind) for name, kind in json.loads(layout)), max_age_us=None))
        except (TypeError, ValueError):
            _log.warning("%s does not hold a version's features; delete the key, the next write puts it right", key.decode())
    return found


def retired(client: Redis, project: str, current: Iterable[FeatureView | StoredView]) -> list[StoredView]:
    """List the stored versions that are none of `current`: still readable, written no more.

    Raises:
        OnlineStoreDownError: Redis does not answer.

    """
    kept = {stored_view(view).version for view in current}
    return [each for each in versions(client, project) if each.version not in kept]


def drop_version(client: Redis, project: str, view: FeatureView | StoredView) -> int:
    """Delete all values of one version, and what is stored about it; returns how many values went.

    Raises:
        OnlineStoreDownError: Redis does not answer; what is left goes when called again.

    """
    prefix, values = version_prefix(project, view), 0
    with redis_errors(client):
        for some in _scanned(client, f"{escaped(prefix)}:*"):
            values += cast("int", client.unlink(*some))
        for some in _scanned(client, f"{escaped(prefix)}#*"):  # last: the layout is what `versions` finds an unfinished drop by
            client.unlink(*some)
    return values


def _scanned(client: Redis, pattern: str) -> Iterator[list[bytes]]:
    some: list[bytes] = []
    for key in client.scan_iter(match=pattern, count=5_000):
        some.append(key)
        if len(some) == ROWS_A_CALL:
            yield some
            some = []
    if some:
        yield some
