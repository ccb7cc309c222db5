"""The mark that stream workers leave in Redis: that there is one, and when one last finished a round.

    feast:<project>#stream_mark      {"beat": Unix time, "lost": Unix time or 0}

It never expires, so that a worker that has gone is missed: without a mark nobody expects values to be fresh within seconds. `lost` is when
a worker last found values that Redis had dropped.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from redis import Redis


@dataclass(frozen=True, slots=True)
class WorkerMark:
    """Unix times, by the workers' clocks; `lost` is 0 when nothing was lost since the worker began."""

    beat: float
    lost: float = 0.0


def mark_key(project: str) -> str:
    """Return the mark's key."""
    return f"feast:{project}#stream_mark"


def leave_mark(client: Redis, project: str, mark: WorkerMark) -> None:
    """Write the mark; errors are redis-py's."""
    client.set(mark_key(project), json.dumps(asdict(mark)))


def read_mark(client: Redis, project: str) -> WorkerMark | None:
    """Return the mark, None when no worker has ever left one; errors are redis-py's."""
    answer = client.get(mark_key(project))
    return mark_of(answer if isinstance(answer, bytes) else None)


def mark_of(answer: bytes | None) -> WorkerMark | None:
    """Read a mark; what cannot be read is none."""
    try:
        found = json.loads(answer or b"")
        return WorkerMark(float(found["beat"]), float(found["lost"]))
    except (ValueError, KeyError, TypeError):
        return None
