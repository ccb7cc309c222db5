"""What a stream worker says of itself: in Redis, at /health and /metrics, and on the terminal."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any

from detektor_pipelines import clock
from detektor_pipelines.catalog import BESIDE
from detektor_pipelines.compile.loaded import definitions, phrase

if TYPE_CHECKING:
    from detektor_pipelines.stream.worker import Health


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
