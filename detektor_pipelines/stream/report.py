"""What a stream worker says of itself: in Redis, at /health and /metrics, and on the terminal."""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines import clock
from detektor_pipelines.catalog import BESIDE
from detektor_pipelines.compile.loaded import are_definitions, definitions, phrase

if TYPE_CHECKING:
    from collections.abc import Callable

    from detektor_pipelines.stream.worker import Health

_NUMBERS: Final = (
    *("pid", "at", "as_of", "lag_us", "horizon", "keys", "waiting", "pending", "unresolved", "events", "values", "refused", "lost"),
    *("ahead_us", "rejected", "loads"),
)
_LARGEST: Final = 2**63


def report(health: Health) -> dict[str, Any]:
    """Return what a worker says of itself, as data for JSON; instants are µs UTC.

    `lag_us`: how far the newest tick that left nothing unread or unwritten lies behind the clock. `horizon`: transactions of the log that
    were still running. `beside`: earlier versions that it keeps fresh too.
    """
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "at": clock.now_us(),
        "as_of": health.as_of,
        "lag_us": max(clock.now_us() - health.complete, 0),
        "horizon": len(health.snapshot.running),
        "behind": health.behind,
        "shards": sorted(health.shards),
        "keys": health.keys,
        "waiting": health.waiting,
        "pending": health.pending,
        "unresolved": health.unresolved,
        "events": health.events,
        "values": health.values,
        "refused": health.refused,
        "lost": health.lost,
        "lost_at": health.lost_at,
        "ahead_us": health.ahead,
        "rejected": health.rejected,
        "loads": health.loads,
        "load_seconds": round(health.load_seconds, 3),
        "beat": health.beat,
        "definitions": definitions(),
        "beside": [phrase(view) for view in BESIDE],
    }


def read(text: bytes) -> dict[str, Any] | None:
    """Return what a worker has said; None for what is no report. Earlier releases leave out `beside` and `definitions`."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return None
    is_report = (
        isinstance(said, dict)
        and all(_is_number(said.get(name)) for name in _NUMBERS)
        and isinstance(said.get("host"), str)
        and isinstance(said.get("behind"), bool)
        and _is_list_of(said.get("shards"), _is_number)
        and _is_list_of(said.get("beside", []), lambda each: isinstance(each, str))
        and ("definitions" not in said or are_definitions(said["definitions"]))
    )
    return said if is_report else None


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LARGEST


def _is_list_of(value: object, fits: Callable[[object], bool]) -> bool:
    return isinstance(value, list) and all(map(fits, value))
