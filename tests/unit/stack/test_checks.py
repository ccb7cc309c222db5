"""What `detektor doctor` says of our ports: whether a page whose name was made to lead here would be answered."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from detektor_pipelines.stack import checks
from detektor_pipelines.stack.checks import Check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detektor_pipelines.settings import Settings


@contextmanager
def server(*, looks_at_host: bool) -> Iterator[int]:
    """Run something that answers HTTP, also to whoever calls it by another name or not; yields its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            own = self.headers["Host"].startswith(("127.0.0.1", "localhost"))
            self.send_response(200 if own or not looks_at_host else 403)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield int(listening.server_address[1])
        listening.shutdown()
        thread.join()


def found(settings: Settings, name: str, *, ready: bool = True, **changed: Any) -> list[Check]:
    service: Any = SimpleNamespace(name=name, title="The server", ready=ready)
    return list(checks._pages(settings.model_copy(update=changed), [service]))


def test_it_says_of_each_port_whether_a_foreign_name_is_answered(settings: Settings) -> None:
    with server(looks_at_host=True) as guarded, server(looks_at_host=False) as open_to_all:
        for name, field in (("serve", "serve_port"), ("registry", "registry_port"), ("mlflow", "mlflow_port"), ("dagster", "dagster_port")):
            assert found(settings, name, **{field: guarded}) == [Check(f"Host at {guarded}", "ok", "The server: no foreign page")]
            (warning,) = found(settings, name, **{field: open_to_all})
            assert (warning.result, warning.found, warning.fix) == ("warning", "The server: any page", "docs/security.md")


def test_it_says_nothing_of_what_does_not_run_here(settings: Settings) -> None:
    with server(looks_at_host=False) as port:
        assert found(settings, "serve", ready=False, serve_port=port) == []
        assert found(settings, "postgres", postgres_port=port) == [], "no HTTP"
        assert found(settings, "dagster-daemon") == [], "no port"
