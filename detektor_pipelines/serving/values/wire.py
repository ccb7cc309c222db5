"""Redis's answers where they arrive: a connection that redis-py has made, without its layers around a round trip.

Belongs here: one command written, one list parsed. Connecting, TLS, passwords and errors are redis-py's: whatever else comes, or an end of
the connection, ends this way, and whoever asked asks again the other one.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from redis.asyncio import Redis


class Wire(asyncio.Protocol):
    """Takes the place of redis-py's own protocol on a connection; `answered` is told a command's list, None when there will be none."""

    def __init__(self, transport: asyncio.Transport, answered: Callable[[list[bytes | None] | None], None]) -> None:
        from hiredis import Reader

        self._transport, self._before = transport, transport.get_protocol()
        self._reader = Reader()
        self._answered = answered
        self._asking = False
        self.over = False
        transport.set_protocol(self)

    def ask(self, command: bytes) -> None:
        """Send a command; the one before was answered."""
        self._asking = True
        self._transport.write(command)

    def data_received(self, data: bytes) -> None:
        """Take a part of an answer."""
        self._reader.feed(data)
        try:
            found = self._reader.gets()
        except Exception:  # noqa: BLE001 - not Redis's protocol
            found = None
        if found is not False:  # else it goes on
            self._tell(found if type(found) is list and self._asking and not self._reader.has_data() else None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell redis-py's own protocol too, and whoever waits."""
        if not self.over:
            self._transport.set_protocol(self._before)
            cast("asyncio.Protocol", self._before).connection_lost(exc)
            self.over = True
            self._tell(None)

    def end(self) -> None:
        """Give the connection back to redis-py, and tell nothing more."""
        self._asking = False
        if not self.over:
            self.over = True
            self._transport.set_protocol(self._before)

    def _tell(self, found: list[bytes | None] | None) -> None:
        asking, self._asking = self._asking, False
        if found is None:
            self.end()
        if asking:
            self._answered(found)


def wire_of(client: Redis, answered: Callable[[list[bytes | None] | None], None]) -> Wire | None:
    """Return a wire over a client's own connection, None when it has none or none that is connected."""
    connection: Any = getattr(client, "connection", None)
    writer = getattr(connection, "_writer", None)
    return None if writer is None else Wire(writer.transport, answered)


def mget(keys: Iterable[Sequence[str] | Sequence[bytes]]) -> bytes:
    """Return the MGET of some lists of keys."""
    parts = [b""]
    for some in keys:
        for key in some:
            name = key if isinstance(key, bytes) else key.encode()
            parts.append(b"$%d\r\n%b\r\n" % (len(name), name))
    parts[0] = b"*%d\r\n$4\r\nMGET\r\n" % len(parts)
    return b"".join(parts)
