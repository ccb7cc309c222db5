"""The bare round trip by HTTP: a server that answers each request when Redis has answered a PING, and does nothing else.

    python bare_relay.py PORT REDIS_URL

`serving.py` runs it. Beside a client and Redis it is the third process on the same cores, as our server is: what an answer takes longer
than with it is ours, what that takes longer than a PING is HTTP's and the machine's. No TLS, no errors, whole requests only.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from typing import Final
from urllib.parse import urlparse

ANSWER: Final = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


class Redis(asyncio.Protocol):
    """The one connection to Redis; `waiting`: who asked, in order."""

    def __init__(self, password: str | None) -> None:
        self.waiting: deque[asyncio.Transport | None] = deque()
        self._password = password

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Give the password."""
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        if self._password:
            self.waiting.append(None)
            self.transport.write(b"AUTH %b\r\n" % self._password.encode())

    def data_received(self, data: bytes) -> None:
        """Answer as many as Redis has."""
        for _ in range(data.count(b"\r\n")):
            if (client := self.waiting.popleft()) is not None and not client.is_closing():
                client.write(ANSWER)


class Client(asyncio.Protocol):
    """A client's connection."""

    def __init__(self, redis: Redis) -> None:
        self._redis, self._data = redis, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep it."""
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Pass on each request that is whole."""
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            size = end + 4 + int(self._data[:end].lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
            if len(self._data) < size:
                return
            self._data = self._data[size:]
            self._redis.waiting.append(self._transport)
            self._redis.transport.write(b"PING\r\n")


async def main(port: int, url: str) -> None:
    """Serve until the process is ended."""
    where, loop = urlparse(url), asyncio.get_running_loop()
    _, redis = await loop.create_connection(lambda: Redis(where.password), where.hostname, where.port)
    server = await loop.create_server(lambda: Client(redis), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
