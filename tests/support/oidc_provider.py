"""An OIDC provider on loopback: its discovery document, its keys, and tokens signed with them."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

AUDIENCE = "detektor"


class Provider:
    """`asked` counts the requests by path; while `hangs` is set it answers none."""

    def __init__(self) -> None:
        self.key = new_key()
        self.asked: dict[str, int] = {}
        self.hangs = threading.Event()
        self.issuer = ""
        self.keys: str | None = None  # where they are said to be

    @property
    def discovery_url(self) -> str:
        return f"{self.issuer}/.well-known/openid-configuration"

    def token(
        self, *, key: Any = None, algorithm: str = "RS256", kid: str = "one", drop: tuple[str, ...] = (), header: Any = None, **claims: Any
    ) -> str:
        now = int(time.time())
        content = {"iss": self.issuer, "aud": AUDIENCE, "sub": "ada", "preferred_username": "ada", "iat": now, "exp": now + 60} | claims
        for name in drop:
            content.pop(name)
        return jwt.encode(content, self.key if key is None else key, algorithm=algorithm, headers={"kid": kid} | (header or {}))

    def answer(self, path: str) -> Any:
        self.asked[path] = self.asked.get(path, 0) + 1
        if path.endswith("/keys"):
            public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
            return {"keys": [public | {"kid": "one", "use": "sig", "alg": "RS256"}]}
        steps = {"authorization_endpoint": "/authorize", "token_endpoint": "/token", "jwks_uri": "/keys"}
        found = {"issuer": self.issuer} | {name: self.issuer + step for name, step in steps.items()}
        return found | ({"jwks_uri": self.keys} if self.keys else {})


def new_key() -> RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


@contextmanager
def running_provider() -> Iterator[Provider]:
    provider = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            while provider.hangs.is_set():
                time.sleep(0.02)
            body = json.dumps(provider.answer(self.path)).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    provider.issuer = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield provider
    finally:
        provider.hangs.clear()
        server.shutdown()
        server.server_close()
