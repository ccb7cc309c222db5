"""Tells people that something needs them: one line in the log file and, with `DETEKTOR_ALERT_WEBHOOK`, one message to a chat or pager.

Whoever alerts goes on at once: messages are sent one after another by a thread of their own, and a webhook that is down, slow or wrong is
a line in the log file. Dagster ends a tick after a minute: one that waited for eight messages, or for a resolver that hangs, would lose its
cursor and tell the same again with the next, for ever.
"""

from __future__ import annotations

import json
import logging
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings

TRIES: Final = 3
SECONDS: Final = 2.5
"""How long one try waits for a connection, and then for an answer."""

_PAUSE_SECONDS: Final = 0.3
_SERVER_ERROR: Final = 500
_TOO_MANY: Final = 429
_logger = logging.getLogger(__name__)
_sender = ThreadPoolExecutor(1, "alerts")  # its thread is made with the first message; a process that ends sends what is left


def page(settings: Settings, path: str) -> str:
    """Return the address of a page of Dagster's, such as `runs/<id>`."""
    return f"{settings.dagster_url.rstrip('/')}/{path.lstrip('/')}"


def alert(settings: Settings, text: str, *, link: str, **details: object) -> Future[str | None] | None:
    """Log `text` and have it sent to the webhook; returns what comes of that (why it could not be sent), None without a webhook.

    The message is JSON: `text` with the link in it (which Slack and Mattermost show), `link`, and those of `details` that are not None,
    such as run_id, job, reason, views, days.
    """
    _logger.warning("%s %s", text, link)
    if settings.alert_webhook is None:
        return None
    message = {"text": f"{text}\n{link}", "link": link} | {name: value for name, value in details.items() if value is not None}
    return _sender.submit(_send, settings.alert_webhook.get_secret_value(), json.dumps(message, default=str).encode())


def _send(url: str, body: bytes) -> str | None:
    """Post `body`, and log why it could not be."""
    host = _host(url)
    problem = _tried(url, body, host) if host else "DETEKTOR_ALERT_WEBHOOK is not an HTTP address."
    if problem:
        _logger.warning("The alert was not sent: %s", problem)
    return problem


def _tried(url: str, body: bytes, host: str) -> str | None:
    """Post `body`, up to three times when the server may do better next time. The address is a secret: only its host is told."""
    from tenacity import Retrying, retry_if_result, stop_after_attempt, wait_incrementing

    again = Retrying(
        retry=retry_if_result(lambda answer: answer.again),
        stop=stop_after_attempt(TRIES),
        wait=wait_incrementing(start=_PAUSE_SECONDS, increment=_PAUSE_SECONDS),
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
    )
    return again(_post, url, body, host).problem


class _Answer(NamedTuple):
    """Whether another try makes sense, and what was wrong."""

    again: bool
    problem: str | None


def _post(url: str, body: bytes, host: str) -> _Answer:
    import http.client
    import urllib.error
    import urllib.request

    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310  the scheme was looked at
    try:
        with urllib.request.urlopen(request, timeout=SECONDS):  # noqa: S310
            return _Answer(again=False, problem=None)
    except urllib.error.HTTPError as error:
        error.close()
        busy = error.code >= _SERVER_ERROR or error.code == _TOO_MANY
        return _Answer(busy, f"The webhook at {host} answers {error.code}.")
    except TimeoutError:
        return _Answer(again=True, problem=f"The webhook at {host} does not answer within {SECONDS} s.")
    except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: letters that an address cannot have
        why = getattr(error, "reason", None) or type(error).__name__
        return _Answer(again=True, problem=f"The webhook at {host} cannot be reached: {why}.")


def _host(url: str) -> str | None:
    """Return the host of an http address, None for anything else."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # parsed on access: raises for a port that is not a number
    except ValueError:
        return None
    return parts.hostname if parts.scheme in {"http", "https"} else None
