"""Clients that ask a feature server all the time, and remember what became of each request.

Half of them keep their connection, the others make a new one for each request. Nobody asks twice: what fails, failed.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass
class Load:
    """What has happened so far. `sources`: answers by their header; `failures`: what went wrong, in words."""

    sources: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    slowest: float = 0.0

    def awaits(self, answers: int, source: str | None = None, *, seconds: float = 20) -> None:
        """Wait until so many more answers have come, of one source or of any."""
        before, deadline = self._number(source), time.monotonic() + seconds
        while self._number(source) < before + answers:
            assert not self.failures, self.failures[:5]
            assert time.monotonic() < deadline, (source, self.sources)
            time.sleep(0.01)

    def _number(self, source: str | None) -> int:
        return self.sources.total() if source is None else self.sources[source]


@contextmanager
def load(
    port: int,
    features: list[str],
    agents: list[str],
    *,
    clients: int = 4,
    each_s: float = 0.02,
    look: Callable[[Any], None] | None = None,
) -> Iterator[Load]:
    """Ask until the block ends: `clients` of them, each again `each_s` after its answer. `look` is given every answer's JSON."""
    body = json.dumps({"features": features, "entities": {"agent_id": agents}, "full_feature_names": True}).encode()
    found, over = Load(), threading.Event()

    def ask(keep: bool) -> None:  # noqa: FBT001 - of a thread
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        while not over.is_set():
            started = time.monotonic()
            try:
                connection.request("POST", "/get-online-features", body, {} if keep else {"Connection": "close"})
                response = connection.getresponse()
                content = response.read()
                if response.status != http.HTTPStatus.OK:
                    found.failures.append(f"{response.status}: {content[:300]!r}")
                elif look is not None:
                    look(json.loads(content))
                found.sources[response.headers["x-feature-source"]] += 1
            except (OSError, http.client.HTTPException) as error:
                found.failures.append(f"{'kept' if keep else 'new'} connection: {error!r}")
                connection.close()
            except AssertionError as error:
                found.failures.append(str(error))
            found.slowest = max(found.slowest, time.monotonic() - started)
            over.wait(each_s)
        connection.close()

    threads = [threading.Thread(target=ask, args=(number % 2 == 0,), daemon=True) for number in range(clients)]
    for each in threads:
        each.start()
    try:
        yield found
    finally:
        over.set()
        for each in threads:
            each.join(30)
