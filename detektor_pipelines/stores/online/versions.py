"""Which versions of the views stand in the online store, and how a retired one goes.

A changed definition has another data hash and writes under other keys; what the old one wrote stays readable until it is dropped here.
"""

from __future__ import annotations

import json
import logging
import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from detektor_pipelines.stores.connections_redis import escaped, mget, redis_errors
from detektor_pipelines.stores.online.packing import Layout
from detektor_pipelines.stores.online.values import FILLING, ROWS_A_CALL, StoredView, stored_view

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from redis import Redis

    from detektor_pipelines.language.views import FeatureView

_OF_A_VERSION: Final = re.compile(r"(?P<view>[^:#]*)@(?P<hash>[^@:#]+)[:#]")
_AS_OF: Final = struct.Struct(">4xq")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """What Redis holds of one version.

    `keys`: values. `size`: their bytes, without what Redis itself needs for a key. `last`: µs UTC up to when its values were last said to
    be complete, or the newest one is true where nobody said so; None when there is neither.
    """

    view: str
    hash: str
    keys: int
    size: int
    last: int | None

    @property
    def version(self) -> str:
        """Name and hash."""
        return f"{self.view}@{self.hash}"


def held(client: Redis, project: str) -> list[StoredVersion]:
    """Count what each version takes, by name and hash; also of one whose layout is gone.

    Raises:
        OnlineStoreDownError: Redis does not answer.

    """
    prefix = f"feast:{project}:"
    found: dict[tuple[str, str], list[int]] = {}  # values, bytes, newest as_of
    through: dict[tuple[str, str], int] = {}
    with redis_errors(client):
        for keys in _scanned(client, f"{escaped(prefix)}*@*"):
            names = [key.decode(errors="replace").removeprefix(prefix) for key in keys]
            with client.pipeline(transaction=False) as pipe:
                for key in keys:
                    pipe.strlen(key)
                    pipe.getrange(key, 0, -1 if key.endswith(b"#valid_through") else _AS_OF.size - 1)
                answers = pipe.execute(raise_on_error=False)  # a key of another Redis type is not ours
            for name, size, head in zip(names, answers[::2], answers[1::2], strict=True):
                if (match := _OF_A_VERSION.match(name)) is None or not isinstance(head, bytes):
                    continue
                version = match["view"], match["hash"]
                counts = found.setdefault(version, [0, 0, 0])
                if name[match.end() - 1] == ":":
                    counts[0] += 1
                    counts[1] += size
                    counts[2] = max(counts[2], _AS_OF.unpack(head)[0] if len(head) == _AS_OF.size else 0)
                elif name.endswith("#valid_through"):
                    through[version] = max((int(each) for each in head.split(b",") if each.isdigit()), default=0)
    return [
        StoredVersion(*version, counts[0], counts[1], _instant(through.get(version, 0)) or _instant(counts[2]))
        for version, counts in sorted(found.items())
    ]


def versions(client: Redis, project: str) -> list[StoredView]:
    """List every version of every view that was ever written and not dropped, by name and hash; their max_age is None.

    Raises:
        OnlineStoreDownError: Redis does not answer.

    """
    with redis_errors(client):
        keys = sorted(client.scan_iter(match=f"feast:{escaped(project)}:*#layout", count=5_000))
        layouts = cast("list[bytes]", mget(client, keys))
    found = []
    for key, layout in zip(keys, layouts, strict=True):
        name, _, short = key.decode().removeprefix(f"feast:{project}:").removesuffix("#layout").rpartition("@")
        try:
            found.append(StoredView(name, short, Layout.of((name, kind) for name, kind in json.loads(layout)), max_age_us=None))
        except (TypeError, ValueError):
            _log.warning("%s does not hold a version's features; delete the key, the next write fixes it", key.decode())
    return found


def retired(client: Redis, project: str, current: Iterable[FeatureView | StoredView]) -> list[StoredView]:
    """List the stored versions that are not of `current`: still readable, written no more.

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
    return drop(client, project, stored_view(view).version)


def drop(client: Redis, project: str, version: str) -> int:
    """Do the same for a version that is known by its name and hash only.

    Raises:
        OnlineStoreDownError: Redis does not answer; what is left goes when called again.

    """
    prefix, values = f"feast:{project}:{version}", 0
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


def _instant(number: int) -> int | None:
    return number if number > FILLING else None
