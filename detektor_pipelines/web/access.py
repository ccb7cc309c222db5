"""Who may ask: bearer tokens from a file (`tokens`), or those of an OIDC provider; both at once, or neither.

A provider's token is verified by Feast's own parser (`oidc`), once; then it is known until it expires, for `REMEMBERED_S` at most, so that
a request costs a hash and a look-up.

Belongs here: from an Authorization header to a name, or to the problem that the client is told. Nothing here imports Feast; `oidc`, which
does, is imported when a provider is configured.
"""

from __future__ import annotations

import asyncio
import logging
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines.errors import UserError
from detektor_pipelines.web.callers import Caller, Provider, challenge, is_trusted
from detektor_pipelines.web.peers import BadTokens
from detektor_pipelines.web.problems import MEDIA_TYPE, ProblemError
from detektor_pipelines.web.tokens import TokenFile, digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from starlette.types import ASGIApp, Receive, Scope, Send

    from detektor_pipelines.settings import Settings

REMEMBERED_S: Final = 300
"""How long a provider's token is taken without asking again: one that is taken back there is refused here after as long at most."""

KNOWN: Final = "detektor.caller"
"""Key of a request's scope: who asks; None on an open page for one who is not known. Absent when there is no access control."""

DETAIL: Final = "detektor.detail"
"""Key of a request's scope: what was wrong with it, for its line in the log (`request_log`)."""

_REMEMBERED: Final = 10_000
_REFUSED_S: Final = 2
_LONGEST: Final = 16_384

_log = logging.getLogger(__name__)
_caller = lru_cache(maxsize=1_024)(Caller)


class Access:
    """Knows those who may ask."""

    def __init__(self, tokens: TokenFile | None, provider: Provider | None) -> None:
        self._tokens = tokens
        self._provider = provider
        self._known: dict[bytes, tuple[float, Caller | ProblemError]] = {}
        self._asking: dict[bytes, asyncio.Task[Caller | None]] = {}

    def known(self, token: str) -> Caller | None:
        """Return who a token is of without asking anybody; None when that is not known here.

        Raises:
            ProblemError: A moment ago the provider said that its holder may not ask.

        """
        return self.known_by(digest_of(token))

    def known_by(self, digest: bytes) -> Caller | None:
        """Return whose token has a digest; otherwise as `known`."""
        if self._tokens is not None and (name := self._tokens.name_of(digest)) is not None:
            return _caller(name)
        kept = self._known.get(digest)
        if kept is None or kept[0] < time.time():
            return None
        if isinstance(kept[1], ProblemError):
            raise kept[1].with_traceback(None)
        return kept[1]

    async def caller(self, header: bytes | str | None) -> Caller:
        """Return who asks, by the Authorization header.

        Raises:
            ProblemError: 401 without a good token, 403 when its holder may not ask, 503 when the provider cannot be asked.

        """
        token = bearer(header)
        found = self.known(token)
        if found is None and self._provider is not None:
            found = await self._asked(self._provider, token)
        if found is None:
            raise _unknown()
        return found

    async def _asked(self, provider: Provider, token: str) -> Caller | None:
        """Ask the provider once for all who come with the same token meanwhile."""
        digest = digest_of(token)
        task = self._asking.get(digest)
        if task is None:
            task = self._asking[digest] = asyncio.get_running_loop().create_task(self._ask(provider, token, digest))
            task.add_done_callback(lambda _: self._asking.pop(digest, None))
        return await asyncio.shield(task)

    async def _ask(self, provider: Provider, token: str, digest: bytes) -> Caller | None:
        now = time.time()
        try:
            found = await provider.caller(token)
        except ProblemError as problem:
            if problem.status == 403:  # noqa: PLR2004 - what is away now is asked again
                self._keep(digest, now + _REFUSED_S, problem)
            raise
        if found is None:
            self._keep(digest, now + _REFUSED_S, _unknown())
        else:
            self._keep(digest, min(now + REMEMBERED_S, found.expires or now), found)
        return found

    def _keep(self, digest: bytes, until: float, what: Caller | ProblemError) -> None:
        while len(self._known) >= _REMEMBERED:
            del self._known[next(iter(self._known))]  # the one kept longest
        self._known.pop(digest, None)
        self._known[digest] = (until, what)


class Guard:
    """ASGI middleware: whatever is not open is for those who are known. It answers the others, and tells `refused` the status."""

    def __init__(self, app: ASGIApp, access: Access, open_paths: Iterable[str], refused: Callable[[int], None] | None = None) -> None:
        self._app = app
        self._access = access
        self._open = frozenset(open_paths)
        self._refused = refused
        self._bad = BadTokens()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, or answer it."""
        if scope["type"] == "http":
            try:
                scope[KNOWN] = await self._caller(scope)
            except Exception as error:  # noqa: BLE001 - whatever it is, nobody is let in by it
                problem = error if isinstance(error, ProblemError) else _fault(error)
                if scope["path"] not in self._open:
                    if self._refused is not None:
                        self._refused(problem.status)
                    scope[DETAIL] = problem.detail
                    await answer(problem, send)
                    return
                scope[KNOWN] = None
        await self._app(scope, receive, send)

    async def _caller(self, scope: Scope) -> Caller:
        """Return who asks; of a peer that has sent too many bad tokens, no further one is looked into.

        Raises:
            ProblemError: As `Access.caller`, and 429.

        """
        header, peer = authorization(scope), str((scope.get("client") or ("",))[0])
        problem = None if header is None else self._bad.problem(peer)
        if problem is not None:
            found = self._access.known(bearer(header))
            if found is None:
                raise problem
            return found
        try:
            return await self._access.caller(header)
        except ProblemError as refused:
            if header is not None and refused.status == 401:  # noqa: PLR2004 - the others have good tokens
                self._bad.note(peer)
            raise


def configured(settings: Settings) -> bool:
    """Whether the settings name anybody who may ask."""
    return bool(settings.serve_tokens_file or settings.serve_oidc_discovery_url)


def access_of(settings: Settings) -> Access | None:
    """Return who may ask by the settings; None when everybody who reaches the server may. With a provider, Feast is imported: seconds.

    Raises:
        UserError: The token file or the provider's settings cannot be used.

    """
    if not configured(settings):
        return None
    tokens = TokenFile(settings.serve_tokens_file) if settings.serve_tokens_file else None
    provider: Provider | None = None
    if settings.serve_oidc_discovery_url:
        check_provider(settings)
        from detektor_pipelines.compile import feast_import  # noqa: F401  before Feast
        from detektor_pipelines.web.oidc import Provider as OidcProvider

        provider = OidcProvider(settings)
    return Access(tokens, provider)


def check(settings: Settings) -> None:
    """Say what is wrong with the settings of who may ask, without importing Feast.

    Raises:
        UserError: The token file or the provider's settings cannot be used.

    """
    if settings.serve_tokens_file:
        TokenFile(settings.serve_tokens_file)
    if settings.serve_oidc_discovery_url:
        check_provider(settings)


def check_provider(settings: Settings) -> None:
    """Say what is missing in the provider's settings.

    Raises:
        UserError: It has no audience, is not reached over TLS, or its authority's certificate is not there.

    """
    url = settings.serve_oidc_discovery_url or ""
    if not settings.serve_oidc_audience:
        raise UserError(
            "Without an audience every token of the provider would do, also one made for another service.",
            where="setting DETEKTOR_SERVE_OIDC_AUDIENCE",
            fix="Set it to what the provider writes into `aud` of tokens for this server.",
        )
    if not is_trusted(url):
        raise UserError(
            "The provider's keys would come over a connection that anybody on the way can change.",
            where=f"setting DETEKTOR_SERVE_OIDC_DISCOVERY_URL, {url}",
            fix="Give an https address, as a rule https://<provider>/.well-known/openid-configuration.",
        )
    if settings.serve_oidc_ca and not settings.serve_oidc_ca.is_file():
        raise UserError(
            "The certificate of the provider's authority is not there.",
            where=str(settings.serve_oidc_ca),
            fix="Correct DETEKTOR_SERVE_OIDC_CA, or unset it.",
        )


def authorization(scope: Mapping[str, Any]) -> bytes | None:
    """Return a request's Authorization header."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            return bytes(value)
    return None


async def answer(problem: ProblemError, send: Send) -> None:
    """Send a problem as a whole answer."""
    body = problem.body()
    headers: list[Any] = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", b"%d" % len(body))]
    headers += [(name.encode(), value.encode()) for name, value in problem.headers.items()]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def bearer(header: bytes | str | None) -> str:
    """Return the token of an Authorization header.

    Raises:
        ProblemError: 401; there is none.

    """
    text = header.decode("latin-1") if isinstance(header, bytes) else header
    if text is None:
        raise ProblemError(401, "The request has no token. Send one: Authorization: Bearer <token>.", challenge())
    scheme, _, token = text.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or len(token) > _LONGEST:
        detail = "The Authorization header holds no bearer token. Write it as: Authorization: Bearer <token>."
        raise ProblemError(401, detail, challenge("invalid_request", "not a bearer token"))
    return token


def _unknown() -> ProblemError:
    detail = "The token is not valid. It is unknown here, has expired, or is for another service: get a new one."
    return ProblemError(401, detail, challenge("invalid_token", "unknown, expired or for another service"))


def _fault(error: Exception) -> ProblemError:
    _log.error("A token could not be checked", exc_info=error)
    return ProblemError(500, "The token could not be checked. The server's log file says why.")
