"""The worker as a program: ticks until told to stop, survives its servers, and says how it is."""

from __future__ import annotations

import json
import logging
import os
import socket
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines.errors import UserError
from detektor_pipelines.stores.connections_redis import OnlineStoreDownError, escaped, mget, redis_client, redis_errors
from detektor_pipelines.stores.online.worker_mark import WorkerMark, leave_mark
from detektor_pipelines.stream import metrics
from detektor_pipelines.stream.drainer import draining
from detektor_pipelines.stream.report import read, report
from detektor_pipelines.stream.worker import LIMIT, Worker

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings

QUICK_S: Final = 0.002
"""Between two polls while events come."""
SLOW_S: Final = 0.008
"""The longest pause: what the first event after a silence waits for."""
_SLOWER: Final = 1.02
_AGAIN_S: Final = 0.5
_REPORT_S: Final = 1.0
_REPORT_LIVES_S: Final = 15

_logger = logging.getLogger(__name__)


def run(
    settings: Settings,
    views: Sequence[FeatureView],
    stop: threading.Event,
    *,
    limit: int = LIMIT,
    metrics_port: int = 0,
    on_report: Callable[[dict[str, Any]], None] | None = None,
) -> None:
    """Keep `views` fresh until `stop` is set; with a server away it says so once and goes on trying, and so it does after any other fault.

    Args:
        settings: Where the servers are.
        views: What to keep fresh.
        stop: Set by a signal.
        limit: Events a tick.
        metrics_port: Where Prometheus asks; 0 for nowhere.
        on_report: Hears once a second how the worker is (`report`).

    """
    pause, reported, complaint = QUICK_S, 0.0, ""
    with Worker(settings, views, limit=limit) as worker, draining(settings), ExitStack() as stack:
        if metrics_port:
            stack.enter_context(metrics.serve(settings, worker.health, metrics_port))
        while not stop.is_set():
            try:
                rows = worker.tick()
                complaint = ""
            except UserError as error:
                if str(error) != complaint:
                    complaint = str(error)
                    _logger.warning("Starts again when the raw log can be read. %s", error)
                stop.wait(_AGAIN_S)
                continue
            except Exception:  # a service that nobody watches: what it counted is counted again from the log
                _logger.exception("Starts again")
                stop.wait(_AGAIN_S)
                continue
            if time.monotonic() >= reported + _REPORT_S:
                reported = time.monotonic()
                state = report(worker.health)
                _tell(settings, state)
                if on_report:
                    on_report(state)
            if not worker.health.behind:
                pause = QUICK_S if rows else min(pause * _SLOWER, SLOW_S)
                stop.wait(pause)
    _tell(settings, None)


def workers(settings: Settings) -> list[dict[str, Any]]:
    """Return the reports of the workers that lived within the last seconds; what else stands in their place is left out, and logged.

    Raises:
        OnlineStoreDownError: Redis does not answer.

    """
    client = redis_client(settings)
    try:
        with redis_errors(client):
            keys = sorted(client.scan_iter(match=f"{escaped(_key(settings, ''))}*", count=1_000))
            answers = mget(client, keys)
    finally:
        client.close()
    found = []
    for key, answer in zip(keys, answers, strict=True):
        if answer is None:  # it has faded meanwhile
            continue
        if (said := read(answer)) is None:
            _logger.warning("What stands at %s in Redis is no report of a stream worker: it is left out", key.decode())
        else:
            found.append(said)
    return found


def _tell(settings: Settings, state: dict[str, Any] | None) -> None:
    """Leave the report where others find it, or take it back; it fades when the worker is gone without that."""
    client, key = redis_client(settings), _key(settings, f"{socket.gethostname()}-{os.getpid()}")
    try:
        with redis_errors(client):
            if state is None:
                client.delete(key)
            else:
                client.set(key, json.dumps(state), ex=_REPORT_LIVES_S)
                leave_mark(client, settings.project, WorkerMark(state["beat"], state["lost_at"]))
    except OnlineStoreDownError:
        _logger.debug("Redis is away: no report")
    finally:
        client.close()


def _key(settings: Settings, worker: str) -> str:
    return f"feast:{settings.project}#stream:{worker}"
