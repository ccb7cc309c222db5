"""MLflow's REST API over one kept connection: requests, credentials, and errors in words a person can act on.

MLflow's own client is not imported: it takes three to four seconds. What it takes from the environment beyond its credentials (proxies,
.netrc) does not count here: the address in the settings is where the server is.
"""

from __future__ import annotations

import os
import ssl
from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlsplit

from tenacity import Retrying, retry_if_exception, stop_after_attempt

from detektor_pipelines.errors import UserError

if TYPE_CHECKING:
    import requests

    from detektor_pipelines.settings import Settings

_SECONDS: Final = (3.0, 30.0)
"""For a connection, for an answer."""

_A_PAGE: Final = 1_000
_OK: Final = 200


class TrackingUnavailableError(UserError):
    """MLflow cannot be reached, or refuses the request; the message says which and why."""


class Rest:
    """MLflow's REST API over one connection that is kept open."""

    def __init__(self, uri: str, *, embedded_of: Settings | None = None) -> None:
        """Open nothing yet. `embedded_of`: whose own server it has to be; another home's may listen at the same port."""
        parts = urlsplit(uri)
        self._embedded_of = embedded_of
        self._scheme = parts.scheme
        self._credentials = parts.username, parts.password
        server = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        self.address = f"MLflow at {server}"
        self.page = server + parts.path.rstrip("/")
        self._session: requests.Session | None = None

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the connection to these settings' server: the one given, else the embedded one."""
        return cls(settings.mlflow_uri, embedded_of=None if settings.mlflow_tracking_uri else settings)

    def answer(self, method: str, endpoint: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return the answer's JSON object.

        Raises:
            TrackingUnavailableError: No answer, or an error.

        """
        return self.call(method, endpoint, body) or {}

    def pages(self, method: str, endpoint: str, what: str, question: dict[str, Any], *, most: int | None = None) -> list[dict[str, Any]]:
        """Return what a search finds, of all its pages; with `most`, of no further page once so many are found.

        Raises:
            TrackingUnavailableError: As `answer`.

        """
        found: list[dict[str, Any]] = []
        token: dict[str, str] = {}
        while most is None or len(found) < most:
            answer = self.answer(method, endpoint, question | token | {"max_results": _A_PAGE})
            found += answer.get(what, [])
            if not answer.get("next_page_token"):
                break
            token = {"page_token": answer["next_page_token"]}
        return found

    def call(self, method: str, endpoint: str, body: dict[str, Any], *, absent_is_none: bool = False) -> dict[str, Any] | None:
        """Do the same; None for a thing that does not exist, when that is not an error to the caller."""
        response = self._exchange(method, endpoint, body)
        try:
            content = response.json()
        except ValueError:
            content = {}
        if response.status_code == _OK:
            return dict(content)
        if absent_is_none and content.get("error_code") == "RESOURCE_DOES_NOT_EXIST":
            return None
        said = content.get("message") or response.content[:200].decode(errors="replace")
        raise TrackingUnavailableError(f"MLflow refuses {endpoint} (status {response.status_code}): {said}", where=self.address)

    def _exchange(self, method: str, endpoint: str, body: dict[str, Any]) -> requests.Response:
        import requests

        named: dict[str, Any] = {"params": body} if method == "GET" else {"json": body}
        named |= {"timeout": _SECONDS, "allow_redirects": False}
        session = self._opened()
        again = Retrying(retry=retry_if_exception(_was_closed), stop=stop_after_attempt(2), reraise=True)
        try:
            return again(session.request, method, f"{self.page}/api/2.0/mlflow/{endpoint}", **named)
        except requests.RequestException as error:
            self.close()
            raise TrackingUnavailableError(
                f"MLflow does not answer: {_reason(error)}.",
                where=self.address,
                fix="Run `detektor up`, or correct DETEKTOR_MLFLOW_TRACKING_URI; what could not be logged is sent by the next run.",
            ) from error

    def _opened(self) -> requests.Session:
        if self._session is None:
            if self._scheme not in {"http", "https"}:
                raise TrackingUnavailableError(
                    f"Materializations are logged over HTTP, and the tracking address is of kind {self._scheme or 'directory'!r}.",
                    where=self.address,
                    fix="Give DETEKTOR_MLFLOW_TRACKING_URI=http://host:port of an MLflow server.",
                )
            if self._embedded_of is not None:
                self._check_whose(self._embedded_of)
            self._session = _session(*self._credentials)
        return self._session

    def _check_whose(self, settings: Settings) -> None:
        from detektor_pipelines.stack import lifecycle, ports

        if ports.answers(settings.mlflow_port) and not lifecycle.answers_itself(settings, "mlflow"):
            raise TrackingUnavailableError(
                "What answers at MLflow's port is not this state directory's MLflow, which does not run.",
                where=f"{self.address}; {settings.home}",
                fix="Run `detektor up --free-ports`; what could not be logged is sent by the next run.",
            )

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        if self._session is not None:
            self._session.close()
            self._session = None


def _session(user: str | None, password: str | None) -> requests.Session:
    """Return a session with the credentials of the address, else of MLflow's own variables, that trusts what this system trusts."""
    import requests
    from requests.adapters import HTTPAdapter

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *given: Any, **named: Any) -> None:
            super().init_poolmanager(*given, ssl_context=ssl.create_default_context(), **named)

    session = requests.Session()
    session.trust_env = False
    session.mount("https://", Adapter())
    user = user or os.environ.get("MLFLOW_TRACKING_USERNAME")
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    if user:
        both = f"{user}:{password or os.environ.get('MLFLOW_TRACKING_PASSWORD', '')}"
        session.headers["Authorization"] = f"Basic {b64encode(both.encode()).decode()}"
    elif token:
        session.headers["Authorization"] = f"Bearer {token}"
    return session


def _reason(error: BaseException) -> str:
    """Return what the system said, else the error's text: requests puts address, path and class names of three libraries around it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return str(error) or type(error).__name__


def _was_closed(error: BaseException) -> bool:
    """Whether the server had closed a connection that was idle: then it has not read the request."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ConnectionResetError | BrokenPipeError):  # http.client.RemoteDisconnected is the former
            return True
        cause = cause.__cause__ or cause.__context__
    return False
