"""What a web page could send is refused, what programs and probes send is not."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from detektor_pipelines.web.browsers import NoPages, names_of

OWN = names_of("features.example, Registry.example", "box")


def status(names: frozenset[str] | None, **headers: str) -> int:
    sent: list[Any] = []
    refused: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        del scope, receive
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: Any) -> None:
        sent.append(message)

    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    asyncio.run(NoPages(app, names, refused.append)({"type": "http", "path": "/", "headers": raw}, None, send))  # type: ignore[arg-type]
    found = int(sent[0]["status"])
    assert refused == ([] if found == 200 else [found])
    if found != 200:
        assert json.loads(sent[1]["body"])["detail"]
    return found


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1:6566", 200),
        ("localhost:6566", 200),
        ("LOCALHOST.", 200),
        ("app.localhost:1", 200),
        ("[::1]:6566", 200),
        ("10.1.2.3:6566", 200),
        ("features.example", 200),
        ("registry.example.:6567", 200),
        ("box:1", 200),
        ("page.example:6566", 403),
        ("localhost.page.example", 403),
        ("127.0.0.1.page.example", 403),
        ("[page.example]", 403),
        ("", 403),
        ("ä", 403),
    ],
)
def test_a_name_that_is_not_ours_is_refused_where_there_are_no_tokens(host: str, expected: int) -> None:
    assert status(OWN, host=host) == expected
    assert status(None, host=host) == 200, "a page has no token, a proxy may have any name"


def test_who_sends_no_host_is_no_browser() -> None:
    assert status(OWN) == 200


@pytest.mark.parametrize(
    "origin", ["https://page.example", "null", "", "http://localhost:1", "http://localhost:6566.page.example", "x://["]
)
@pytest.mark.parametrize("names", [OWN, None])
def test_a_page_of_elsewhere_is_refused_whatever_it_sends(origin: str, names: frozenset[str] | None) -> None:
    kinds = ("text/plain", "application/x-www-form-urlencoded", "application/json")
    assert {status(names, host="localhost:6566", origin=origin, **{"content-type": kind}) for kind in kinds} == {403}
    assert status(names, host="localhost:6566", origin="http://localhost:6566") == 200, "our own page"
