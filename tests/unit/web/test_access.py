from __future__ import annotations

import asyncio
import hashlib
import json
import os
import stat
import time
from typing import TYPE_CHECKING, Any

import pytest

from detektor_pipelines.errors import UserError
from detektor_pipelines.settings import Settings
from detektor_pipelines.web import access as module
from detektor_pipelines.web import tokens
from detektor_pipelines.web.access import KNOWN, Access, Guard, access_of, check
from detektor_pipelines.web.addresses import is_loopback
from detektor_pipelines.web.callers import Caller
from detektor_pipelines.web.listening import listen_address
from detektor_pipelines.web.problems import ProblemError
from detektor_pipelines.web.tokens import TokenFile, add_token

if TYPE_CHECKING:
    from pathlib import Path


class FakeProvider:
    """Knows the tokens that begin with `good`; `away` and `forbids` say what happens instead."""

    def __init__(self, *, lasts: float = 60) -> None:
        self.asked: list[str] = []
        self.lasts = lasts
        self.problem: ProblemError | None = None

    async def caller(self, token: str) -> Caller | None:
        self.asked.append(token)
        await asyncio.sleep(0)
        if self.problem:
            raise self.problem
        return Caller("ada", expires=time.time() + self.lasts) if token.startswith("good") else None


def status_of(access: Access, header: bytes | str | None) -> int | str:
    try:
        return asyncio.run(access.caller(header)).name
    except ProblemError as error:
        problem = error
    assert problem.status != 401 or problem.headers["www-authenticate"].startswith('Bearer realm="detektor"')
    return problem.status


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "tokens"


def test_a_token_that_was_made_is_known_by_its_name_and_not_stored(file: Path) -> None:
    first, second = add_token(file, "grafana"), add_token(file, "ada@example.org")
    access = Access(TokenFile(file), None)
    assert status_of(access, f"Bearer {first}".encode()) == "grafana"
    assert status_of(access, f"bearer  {second}") == "ada@example.org"
    assert first not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "header", [None, b"", b"Bearer", b"Bearer ", b"Basic YTpi", b"Bearer wrong", b"Bearer \xff\xfe", b"Bearer " + b"x" * 20_000]
)
def test_nothing_else_is(file: Path, header: bytes | None) -> None:
    made = add_token(file, "grafana")
    access = Access(TokenFile(file), None)
    assert status_of(access, header) == 401
    assert status_of(access, f"Bearer {made}x") == 401
    assert status_of(access, f"Bearer {hashlib.sha256(made.encode()).hexdigest()}") == 401, "what is stored opens nothing"


def test_a_line_taken_out_takes_the_token_back(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_REREAD_S", 0)
    first, second = add_token(file, "first"), add_token(file, "second")
    access = Access(TokenFile(file), None)
    assert status_of(access, f"Bearer {first}") == "first"
    file.write_text("".join(line for line in file.read_text().splitlines(keepends=True) if not line.startswith("first")))
    os.utime(file, ns=(1, 1))
    assert [status_of(access, f"Bearer {each}") for each in (first, second)] == [401, "second"]
    file.write_text(f"half a li\n{file.read_text()}")
    os.utime(file, ns=(2, 2))
    assert status_of(access, f"Bearer {second}") == "second", "a line that cannot be understood takes none of the others"
    file.write_text("half a li")
    os.utime(file, ns=(4, 4))
    assert status_of(access, f"Bearer {second}") == 401, "a line beside it that is gone is gone"
    file.write_text("")
    os.utime(file, ns=(3, 3))
    assert status_of(access, f"Bearer {second}") == 401


def test_a_file_that_is_gone_takes_all_tokens_back(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_REREAD_S", 0)
    first = add_token(file, "first")
    kept, access = file.read_text(), Access(TokenFile(file), None)
    assert status_of(access, f"Bearer {first}") == "first"
    file.unlink()
    assert status_of(access, f"Bearer {first}") == 401
    file.write_text(kept)
    assert status_of(access, f"Bearer {first}") == "first", "and it may come back"


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ("", "tokens"),
        ("# none\n", "tokens"),
        ("a b", "line 1"),
        (f"# x\na sha256:{'0' * 63}", "line 2"),
        (f"a b sha256:{'0' * 64}", "line 1"),
    ],
)
def test_a_file_that_lists_none_or_cannot_be_understood_is_said(tmp_path: Path, content: str, where: str) -> None:
    file = tmp_path / "tokens"
    file.write_text(content)
    with pytest.raises(UserError) as found:
        TokenFile(file)
    assert where in str(found.value.where)
    assert found.value.fix


def test_a_line_may_stand_without_an_end_and_with_a_comment(file: Path) -> None:
    made = add_token(file, "first")
    file.write_text(file.read_text().rstrip() + "  # of the dashboard")
    assert status_of(Access(TokenFile(file), None), f"Bearer {made}") == "first"
    assert status_of(Access(TokenFile(file), None), f"Bearer {add_token(file, 'second')}") == "second"


@pytest.mark.parametrize("name", ["", "a b", "a#b", "a\nb", "x" * 101])
def test_a_name_that_would_break_the_file(file: Path, name: str) -> None:
    with pytest.raises(UserError):
        add_token(file, name)
    assert not file.exists()


def test_a_providers_token_is_asked_about_once_until_it_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = FakeProvider(lasts=100)
    access = Access(None, provider)

    async def many() -> list[str]:
        return [each.name for each in await asyncio.gather(*(access.caller("Bearer good") for _ in range(20)))]

    assert asyncio.run(many()) == ["ada"] * 20
    assert provider.asked == ["good"]
    now = time.time()
    monkeypatch.setattr(module.time, "time", lambda: now + 101)
    assert status_of(access, "Bearer good") == "ada"
    assert provider.asked == ["good", "good"]


def test_a_token_that_lives_long_is_asked_about_again(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = FakeProvider(lasts=1_000_000)
    access = Access(None, provider)
    status_of(access, "Bearer good")
    now = time.time()
    monkeypatch.setattr(module.time, "time", lambda: now + module.REMEMBERED_S + 1)
    status_of(access, "Bearer good")
    assert provider.asked == ["good", "good"]


def test_a_bad_token_is_refused_for_a_moment_without_asking() -> None:
    provider = FakeProvider()
    access = Access(None, provider)
    assert [status_of(access, "Bearer bad") for _ in range(3)] == [401] * 3
    assert provider.asked == ["bad"]


def test_a_provider_that_is_away_lets_in_whom_it_knew_and_nobody_new() -> None:
    provider = FakeProvider()
    access = Access(None, provider)
    assert status_of(access, "Bearer good") == "ada"
    provider.problem = ProblemError(503, "away")
    assert status_of(access, "Bearer good") == "ada"
    assert [status_of(access, "Bearer good2") for _ in range(2)] == [503, 503]
    provider.problem = None
    assert status_of(access, "Bearer good2") == "ada", "it is asked again, what failed is not remembered"


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_REMEMBERED", 5)
    access = Access(None, FakeProvider())
    for number in range(20):
        status_of(access, f"Bearer good{number}")
    assert len(access._known) == 5


def test_a_file_and_a_provider_at_once(file: Path) -> None:
    made, provider = add_token(file, "grafana"), FakeProvider()
    access = Access(TokenFile(file), provider)
    assert [status_of(access, f"Bearer {made}"), status_of(access, "Bearer good")] == ["grafana", "ada"]
    assert provider.asked == ["good"]


def test_a_fault_lets_nobody_in() -> None:
    provider = FakeProvider()
    provider.problem = ZeroDivisionError()  # type: ignore[assignment]
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def app(*_: Any) -> None:
        pytest.fail("let in")

    scope = {"type": "http", "path": "/x", "headers": [(b"authorization", b"Bearer good")]}
    asyncio.run(Guard(app, Access(None, provider), ())(scope, None, send))  # type: ignore[arg-type]
    assert sent[0]["status"] == 500
    assert b"ZeroDivisionError" not in sent[1]["body"]


@pytest.mark.parametrize(
    ("path", "header", "status", "known"),
    [
        ("/x", b"Bearer good", 200, "ada"),
        ("/x", None, 401, None),
        ("/health", None, 200, None),
        ("/health", b"Bearer good", 200, "ada"),
        ("/health/", None, 401, None),
    ],
)
def test_the_guard(path: str, header: bytes | None, status: int, known: str | None) -> None:
    seen: list[Any] = []
    refused: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope[KNOWN])
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def ask() -> list[Any]:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [] if header is None else [(b"authorization", header)]
        guard = Guard(app, Access(None, FakeProvider()), ("/health",), refused.append)
        await guard({"type": "http", "path": path, "headers": headers}, None, send)  # type: ignore[arg-type]
        return sent

    sent = asyncio.run(ask())
    assert sent[0]["status"] == status
    if status == 200:
        assert [each and each.name for each in seen] == [known]
        assert not refused
    else:
        assert not seen
        assert refused == [status]
        assert json.loads(sent[1]["body"])["status"] == status


@pytest.mark.parametrize(
    ("host", "alone"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104 - is refused
        ("::", False),
        ("10.0.0.1", False),
        ("example.org", False),
    ],
)
def test_who_reaches_an_address(host: str, alone: Any, file: Path) -> None:
    assert is_loopback(host) is alone
    if not alone:
        with pytest.raises(UserError, match="no access control"):
            listen_address(Settings(), host, 6566)
    assert listen_address(Settings(), host, 6566, insecure=True).port == 6566
    add_token(file, "a")
    assert listen_address(Settings(serve_tokens_file=file), host, 6566).host == host.replace("localhost", "127.0.0.1")


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"serve_oidc_discovery_url": "https://a.example/x"}, "AUDIENCE"),
        ({"serve_oidc_discovery_url": "http://a.example/x", "serve_oidc_audience": "a"}, "DISCOVERY_URL"),
        ({"serve_oidc_discovery_url": "http://localhost.example/x", "serve_oidc_audience": "a"}, "DISCOVERY_URL"),
        ({"serve_oidc_discovery_url": "https://[a.example/x", "serve_oidc_audience": "a"}, "DISCOVERY_URL"),
        ({"serve_oidc_discovery_url": "http://localhost:1@a.example/x", "serve_oidc_audience": "a"}, "DISCOVERY_URL"),
        ({"serve_oidc_discovery_url": "https://a.example/x", "serve_oidc_audience": "a", "serve_oidc_ca": "/nope"}, "/nope"),
        ({"serve_tokens_file": "/nope"}, "/nope"),
    ],
)
def test_settings_that_would_leave_a_gap_are_said(given: dict[str, str], where: str) -> None:
    with pytest.raises(UserError) as found:
        check(Settings(**given))  # type: ignore[arg-type]
    assert where in str(found.value.where)


def test_no_settings_no_access_control() -> None:
    assert access_of(Settings()) is None
