"""Tokens of an OIDC provider, verified by Feast's own parser: its keys, its claims, its names of users, roles and groups.

Importing this takes seconds, because Feast does; `access` imports it when a provider is configured, before the server listens.

What Feast's parser leaves open is closed here: audience and issuer are always compared, a token must expire, the shared secret of Feast's
own servers (INTRA_COMMUNICATION_BASE64, an unsigned token) and Kubernetes' tokens are not taken, and nothing waits for a provider longer
than `_TIMEOUT_S` a step. A provider that does not answer lets nobody new in: 503, at once for those who come within `_AWAY_S`.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import jwt
import requests
from feast.permissions.auth import oidc_token_parser
from feast.permissions.auth.oidc_token_parser import OidcTokenParser
from feast.permissions.auth_model import OidcAuthConfig
from feast.permissions.oidc_service import OIDCDiscoveryService
from starlette.authentication import AuthenticationError

from detektor_pipelines.web.callers import Caller, challenge, is_trusted
from detektor_pipelines.web.problems import ProblemError

if TYPE_CHECKING:
    from feast.permissions.user import User

    from detektor_pipelines.settings import Settings

_TIMEOUT_S: Final = 2.0
_WHOLE_S: Final = 5.0
_AWAY_S: Final = 1.0
_THREADS: Final = 4
_AT_A_TIME: Final = 64
_UNREACHABLE: Final = (requests.RequestException, jwt.PyJWKClientConnectionError)

_log = logging.getLogger(__name__)


class Provider:
    """One provider, as the settings name it."""

    def __init__(self, settings: Settings) -> None:
        self._parser = _Parser(settings)
        self._wanted = frozenset(filter(None, (each.strip() for each in (settings.serve_oidc_roles or "").split(","))))
        self._url = settings.serve_oidc_discovery_url
        self._threads = ThreadPoolExecutor(_THREADS, "oidc")
        self._under_way = 0
        self._away_until = 0.0
        # It writes a traceback for each bad token.
        oidc_token_parser.logger.setLevel(logging.CRITICAL)

    async def caller(self, token: str) -> Caller | None:
        """Return who a token is of; None when it is not good.

        Raises:
            ProblemError: 503 when the provider cannot be asked, 403 when its holder has none of the roles.

        """
        if time.monotonic() < self._away_until or self._under_way >= _AT_A_TIME:
            raise _away()
        self._under_way += 1
        try:
            async with asyncio.timeout(_WHOLE_S):
                found = await asyncio.get_running_loop().run_in_executor(self._threads, self._verified, token)
        except AuthenticationError as error:
            if not _unreachable(error):
                return None
            raise self._went(error) from None
        except TimeoutError as error:
            raise self._went(error) from None
        except jwt.PyJWTError as error:  # Feast's parser does not expect all of them: an unknown `crit`, say
            if not _unreachable(error):
                return None
            raise self._went(error) from None
        except Exception as error:
            _log.exception("A token could not be verified")
            raise _away() from error
        finally:
            self._under_way -= 1
        if self._wanted and self._wanted.isdisjoint((*found.roles, *found.groups)):
            detail = f"{found.name} has none of the roles and groups that may ask: {', '.join(sorted(self._wanted))}."
            raise ProblemError(403, detail, challenge("insufficient_scope", "none of the roles that may ask"))
        return found

    def _verified(self, token: str) -> Caller:
        """Ask Feast's parser, in a thread of its own: it is a coroutine that blocks.

        Raises:
            AuthenticationError: The token is not good, or the provider cannot be asked.

        """
        user: User = asyncio.run(self._parser.user_details_from_access_token(token))
        expires = jwt.decode(token, options={"verify_signature": False})["exp"]  # verified a line above
        return Caller(user.username, tuple(map(str, user.roles)), tuple(map(str, user.groups)), float(expires))

    def _went(self, error: BaseException) -> ProblemError:
        if time.monotonic() >= self._away_until:
            _log.warning("The OIDC provider cannot be asked (%s): %s", self._url, error)
        self._away_until = time.monotonic() + _AWAY_S
        return _away()


class _Parser(OidcTokenParser):
    """Feast's parser, without what it leaves open."""

    def __init__(self, settings: Settings) -> None:
        config = OidcAuthConfig(
            type="oidc",
            auth_discovery_url=settings.serve_oidc_discovery_url or "",
            client_id=settings.serve_oidc_client_id,
            audience=settings.serve_oidc_audience,
            issuer=settings.serve_oidc_issuer,
            ca_cert_path=str(settings.serve_oidc_ca or ""),
            jwks_request_timeout_seconds=_TIMEOUT_S,
        )
        super().__init__(config)
        self.oidc_discovery_service = _Discovery(config.auth_discovery_url, ca_cert_path=config.ca_cert_path)
        self._issuer = settings.serve_oidc_issuer
        self._first = threading.Lock()

    def _get_jwks_client(self) -> Any:
        with self._first:  # one client, one set of keys, however many come first
            return super()._get_jwks_client()

    def _decode_token(self, access_token: str) -> dict[str, Any]:
        claims: dict[str, Any] = super()._decode_token(access_token)
        if not isinstance(claims.get("exp"), int | float):
            raise jwt.MissingRequiredClaimError("exp")
        if claims.get("iss") != (self._issuer or self.oidc_discovery_service.discovery_data.get("issuer") or object()):
            raise jwt.InvalidIssuerError("another issuer")
        return claims

    async def _validate_k8s_sa_token_and_extract_namespace(self, access_token: str) -> User:
        del access_token
        raise AuthenticationError("Tokens of Kubernetes are not taken.")

    @staticmethod
    def _get_intra_comm_user(decoded_token: dict[str, Any]) -> None:
        """Know nobody by an unsigned token."""
        del decoded_token


class _Discovery(OIDCDiscoveryService):
    """Feast's reader of the discovery document, with a time-out, and keys over TLS only."""

    def _fetch_discovery_data(self) -> dict[str, Any]:
        response = requests.get(self.discovery_url, verify=self._ca_cert_path or True, timeout=_TIMEOUT_S, allow_redirects=False)
        response.raise_for_status()
        content = response.json()
        if not isinstance(content, dict) or not is_trusted(str(content.get("jwks_uri"))):
            raise requests.exceptions.InvalidURL("The discovery document names no keys that come over https.")
        return content


def _unreachable(error: BaseException) -> bool:
    """Whether it was the provider that failed, not the token."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, _UNREACHABLE):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _away() -> ProblemError:
    detail = "The OIDC provider does not answer. New tokens cannot be checked; those of the last minutes still work. Try again soon."
    return ProblemError(503, detail, {"retry-after": "1"})
