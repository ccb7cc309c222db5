"""What one peer may hold; the tables are bounded."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from detektor_pipelines.web import peers
from detektor_pipelines.web.access import Access, Guard
from detektor_pipelines.web.peers import BadTokens, Connections
from detektor_pipelines.web.tokens import TokenFile, add_token

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_bad_tokens_are_counted_by_peer_for_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr(peers.time, "monotonic", lambda: now)
    bad = BadTokens()
    for _ in range(peers.BAD_TOKENS):
        assert bad.problem("10.0.0.1") is None
        bad.note("10.0.0.1")
        bad.note("127.0.0.1")
    problem = bad.problem("10.0.0.1")
    assert problem is not None
    assert (problem.status, problem.headers["retry-after"]) == (429, "61")
    assert bad.problem("10.0.0.2") is bad.problem("127.0.0.1") is None
    now += peers.WINDOW_S
    assert bad.problem("10.0.0.1") is None


def test_the_table_of_peers_is_bounded() -> None:
    bad = BadTokens()
    for number in range(peers.PEERS + 100):
        bad.note(f"peer-{number}")
    assert len(bad) == peers.PEERS


def test_connections_are_counted_while_they_are_open() -> None:
    connections = Connections()
    found = [connections.opened("10.0.0.1") for _ in range(peers.CONNECTIONS + 1)]
    assert [each.status for each in found if each] == [429]
    assert connections.opened("10.0.0.2") is None
    for _ in found:
        connections.closed("10.0.0.1")
    connections.closed("10.0.0.2")
    assert len(connections) == 0


def test_the_guard_looks_into_no_further_bad_token_and_lets_good_ones_in(tmp_path: Path) -> None:
    token = add_token(tmp_path / "tokens", "ada")
    asked, seen = [], []

    class Provider:
        async def caller(self, token: str) -> None:
            asked.append(token)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        del scope, receive
        await send({"type": "http.response.start", "status": 200, "headers": []})

    guard = Guard(app, Access(TokenFile(tmp_path / "tokens"), Provider()), (), seen.append)

    async def status(token: str | None, peer: str = "10.0.0.1") -> int:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [] if token is None else [(b"authorization", f"Bearer {token}".encode())]
        await guard({"type": "http", "path": "/x", "headers": headers, "client": (peer, 1)}, None, send)  # type: ignore[arg-type]
        return int(sent[0]["status"])

    async def all_of_them() -> list[int]:
        for number in range(peers.BAD_TOKENS):
            assert await status(f"bad-{number}") == 401
        return [await status("one more"), await status(None), await status(token), await status("other", "10.0.0.2")]

    assert asyncio.run(all_of_them()) == [429, 401, 200, 401]
    assert len(asked) == peers.BAD_TOKENS + 1
    assert seen.count(429) == 1
