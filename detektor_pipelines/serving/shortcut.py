"""The short way of a read: whole requests whose head is known (`web.http_connection`), answered where Redis's answer arrives.

No task, no ASGI messages, no routes: what these cost is more than half of an answer. Whatever is not usual about a request, from an unknown
token to Redis being away, is left to the application, which then is given the same bytes: every refusal and every problem is told there.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from detektor_pipelines.log_lines import REQUEST_ID
from detektor_pipelines.serving.plans import Plans
from detektor_pipelines.serving.values.live_values import OnlineStoreLateError
from detektor_pipelines.stores.connections_redis import OnlineStoreDownError
from detektor_pipelines.stores.online import read_log
from detektor_pipelines.web.access import KNOWN, authorization, bearer
from detektor_pipelines.web.problems import ProblemError
from detektor_pipelines.web.request_log import id_given, new_id
from detektor_pipelines.web.tokens import digest_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from detektor_pipelines.serving.plans import Plan
    from detektor_pipelines.serving.server_metrics import ServerMetrics
    from detektor_pipelines.serving.values.sources import Source, Sources
    from detektor_pipelines.settings import Settings
    from detektor_pipelines.web.access import Access
    from detektor_pipelines.web.browsers import NoPages
    from detektor_pipelines.web.callers import Caller
    from detektor_pipelines.web.http_connection import Taken
    from detektor_pipelines.web.request_log import Lines

_JSON: Final = re.compile(rb"application/json(; *charset=utf-8)?", re.IGNORECASE)
_UNUSUAL: Final = frozenset((b"content-encoding", b"transfer-encoding", b"expect", b"upgrade", b"origin"))

FLUSH_S: Final = 0.25
"""How long what is counted of answers, and their lines in the log, wait."""

LINES_KEPT: Final = 100


class Head(NamedTuple):
    """What is known of a request's head: whose token it brings, and the id that the client gave."""

    digest: bytes | None
    request_id: str | None


class Shortcut:
    """What `web.http_connection` asks before it gives a request to the application."""

    def __init__(self, path: str, settings: Settings, metrics: ServerMetrics, access: Access | None, pages: NoPages, lines: Lines) -> None:
        self.sources: Sources | None = None
        self.metrics = metrics
        self._path = path
        self._access = access
        self._pages = pages
        self._lines = lines
        self._project = settings.project
        self._plans = Plans(settings.project, settings.serve_entities_limit)
        self._due: deque[tuple[_Read, float, float]] = deque()
        self._flushing = False

    def known(self, scope: Mapping[str, Any]) -> Head | None:
        """Return what is to be known of a request's head, None for one that is not usual."""
        headers = scope["headers"]
        usual = scope["method"] == "POST" and scope["path"] == self._path and not scope["query_string"]
        types = [value for name, value in headers if name == b"content-type"]
        if not usual or len(types) != 1 or not _JSON.fullmatch(types[0]) or any(name in _UNUSUAL for name, _ in headers):
            return None
        if self._pages.problem(headers) is not None:
            return None
        try:
            digest = None if self._access is None else digest_of(bearer(authorization(scope)))
        except ProblemError:
            return None
        return Head(digest, id_given(headers))

    def take(self, head: Head, body: bytes, taken: Taken) -> bool:
        """Answer a request, now or soon; False when it is not for this way."""
        sources, caller = self.sources, None
        if sources is None or sources.static.on:
            return False
        try:
            if head.digest is not None and self._access is not None:
                caller = self._access.known_by(head.digest)
                if caller is None:
                    return False
            plan = self._plans.of(body)
            if plan is None:
                return False
            sources.live.ask(plan.keys, _Read(self, sources, plan, taken, head.request_id or new_id(), caller))
        except (ProblemError, OnlineStoreDownError):
            return False
        return True

    def note(self, read: _Read, values: list[bytes | None] | None, seconds: float) -> None:
        """Count an answer, and have its line written, if it is worth one, soon; `values`: read from Redis."""
        self.metrics.note(read.plan.agents, seconds)
        if values is not None:
            self._sample(read.sources, read.plan, values)
        if self._lines.is_worth(self._path, 200, seconds):
            self._due.append((read, seconds, time.time()))
            if len(self._due) > LINES_KEPT:
                self._write_line()
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_later(FLUSH_S, self._flush_in_turn)

    def flush(self) -> None:
        """Do all that was left for later."""
        self.metrics.flush()
        while self._due:
            self._write_line()

    def _flush_in_turn(self) -> None:
        """Do the same, one line after the other, whoever asks meanwhile in between."""
        self.metrics.flush()
        self._write_in_turn()

    def _write_in_turn(self) -> None:
        if self._due:
            self._write_line()
        self._flushing = bool(self._due)
        if self._due:
            asyncio.get_running_loop().call_soon(self._write_in_turn)

    def _write_line(self) -> None:
        read, seconds, ended = self._due.popleft()
        scope = {"method": "POST", "path": self._path, "client": read.taken.client, KNOWN: read.caller}
        copy_context().run(self._write, read.request_id, scope, seconds, ended)

    def _sample(self, sources: Sources, plan: Plan, found: list[bytes | None]) -> None:
        """Keep a share of the values that were read, for parity."""
        chosen = []
        for number in sources.sampler.chosen(len(plan.read)):
            version, agent_id, at = plan.read[number]
            if (packed := found[at]) is not None:
                chosen.append((version, agent_id, packed))
        if chosen:
            sources.live.send(read_log.commands(self._project, chosen))

    def _write(self, request_id: str, scope: Mapping[str, Any], seconds: float, ended: float) -> None:
        REQUEST_ID.set(request_id)
        self._lines.write(scope, 200, seconds, ended)


class _Read:
    """A request that waits for its values (`live_values.Waiting`)."""

    __slots__ = ("_done", "_shortcut", "_started", "caller", "plan", "request_id", "sources", "taken")

    def __init__(self, shortcut: Shortcut, sources: Sources, plan: Plan, taken: Taken, request_id: str, caller: Caller | None) -> None:
        self._started = time.perf_counter()
        self._shortcut, self.sources, self._done = shortcut, sources, False
        self.plan, self.taken, self.request_id, self.caller = plan, taken, request_id, caller

    def patient(self) -> bool:
        """Whether it has nothing else to be answered from."""
        return self.sources.is_patient(self.plan.lookups)

    def done(self) -> bool:
        """Whether it was answered."""
        return self._done

    def answered(self, values: list[bytes | None]) -> None:
        """Answer it from Redis."""
        self._answer(values, "redis")

    def failed(self, error: Exception) -> None:
        """Answer it from what was kept, when Redis is only late; else the application finds out what there is to say."""
        self._done = True
        if isinstance(error, OnlineStoreLateError):
            self._answer(self.sources.instead(error, [key.decode() for key in self.plan.keys]), "fallback")
        else:
            self.taken.give_back()

    def _answer(self, values: list[bytes | None], source: Source) -> None:
        self._done = True
        try:
            made = self.plan.answer(values)
        except Exception:  # noqa: BLE001 - the application meets it again, tells it and logs it
            made = None
        if made is None:
            self.taken.give_back()
            return
        content, age = made
        old = b"" if age is None else b"x-feature-age-seconds: %.3f\r\n" % age
        self.taken.answer(
            b"content-type: application/json\r\ncontent-length: %d\r\nx-feature-source: %b\r\n%bx-request-id: %b\r\n"
            % (len(content), source.encode(), old, self.request_id.encode()),
            content,
        )
        self._shortcut.note(self, values if source == "redis" else None, time.perf_counter() - self._started)
