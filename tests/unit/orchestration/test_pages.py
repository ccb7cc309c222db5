"""Dagster's webserver as we start it: the guard stands before its application, and a websocket of elsewhere is not opened."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from dagster_webserver import cli

from detektor_pipelines.orchestration import pages


def test_what_dagster_serves_is_guarded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "create_app_from_workspace_process_context", lambda *_, **__: application)
    monkeypatch.setenv("DETEKTOR_SERVER_NAMES", "dagster.example")
    pages.guard()
    module: Any = cli
    served = module.create_app_from_workspace_process_context(None, "")
    assert {host: asked(served, host) for host in ("127.0.0.1:3000", "localhost:3000", "dagster.example", "page.example")} == {
        "127.0.0.1:3000": "http.response.start 200",
        "localhost:3000": "http.response.start 200",
        "dagster.example": "http.response.start 200",
        "page.example": "http.response.start 403",
    }


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_a_page_of_elsewhere_is_not_answered(kind: str) -> None:
    served = pages.guarded(application, None)
    own, other = (asked(served, "localhost:3000", origin, kind) for origin in ("http://localhost:3000", "http://page.example"))
    assert (own, other) == {
        "http": ("http.response.start 200", "http.response.start 403"),
        "websocket": ("websocket.accept", "websocket.close"),
    }[kind]


async def application(scope: Any, _receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
    else:
        await send({"type": "websocket.accept"})


def asked(served: Any, host: str, origin: str = "", kind: str = "http") -> str:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", host.encode()), *([(b"origin", origin.encode())] if origin else [])]
    asyncio.run(served({"type": kind, "path": "/graphql", "headers": headers}, None, send))
    status = sent[0].get("status")
    return f"{sent[0]['type']} {status}" if status else str(sent[0]["type"])
