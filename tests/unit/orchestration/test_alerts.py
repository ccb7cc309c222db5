"""Alerts against a real server on this machine: one that listens, one that is slow, one that fails, none at all."""

from __future__ import annotations

import json
import logging
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from detektor_pipelines.orchestration import alerts
from detektor_pipelines.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow
SECRET = "T000-secret-path"


class Webhook:
    """A server that answers with `statuses` in turn, the last for ever; None keeps the caller waiting."""

    def __init__(self, *statuses: int | None) -> None:
        self.statuses = list(statuses)
        self.messages: list[Any] = []
        self.released = threading.Event()
        self.url = ""

    @contextmanager
    def listening(self) -> Iterator[Webhook]:
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                webhook.messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                status = webhook.statuses.pop(0) if len(webhook.statuses) > 1 else webhook.statuses[0]
                if status is None:
                    webhook.released.wait(30)
                    return
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{server.server_port}/services/{SECRET}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield self
        finally:
            self.released.set()
            server.shutdown()
            server.server_close()
            thread.join()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(alerts, "SECONDS", 0.2)


def tell(url: str | None, **details: object) -> str | None:
    settings = Settings(alert_webhook=None if url is None else SecretStr(url))
    sent = alerts.alert(settings, "A day failed.", link="http://127.0.0.1:3000/runs/1", **details)
    return sent.result(30) if sent else None


def test_without_a_webhook_there_is_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    assert tell(None) is None
    assert [record.getMessage() for record in caplog.records] == ["A day failed. http://127.0.0.1:3000/runs/1"]
    assert caplog.records[0].levelno == logging.WARNING


def test_the_message_is_what_chats_show_with_the_details_beside() -> None:
    with Webhook(200).listening() as webhook:
        assert tell(webhook.url, run_id="1", views=["v"], days=None) is None
    link = "http://127.0.0.1:3000/runs/1"
    assert webhook.messages == [{"text": f"A day failed.\n{link}", "link": link, "run_id": "1", "views": ["v"]}]


def test_a_server_that_fails_is_tried_three_times() -> None:
    with Webhook(500, 503, 204).listening() as webhook:
        assert tell(webhook.url) is None
    assert len(webhook.messages) == 3
    with Webhook(500).listening() as webhook:
        assert tell(webhook.url) == "The webhook at 127.0.0.1 answers 500."
    assert len(webhook.messages) == 3


def test_a_server_that_asks_for_patience_is_tried_again() -> None:
    with Webhook(429, 200).listening() as webhook:
        assert tell(webhook.url) is None
    assert len(webhook.messages) == 2


def test_a_message_that_is_refused_is_not_sent_again() -> None:
    with Webhook(404).listening() as webhook:
        assert tell(webhook.url) == "The webhook at 127.0.0.1 answers 404."
    assert len(webhook.messages) == 1


def test_a_server_that_hangs_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tick that waited for a message of each view would be ended by Dagster, and tell the same again with every later one."""
    monkeypatch.setattr(alerts, "SECONDS", 30)
    with Webhook(None).listening() as webhook:
        settings = Settings(alert_webhook=SecretStr(webhook.url))
        sent = [alerts.alert(settings, f"View {number} failed.", link="x") for number in range(8)]
        assert not any(each.done() for each in sent if each)
        webhook.statuses = [200]
        webhook.released.set()
        assert [each.result(30) for each in sent if each][1:] == [None] * 7
    assert [message["text"] for message in webhook.messages][-1] == "View 7 failed.\nx"


def test_a_slow_server_is_left_after_three_tries() -> None:
    with Webhook(None).listening() as webhook:
        assert tell(webhook.url) == "The webhook at 127.0.0.1 does not answer within 0.2 s."
    assert len(webhook.messages) == 3


def test_a_dead_server_is_a_line_in_the_log_without_the_secret(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        problem = tell(f"http://127.0.0.1:{taken.getsockname()[1]}/services/{SECRET}")
    assert problem
    assert "cannot be reached" in problem
    assert problem in caplog.records[-1].getMessage()
    assert SECRET not in caplog.text


@pytest.mark.parametrize("url", ["ftp://host/x", "nonsense", "http://", "file:///etc/passwd", "http://[::1", "http://host:port/"])
def test_what_is_no_address_is_said_to_be_none(url: str) -> None:
    assert tell(url) == "DETEKTOR_ALERT_WEBHOOK is not an HTTP address."


@pytest.mark.parametrize("url", [f"http://…/{SECRET}", f"http://127.0.0.1:9/…/{SECRET}", f"http://a..b/{SECRET}", f"http://h/a b{SECRET}"])
def test_an_address_that_cannot_be_written_down_raises_nothing(url: str, caplog: pytest.LogCaptureFixture) -> None:
    problem = tell(url)
    assert problem
    assert "cannot be reached" in problem
    assert SECRET not in caplog.text


def test_the_webhook_is_a_secret_in_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    from detektor_pipelines.settings import origins

    monkeypatch.setenv("DETEKTOR_ALERT_WEBHOOK", f"https://chat/{SECRET}")
    settings = Settings()
    assert SECRET not in repr(settings)
    assert origins(settings)["DETEKTOR_ALERT_WEBHOOK"]["value"] == "(hidden)"


def test_links_lead_to_where_people_reach_dagster() -> None:
    assert alerts.page(Settings(), "runs/1") == "http://127.0.0.1:3000/runs/1"
    assert alerts.page(Settings(dagster_public_url="https://dagster.example/"), "/runs/1") == "https://dagster.example/runs/1"
