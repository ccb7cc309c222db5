"""Events over HTTP: `POST /v1/events` in our own format, `POST /v1/logs` in OpenTelemetry's; `detektor collect` serves it.

Belongs here: requests and answers. What becomes an event is said by `readers.jsonl` and `live.otlp`, how it is stored by `live.writer`.
An answer is sent when everything is committed, so a client that got none may send the same again: what is known adds nothing. Errors are
problem details (RFC 9457). On loopback there is no password, and a request that a browser's page could send is refused; beyond it the
command asks for a token.
"""

from __future__ import annotations

import zlib
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from queue import Empty, LifoQueue
from typing import TYPE_CHECKING, Any, Final

import orjson

from detektor_pipelines.compile.loaded import definitions
from detektor_pipelines.errors import UserError
from detektor_pipelines.ingest.live import otlp
from detektor_pipelines.ingest.live.writer import LiveWriter
from detektor_pipelines.ingest.readers import jsonl
from detektor_pipelines.ingest.readers.interface import ReadContext
from detektor_pipelines.ingest.readers.names import AgentNames, agent_names
from detektor_pipelines.ingest.readers.records import line_of
from detektor_pipelines.language.records import Rejection
from detektor_pipelines.stores.raw_log.live import STATUSES
from detektor_pipelines.web.problems import MEDIA_TYPE, ProblemError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

    from detektor_pipelines.language.records import AgentEvent
    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stores.raw_log.live import Outcome

SOURCE: Final = "http"
BODY_LIMIT: Final = 8 * 1024 * 1024
"""Bytes of a body, also when it is unpacked."""

EVENTS_LIMIT: Final = 10_000
WRITERS: Final = 4
"""Connections to PostgreSQL: as many requests are stored at once, others wait for one of them."""

RETRY_AFTER_S: Final = 5
JSON: Final = "application/json"
LINES: Final = ("application/x-ndjson", "application/jsonl", "application/ndjson")
PROTOBUF: Final = "application/x-protobuf"


def app(settings: Settings, *, mix: bool = False) -> Starlette:
    """Return the ASGI application.

    Args:
        settings: Which database, and which table of agent names.
        mix: Let simulated and real events share the database.

    """
    from starlette.applications import Starlette
    from starlette.routing import Route

    collector = _Collector(agent_names(settings.home), LifoQueue())
    for writer in [LiveWriter(settings, mix=mix) for _ in range(WRITERS)]:
        collector.writers.put(writer)

    @asynccontextmanager
    async def closing(_: Starlette) -> AsyncIterator[None]:
        yield
        with suppress(Empty):  # one that still writes closes with the process
            while True:
                collector.writers.get_nowait().close()

    routes = [
        Route("/v1/events", _answered(collector.events), methods=["POST"]),
        Route("/v1/logs", _answered(collector.logs), methods=["POST"]),
        Route("/healthz", _answered(collector.health), methods=["GET"]),
    ]
    handlers: dict[Any, Any] = {404: _not_found, 405: _not_found, 500: _failed}
    return Starlette(routes=routes, exception_handlers=handlers, lifespan=closing)


@dataclass(frozen=True, slots=True)
class _Collector:
    """What the requests share."""

    names: AgentNames
    writers: LifoQueue[LiveWriter]
    agents: otlp.AgentsSeen = field(default_factory=otlp.AgentsSeen)

    async def events(self, request: Request) -> Response:
        kind = _content_type(request, (JSON, *LINES))
        lines = _items(await _body(request)) if kind == JSON else [line for line in (await _body(request)).split(b"\n") if line.strip()]
        _check_number(lines)
        context = ReadContext(names=self.names, live=True)
        outcomes = await self._write([record for number, line in enumerate(lines, 1) for record in _one(number, line, context)])
        items = [
            {"event_id": each.event_id, "status": each.status, **({"reason": each.reason} if each.reason else {})} for each in outcomes
        ]
        counts = {status: sum(each.status == status for each in outcomes) for status in STATUSES}
        return _response(orjson.dumps({**counts, "items": items}), JSON)

    async def logs(self, request: Request) -> Response:
        kind = _content_type(request, (JSON, PROTOBUF))
        body = await _body(request)
        try:
            content = otlp.requests_of_json(body) if kind == JSON else otlp.requests_of_protobuf(body)
            number = otlp.number_of_records(content)
            if number > EVENTS_LIMIT:
                raise ProblemError(413, f"The request holds {number:,} log records. Send at most {EVENTS_LIMIT:,} a request.")
            records = list(otlp.read(content, self.names, self.agents))
        except otlp.UnreadableRequestError as error:
            raise ProblemError(400, f"The body cannot be read. {error}") from None
        refused = [each.reason for each in await self._write(records) if each.status == "rejected"]
        return _export_answer(kind, refused)

    async def health(self, request: Request) -> Response:
        """Answer while the program lives; the database is asked by requests."""
        del request
        return _response(orjson.dumps({"status": "ok", "definitions": definitions()}), JSON)

    async def _write(self, records: Sequence[AgentEvent | Rejection]) -> list[Outcome]:
        from starlette.concurrency import run_in_threadpool

        if not records:
            return []
        try:
            return await run_in_threadpool(self._write_blocking, records)
        except UserError as error:
            detail = f"The raw log cannot be written. {error.what} Send the request again: nothing of it is lost then."
            raise ProblemError(503, detail, {"retry-after": str(RETRY_AFTER_S)}) from error

    def _write_blocking(self, records: Sequence[AgentEvent | Rejection]) -> list[Outcome]:
        writer = self.writers.get()
        try:
            return writer.write(records)
        finally:
            self.writers.put(writer)


def _items(body: bytes) -> list[bytes]:
    """Cut a JSON array into its items; a single object is one item."""
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ProblemError(400, f"The body is not JSON. {error.msg} at line {error.lineno}, column {error.colno}.") from None
    if not isinstance(content, list | dict):
        raise ProblemError(400, "The body is not a list of events. Send a JSON array of objects, or NDJSON as application/x-ndjson.")
    items = content if isinstance(content, list) else [content]
    _check_number(items)
    return [line_of(item) for item in items]


def _check_number(items: Sequence[object]) -> None:
    if len(items) > EVENTS_LIMIT:
        raise ProblemError(413, f"The request holds {len(items):,} events. Send at most {EVENTS_LIMIT:,} a request.")


def _one(number: int, line: bytes, context: ReadContext) -> list[AgentEvent | Rejection]:
    """Read one item. A rejection is kept without its number: its place in a request means nothing to who reads it later."""
    found = list(jsonl.read([(number, line)], source=SOURCE, context=context))
    return [replace(each, line=None) if isinstance(each, Rejection) else each for each in found]


def _content_type(request: Request, allowed: Sequence[str]) -> str:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in allowed:
        raise ProblemError(415, f"Content-Type is {kind or 'missing'}. Send {' or '.join(allowed)}.")
    if request.headers.get("origin"):
        raise ProblemError(403, "Requests with an Origin header are refused: a web page could write into the raw log.")
    return kind


async def _body(request: Request) -> bytes:
    """Read the body, unpacked; neither it nor what it unpacks to may pass BODY_LIMIT."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"identity", "gzip"}:
        raise ProblemError(415, f"Content-Encoding is {encoding}. Send gzip, or none.")
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > BODY_LIMIT:
        raise _too_large()
    unpack = zlib.decompressobj(wbits=31) if encoding == "gzip" else None
    parts: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        part = chunk
        if unpack is not None:
            try:
                part = unpack.decompress(chunk, BODY_LIMIT - size + 1)
            except zlib.error as error:
                raise ProblemError(400, f"The body is not gzip: {error}.") from None
            if unpack.unused_data:
                raise ProblemError(400, "The body goes on behind its gzip's end. Send one gzip stream a request.")
        size += len(part)
        if size > BODY_LIMIT:
            raise _too_large()
        parts.append(part)
    if unpack is not None and not unpack.eof:
        raise ProblemError(400, "The body is cut-off gzip: its end is missing.")
    return b"".join(parts)


def _too_large() -> ProblemError:
    return ProblemError(413, f"The body is too large. Send at most {BODY_LIMIT:,} bytes a request, measured when unpacked.")


def _export_answer(kind: str, refused: Sequence[str]) -> Response:
    """OTLP's answer: what was refused is not to be sent again, so it is a success in part."""
    reasons = "; ".join(sorted(set(refused)))[:1_000]
    if kind == JSON:
        partial = {"partialSuccess": {"rejectedLogRecords": str(len(refused)), "errorMessage": reasons}} if refused else {}
        return _response(orjson.dumps(partial), JSON)
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

    message = ExportLogsServiceResponse()
    if refused:
        message.partial_success.rejected_log_records = len(refused)
        message.partial_success.error_message = reasons
    return _response(message.SerializeToString(), PROTOBUF)


def _answered(handle: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            return await handle(request)
        except ProblemError as problem:
            return _problem(problem)

    return answer


async def _not_found(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    detail = f"There is no {request.method} {request.url.path}. There are POST /v1/events, POST /v1/logs and GET /healthz."
    headers = {name.lower(): value for name, value in (getattr(error, "headers", None) or {}).items()}
    return _problem(ProblemError(status, detail, headers))


async def _failed(request: Request, error: Exception) -> Response:
    del error  # uvicorn writes it to the log file
    return _problem(ProblemError(500, f"{request.method} {request.url.path} failed. The log file of `detektor collect` says why."))


def _problem(problem: ProblemError) -> Response:
    return _response(problem.body(), MEDIA_TYPE, problem.status, problem.headers)


def _response(content: bytes, media_type: str, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    from starlette.responses import Response

    return Response(content, status_code=status, media_type=media_type, headers=headers)
