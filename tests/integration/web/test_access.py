"""Who may ask a running feature server, over what, and how long it waits for those who ask badly."""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
import stat
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from support import certificates
from support.oidc_provider import Provider, new_key, running_provider
from support.serving_client import DETEKTOR, Server, running

from detektor_pipelines.stack import ports
from detektor_pipelines.stores.connections_redis import client_of
from detektor_pipelines.web.http_connection import HEAD_LIMIT
from detektor_pipelines.web.tokens import add_token

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from detektor_pipelines.stack.servers import embedded

COUNT = "code_review_features:recent_reviews_count"


def status(server: Server, token: str | None = None) -> int:
    server.token = token
    return server.read([COUNT], ["code-reviewer"]).status


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tokens") / "tokens"


@pytest.fixture(scope="module")
def guarded(redis_server: embedded.RedisServer, tokens: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    """Run a server for those who hold a token, at every address of this machine; what is sent may take a second."""
    directory, token = tmp_path_factory.mktemp("serve"), add_token(tokens, "tests")
    with client_of(redis_server.url()) as client:
        client.flushall()  # of what another module's tests have published, the ages would differ from answer to answer
    named = {
        "DETEKTOR_HOME": str(directory / "home"),
        "DETEKTOR_EXTERNAL_REDIS_URL": redis_server.url(),
        "DETEKTOR_SERVE_TOKENS_FILE": str(tokens),
        "DETEKTOR_SERVE_REDIS_TIMEOUT_MS": "10000",
        "DETEKTOR_SERVE_REQUEST_SECONDS": "1",
        "DETEKTOR_EXTERNAL_POSTGRES_URL": "postgresql://127.0.0.1:1/none",
    }
    with running(directory, "serve", "--host", "0.0.0.0", environment=named) as server:  # noqa: S104 - that is what needs tokens
        yield server, token
    assert "Traceback" not in server.log


def test_only_those_who_are_known_are_answered(guarded: tuple[Server, str]) -> None:
    server, token = guarded
    assert [status(server, each) for each in (token, None, "wrong", f"{token}x")] == [200, 401, 401, 401]
    answer = server.ask("GET", "/nope", Authorization="Basic YTpi")
    assert (answer.status, answer.headers["content-type"]) == (401, "application/problem+json")
    assert answer.headers["www-authenticate"].startswith('Bearer realm="detektor", error=')
    for path, expected in (("/metrics", 401), ("/openapi.json", 401), ("/health", 200)):
        server.token = None
        assert server.get(path).status == expected


def test_health_says_no_more_than_it_must_to_whom_it_does_not_know(guarded: tuple[Server, str]) -> None:
    server, token = guarded
    server.token = None
    assert server.get("/health").json == {"status": "OK"}
    server.token = token
    assert server.get("/health").json["redis"] == "up"


def test_without_postgres_only_numbered_versions_are_not_answered(guarded: tuple[Server, str]) -> None:
    server, token = guarded
    server.token = token
    for reference, status in (("@v0", 503), ("@latest", 200), ("", 200)):
        answer = server.read([COUNT.replace(":", f"{reference}:")], ["code-reviewer"])
        assert answer.status == status
        assert status == 200 or "registry" in answer.json["detail"]


def test_who_was_refused_is_counted(guarded: tuple[Server, str]) -> None:
    server, token = guarded
    status(server, "wrong")
    server.token = token
    assert 'feast_online_requests_total{status="401"}' in server.get("/metrics").body.decode()


def test_a_token_of_the_command_opens_a_running_server(guarded: tuple[Server, str], tokens: Path) -> None:
    server, _ = guarded
    words = [DETEKTOR, "token", "ada", "--file", str(tokens)]
    made = subprocess.run(words, check=True, capture_output=True, text=True)
    deadline = time.monotonic() + 20
    while status(server, made.stdout.strip()) != 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert stat.S_IMODE(tokens.stat().st_mode) == 0o600
    assert made.stdout.strip() not in made.stderr


def test_requests_of_one_connection_are_answered_alike_and_no_longer_than_the_token_is_good(
    guarded: tuple[Server, str], tokens: Path
) -> None:
    """The second one with the same head goes the short way."""
    server, token = guarded[0], add_token(tokens, "brief")
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    body = json.dumps({"features": [COUNT], "entities": {"agent_id": ["code-reviewer", "nobody"]}})

    def asked() -> tuple[int, set[str], bytes, str]:
        connection.request("POST", "/get-online-features", body, {"Authorization": f"Bearer {token}", "Content-Type": "application/json"})
        response = connection.getresponse()
        names = {name.lower() for name, _ in response.getheaders()}
        return response.status, names, response.read(), response.getheader("X-Request-Id") or ""

    deadline = time.monotonic() + 20
    while (first := asked())[0] != 200:  # the file is read once a second
        assert time.monotonic() < deadline
        time.sleep(0.05)
    further = [asked() for _ in range(3)]
    assert [each[:3] for each in further] == [first[:3]] * 3
    assert len({each[3] for each in (first, *further)}) == 4
    lines = tokens.read_text().splitlines()
    tokens.write_text("\n".join(line for line in lines if not line.startswith("brief ")) + "\n")
    while asked()[0] != 401:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    connection.close()


def test_beyond_loopback_only_with_access_control() -> None:
    for command in ("serve", "registry"):
        words = [DETEKTOR, command, "--host", "0.0.0.0", "--port", "1"]  # noqa: S104 - is refused
        done = subprocess.run(words, check=False, capture_output=True, text=True)
        assert (done.returncode, "no access control" in done.stderr, "Traceback" in done.stderr) == (1, True, False)


@pytest.mark.parametrize(
    ("head", "status", "seconds"),
    [
        (b"POST /get-online-features HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 70_000 + b"\r\n\r\n", b"431", 0),
        (b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + b"".join(b"X-%d: a\r\n" % n for n in range(5_000)), b"431", 0),
        (b"GET /" + b"a" * HEAD_LIMIT + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", b"431", 0),
        (b"nonsense\r\n\r\n", b"400", 0),
        (b"GET /health HTTP/1.1\r\nHost: localhost\r\n", b"408", 1),
        (b"\r\n", b"408", 1),
        (b"", b"408", 1),
    ],
)
def test_a_request_that_does_not_come_as_it_should(guarded: tuple[Server, str], head: bytes, status: bytes, seconds: float) -> None:
    with socket.create_connection(("127.0.0.1", guarded[0].port), timeout=20) as connection:
        started = time.monotonic()
        connection.sendall(head)
        answer = _all(connection)
        assert answer.startswith(b"HTTP/1.1 " + status), answer
        assert b"application/problem+json" in answer
        assert time.monotonic() - started >= seconds / 2


def test_a_body_that_drips_holds_nothing_for_ever(guarded: tuple[Server, str]) -> None:
    server, token = guarded
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        head = f"POST /get-online-features HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Length: 1000\r\n\r\n"
        connection.sendall(head.encode())
        connection.settimeout(0.2)
        answer, deadline = b"", time.monotonic() + 20
        while not answer:
            assert time.monotonic() < deadline
            connection.sendall(b" ")
            try:
                answer = connection.recv(65_536)
            except TimeoutError:
                continue
        assert answer.startswith(b"HTTP/1.1 408")


def test_the_second_request_of_a_connection_has_the_same_time(guarded: tuple[Server, str]) -> None:
    with socket.create_connection(("127.0.0.1", guarded[0].port), timeout=20) as connection:
        for _ in range(3):
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = b""
            while b"}" not in answer:
                answer += connection.recv(65_536)
            assert answer.startswith(b"HTTP/1.1 200")
            time.sleep(0.6)  # between two requests there is more time than within one
        connection.sendall(b"GET /health HTTP/1.1\r\nHos")
        assert _all(connection).startswith(b"HTTP/1.1 408")


def test_an_answer_that_is_not_taken_is_given_up(guarded: tuple[Server, str]) -> None:
    server, token = guarded
    agents = b",".join(b'"%d"' % number for number in range(10_000))
    features = b",".join(b'"%s"' % each.encode() for each in (COUNT, "code_review_features:avg_issues_per_review"))
    body = b'{"features": [%s], "entities": {"agent_id": [%s]}}' % (features, agents)
    head = f"POST /get-online-features HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.settimeout(30)
        connection.connect(("127.0.0.1", server.port))
        for _ in range(8):
            connection.sendall(head.encode() + body)
        time.sleep(4)
        assert _all(connection).count(b"HTTP/1.1 200") < 8, "what is left unread is not kept for it"


def test_over_tls(redis_server: embedded.RedisServer, tmp_path: Path) -> None:
    files = certificates.make(tmp_path)
    named = {"DETEKTOR_EXTERNAL_REDIS_URL": redis_server.url(), "DETEKTOR_SERVE_REDIS_TIMEOUT_MS": "10000"}
    context = ssl.create_default_context(cafile=str(files.authority))
    words = ["--tls-cert", str(files.certificate), "--tls-key", str(files.key)]
    with running(tmp_path, "serve", *words, environment=named, context=context) as server:
        assert status(server) == 200
        assert "https://127.0.0.1" in server.log
        command = ["curl", "-s", "--cacert", str(files.authority), f"https://localhost:{server.port}/health"]
        assert '"OK"' in subprocess.run(command, check=True, capture_output=True, text=True).stdout
        stranger = Server(server.port, server.process, tmp_path / "serve.log", ssl.create_default_context())
        with pytest.raises(ssl.SSLCertVerificationError):
            stranger.get("/health")
        old = ssl.create_default_context(cafile=str(files.authority))
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            Server(server.port, server.process, tmp_path / "serve.log", old).get("/health")
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as plain:
            plain.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"200" not in plain.recv(1_000)
    assert "Traceback" not in server.log


@pytest.mark.slow
def test_several_workers_ask_and_speak_tls_as_one(redis_server: embedded.RedisServer, tmp_path: Path) -> None:
    files, token = certificates.make(tmp_path), add_token(tmp_path / "tokens", "tests")
    named = {
        "DETEKTOR_EXTERNAL_REDIS_URL": redis_server.url(),
        "DETEKTOR_SERVE_REDIS_TIMEOUT_MS": "10000",
        "DETEKTOR_SERVE_TOKENS_FILE": str(tmp_path / "tokens"),
    }
    words = ["--workers", "2", "--tls-cert", str(files.certificate), "--tls-key", str(files.key)]
    context = ssl.create_default_context(cafile=str(files.authority))
    with running(tmp_path, "serve", *words, environment=named, context=context) as server:
        assert {status(server, token) for _ in range(10)} == {200}
        assert {status(server) for _ in range(10)} == {401}
        server.token = token
        assert 'feast_online_requests_total{status="401"} 10.0' in server.get("/metrics").body.decode()
    assert server.process.returncode == 0, server.log


def test_over_ipv6(redis_server: embedded.RedisServer, tmp_path: Path) -> None:
    port, log = ports.free_port(), tmp_path / "log"
    words = [DETEKTOR, "serve", "--host", "::1", "--port", str(port)]
    with log.open("wb") as stream:
        process = subprocess.Popen(words, stderr=stream, env=os.environ | {"DETEKTOR_EXTERNAL_REDIS_URL": redis_server.url()})
    try:
        command = ["curl", "-s", "--retry", "100", "--retry-connrefused", "--retry-delay", "0", "--retry-max-time", "60"]
        done = subprocess.run([*command, f"http://[::1]:{port}/health"], check=False, capture_output=True, text=True)
        assert '"OK"' in done.stdout, (done, log.read_text())
        assert f"http://[::1]:{port}/" in log.read_text()
    finally:
        process.terminate()
        process.wait(20)


def test_a_certificate_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    files = certificates.make(tmp_path)
    (tmp_path / "other").mkdir()
    other = certificates.make(tmp_path / "other")
    for words in (
        ["--tls-cert", str(files.certificate)],
        ["--tls-cert", str(files.certificate), "--tls-key", str(other.key)],
        ["--tls-cert", str(tmp_path / "nope"), "--tls-key", str(files.key)],
    ):
        done = subprocess.run([DETEKTOR, "serve", "--port", "1", *words], check=False, capture_output=True, text=True)
        assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr
        assert "certificate" in done.stderr


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with running_provider() as provider:
        yield provider


@pytest.fixture(scope="module")
def known_by_provider(redis_server: embedded.RedisServer, provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("oidc")
    named = {
        "DETEKTOR_HOME": str(directory / "home"),
        "DETEKTOR_EXTERNAL_REDIS_URL": redis_server.url(),
        "DETEKTOR_SERVE_OIDC_DISCOVERY_URL": provider.discovery_url,
        "DETEKTOR_SERVE_OIDC_AUDIENCE": "detektor",
        "DETEKTOR_SERVE_REDIS_TIMEOUT_MS": "10000",
        "INTRA_COMMUNICATION_BASE64": "shared",
    }
    with running(directory, "serve", environment=named) as server:
        yield server
    assert "Traceback" not in server.log


@pytest.mark.slow
def test_tokens_of_a_provider(known_by_provider: Server, provider: Provider) -> None:
    server, now = known_by_provider, int(time.time())
    assert status(server, provider.token()) == 200
    keys = provider.asked["/keys"]
    bad = {
        "expired": provider.token(exp=now - 60),
        "of no end": provider.token(drop=("exp",)),
        "for another service": provider.token(aud="other"),
        "for none": provider.token(drop=("aud",)),
        "of another provider": provider.token(iss="http://other.example"),
        "of no provider": provider.token(drop=("iss",)),
        "signed by another key": provider.token(key=new_key()),
        "of a key that is not there": provider.token(kid="two"),
        "unsigned": provider.token(key="", algorithm="none"),
        "signed with a secret": provider.token(key="x" * 32, algorithm="HS256"),
        "with a demand that is not known": provider.token(header={"crit": ["x"], "x": 1}),
        "not yet": provider.token(nbf=now + 600),
        "of Feast's servers among themselves": provider.token(key="", algorithm="none", preferred_username="shared"),
        "of Kubernetes": provider.token(**{"kubernetes.io": {"namespace": "a"}}),
        "no token": "a.b.c",
        "nothing": "x",
    }
    assert {name: status(server, token) for name, token in bad.items()} == dict.fromkeys(bad, 401)
    assert provider.asked["/keys"] - keys <= 1, "a token of an unknown key does not have the keys fetched each time"
    assert status(server, provider.token()) == 200


@pytest.mark.slow
def test_only_those_of_a_role(redis_server: embedded.RedisServer, provider: Provider, tmp_path: Path) -> None:
    named = {
        "DETEKTOR_EXTERNAL_REDIS_URL": redis_server.url(),
        "DETEKTOR_SERVE_OIDC_DISCOVERY_URL": provider.discovery_url,
        "DETEKTOR_SERVE_OIDC_AUDIENCE": "detektor",
        "DETEKTOR_SERVE_OIDC_CLIENT_ID": "features",
        "DETEKTOR_SERVE_OIDC_ROLES": "reader, operators",
        "DETEKTOR_SERVE_REDIS_TIMEOUT_MS": "10000",
    }
    with running(tmp_path, "serve", environment=named) as server:
        assert status(server, provider.token()) == 403
        server.token = provider.token(sub="b", roles=["writer"])
        answer = server.read([COUNT], ["a"])
        assert (answer.status, 'error="insufficient_scope"' in answer.headers["www-authenticate"]) == (403, True)
        assert status(server, provider.token(roles=["reader"])) == 200
        assert status(server, provider.token(groups=["operators"])) == 200
        assert status(server, provider.token(resource_access={"features": {"roles": ["reader"]}})) == 200


@pytest.mark.slow
def test_a_provider_that_is_away_lets_nobody_new_in(redis_server: embedded.RedisServer, tmp_path: Path) -> None:
    with running_provider() as provider:
        named = {
            "DETEKTOR_EXTERNAL_REDIS_URL": redis_server.url(),
            "DETEKTOR_SERVE_OIDC_DISCOVERY_URL": provider.discovery_url,
            "DETEKTOR_SERVE_OIDC_AUDIENCE": "detektor",
            "DETEKTOR_SERVE_REDIS_TIMEOUT_MS": "10000",
        }
        with running(tmp_path, "serve", environment=named) as server:
            provider.hangs.set()
            server.token = provider.token()
            first = server.read([COUNT], ["a"])
            assert (first.status, first.headers["content-type"]) == (503, "application/problem+json")
            assert first.seconds < 15
            assert "provider" in first.json["detail"]
            assert server.read([COUNT], ["a"]).status == 503
            provider.keys = f"http://0.0.0.0:{provider.issuer.rpartition(':')[2]}/keys"
            provider.hangs.clear()
            time.sleep(0.5)  # what it was asked meanwhile is answered, to nobody
            assert _settles(server, provider) == 503
            assert "/keys" not in provider.asked, "keys that anybody on the way can change are not fetched"
            provider.keys = None
            deadline = time.monotonic() + 20
            while status(server, provider.token()) != 200:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            known = provider.token()
            assert status(server, known) == 200
            provider.hangs.set()
            assert [status(server, known), server.get("/health").status] == [200, 200], "what is known needs no provider"
    assert "Traceback" not in server.log


def _settles(server: Server, provider: Provider) -> int:
    """Wait until the server asks the provider again; return what it answers then."""
    before = provider.asked.get("/.well-known/openid-configuration", 0)
    deadline = time.monotonic() + 20
    while provider.asked.get("/.well-known/openid-configuration", 0) == before:
        assert time.monotonic() < deadline
        time.sleep(0.1)
        found = status(server, provider.token())
    return found


def _all(connection: socket.socket) -> bytes:
    parts = []
    try:
        while piece := connection.recv(65_536):
            parts.append(piece)
    except ConnectionResetError:
        pass  # it closed with something unread
    return b"".join(parts)
