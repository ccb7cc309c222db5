"""Who asks: what is known of a caller, what a provider of tokens does, and the header that tells a client what is wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. `expires`: until when the token is good, seconds since 1970, None for ever."""

    name: str
    roles: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    expires: float | None = None


class Provider(Protocol):
    """What `oidc.Provider` does; a provider that is away is a 503."""

    async def caller(self, token: str) -> Caller | None:
        """Return who a token is of; None when it is not good.

        Raises:
            ProblemError: 503 when the provider cannot be asked, 403 when its holder may not ask.

        """


def is_trusted(url: str) -> bool:
    """Whether nobody on the way can change what comes from an address: TLS, or this machine."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in {"localhost", "127.0.0.1", "::1"})


def challenge(error: str = "", description: str = "") -> dict[str, str]:
    """Return the header by which RFC 6750 says what is wanted."""
    more = f', error="{error}", error_description="{description}"' if error else ""
    return {"www-authenticate": f'Bearer realm="detektor"{more}'}
