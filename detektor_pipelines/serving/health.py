"""How the feature server is: whether it answers, from what, and whether what it serves is as fresh as it ought to be.

    OK          200
    STALE       200   what is served is older than it ought to be: nobody moves it on
    DROPPED     200   Redis has dropped values within the last ten minutes: some agents are, or were, NOT_FOUND
    AHEAD       200   values lie ahead of the clock: nobody trusts them
    STATIC      200   somebody has switched serving to the values kept last
    FALLBACK    503   Redis is away; values kept earlier are served
    DOWN        503   Redis is away, and nothing was kept

What is stale is answered with 200: every server behind a load balancer reads the same Redis, so taking this one out of service would help
nobody and old values are what readers asked for, with their age. Whoever watches asks `GET /health?fresh`, which answers 503 to whatever is
not OK or STATIC. `GET /health/live` answers 200 while the process does and asks nobody: an orchestrator restarts what does not.

How fresh it ought to be depends on who keeps the values so: where a stream worker has ever been (`worker_mark`) within seconds, else within
the hours of the batch.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines import clock
from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.compile.loaded import definitions
from detektor_pipelines.stores.connections_redis import OnlineStoreDownError
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.stores.online.worker_mark import WorkerMark, mark_key, mark_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from detektor_pipelines.serving.server_metrics import ServerMetrics
    from detektor_pipelines.serving.values.last_known import LastKnown
    from detektor_pipelines.serving.values.sources import Sources
    from detektor_pipelines.settings import Settings

STREAM_S: Final = 5.0
"""A worker moves the values on once a second; less than this is a busy machine."""

BATCH_S: Final = 3 * 3600.0
"""The open day is computed each hour, so two runs are missing; as `quality.freshness.LATE`."""

DROPPED_S: Final = 600.0
FRESH: Final = ("OK", "STATIC")

_SECOND: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Online:
    """What Redis says: by view and shard up to when values are complete (µs UTC), and the workers' mark."""

    instants: Sequence[Mapping[int, int]]
    mark: WorkerMark | None

    def ages(self, now: int) -> dict[str, float]:
        """Return by view how old its oldest shard is, seconds; views of which nobody has said anything are missing."""
        oldest = {view.name: min(shards.values()) for view, shards in zip(VIEWS, self.instants, strict=True) if shards}
        return {name: max(0.0, (now - at) / _SECOND) for name, at in oldest.items()}

    @property
    def ahead(self) -> int:
        """By how much the furthest lies ahead of the clock, µs; 0 within what clocks may differ by."""
        ahead = max((each for shards in self.instants for each in shards.values()), default=0) - clock.now_us()
        return ahead if ahead > clock.AHEAD_LIMIT_US else 0


@dataclass
class ServerHealth:
    """Judges one server; remembers what Redis said last, so that ages grow on while it is away."""

    settings: Settings
    metrics: ServerMetrics
    last_known: LastKnown
    _last: Online = field(default_factory=lambda: Online([{} for _ in VIEWS], None))

    async def state(self, sources: Sources) -> tuple[dict[str, Any], int]:
        """Return the body of /health and its status."""
        if sources.static.on and self.last_known:
            return self._static(sources), 200
        try:
            found = await self._ask(sources)
        except OnlineStoreDownError as error:
            left = {"written_at": self.last_known.written_at, "values": len(self.last_known)} if self.last_known else None
            status = "FALLBACK" if left else "DOWN"
            away = {"status": status, "redis": "down", "reason": error.what, "where": error.where, "fallback": left}
            return away | {"definitions": definitions()}, 503
        through = {view.name: each.get(online.shard_of(view.agent)) for view, each in zip(VIEWS, found.instants, strict=True)}
        newest = max((each for each in through.values() if each is not None), default=None)
        content: dict[str, Any] = {"status": "OK", "redis": "up", "newest_valid_through": _text(newest), "definitions": definitions()}
        content |= judged(found, self.settings.serve_stale_seconds)
        return content | {"valid_through": {name: _text(each) for name, each in through.items()}}, 200

    async def measure(self, sources: Sources) -> None:
        """Put into the metrics what /health says, and how old each view's values are."""
        self.metrics.redis_up.set(sources.live.down is None)
        content, _ = await self.state(sources)
        self.metrics.fresh.set(content["status"] in FRESH)
        if content.get("redis") == "up":  # while it does not answer, it keeps what it says
            self.metrics.ahead.set(self._last.ahead / _SECOND)
        ages = self._last.ages(clock.now_us())
        for view in VIEWS:
            self.metrics.age.labels(view.name).set(ages.get(view.name, float("nan")))

    async def _ask(self, sources: Sources) -> Online:
        project = self.settings.project
        keys = [online.valid_through_key(project, view) for view in VIEWS]
        *instants, mark = await sources.live.get([*keys, mark_key(project)])
        self._last = Online([online.instants_of(answer) for answer in instants], mark_of(mark))
        return self._last

    def _static(self, sources: Sources) -> dict[str, Any]:
        """Say that somebody has switched to the values kept last: all is as wished, so the answer is 200."""
        kept = {"written_at": self.last_known.written_at, "values": len(self.last_known)}
        content = {"status": "STATIC", "since": sources.static.since, "fallback": kept}
        fix = "`detektor rollback --live` serves the values of Redis again."
        return content | {"fix": fix, "definitions": definitions()}


def judged(found: Online, limit: float | None) -> dict[str, Any]:
    """Return status, reason and fix of what is not as it should be; nothing when all is.

    Args:
        found: What Redis says.
        limit: From how many seconds on values are stale; None for what is usual where they come from.

    """
    if ahead := found.ahead / _SECOND:
        reason = f"Values lie up to {ahead:,.0f} s ahead of the clock: they are OUTSIDE_MAX_AGE, and nothing newer replaces them."
        fix = "Set the clocks right, then run `detektor online repair`."
        return {"status": "AHEAD", "reason": reason, "fix": fix, "ahead_seconds": ahead}
    limit = limit or (BATCH_S if found.mark is None else STREAM_S)
    ages = found.ages(clock.now_us())
    if stale := {name: age for name, age in ages.items() if age > limit}:
        return _stale(stale, found.mark)
    if found.mark is not None and len(ages) < len(VIEWS):
        missing = ", ".join(view.name for view in VIEWS if view.name not in ages)
        reason = f"Nothing is known of what Redis holds of {missing}: its values are gone, or are being written again."
        return {"status": "DROPPED", "reason": reason, "fix": _DROPPED_FIX}
    if found.mark is not None and found.mark.lost > time.time() - DROPPED_S:
        reason = f"Redis has dropped values, last {time.time() - found.mark.lost:.0f} s ago; the stream worker writes them again."
        return {"status": "DROPPED", "reason": reason, "fix": _DROPPED_FIX}
    return {}


_DROPPED_FIX: Final = "`detektor doctor` says whether this Redis evicts; give it more memory, or the policy noeviction or volatile-lru."


def _stale(stale: Mapping[str, float], mark: WorkerMark | None) -> dict[str, Any]:
    oldest = max(stale.values())
    names = "all views" if len(stale) == len(VIEWS) else ", ".join(stale)
    reason = f"What is served of {names} is true only up to {oldest:,.0f} s ago."
    if mark is None:
        fix = "`detektor status` says which days are stale; `detektor up stream` keeps values fresh within milliseconds."
    else:
        reason += f" A stream worker was last heard of {max(0.0, time.time() - mark.beat):,.0f} s ago."
        fix = "`detektor status` names the worker. One that hangs is ended by the watchdog; by hand: `detektor restart stream`."
    return {"status": "STALE", "reason": reason, "fix": fix, "stale_seconds": round(oldest, 3)}


def _text(instant: int | None) -> str | None:
    return None if instant is None else clock.to_text(instant)
