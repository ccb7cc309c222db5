"""MLflow's REST API over one kept connection: requests, credentials, and errors in words a person can act on.

The standard library's client is enough for the half a dozen calls of `tracking`, and costs no import.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import ssl
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from detektor_pipelines.errors import UserError

_CONNECT_SECONDS: Final = 3.0
_ANSWER_SECONDS: Final = 30.0


class TrackingUnavailableError(UserError):
    """MLflow cannot be reached, or refuses the request; the message says which and why."""


class Rest:
    """MLflow's REST API over one connection that is kept open."""

    def __init__(self, uri: str) -> None:
        parts = urlsplit(uri)
        self._scheme, self._host, self._port = parts.scheme, parts.hostname or "", parts.port
        self._prefix = parts.path.rstrip("/") + "/api/2.0/mlflow/"
        self._authorization = _authorization(parts.username, parts.password)
        self._connection: http.client.HTTPConnection | None = None
        server = f"{parts.scheme}://{self._host}{f':{self._port}' if self._port else ''}"
        self.address = f"MLflow at {server}"
        self.page = server + parts.path.rstrip("/")

    def answer(self, method: str, endpoint: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return the answer's JSON object.

        Raises:
            TrackingUnavailableError: No answer, or an error.

        """
        return self.call(method, endpoint, body) or {}

    def call(self, method: str, endpoint: str, body: dict[str, Any], *, absent_is_none: bool = False) -> dict[str, Any] | None:
        """Do the same; None for a thing that does not exist, when that is not an error to the caller."""
        status, text = self._exchange(method, endpoint, body)
        try:
            content = json.loads(text or "{}")
        except ValueError:
            content = {}
        if status == http.HTTPStatus.OK:
            return dict(content)
        if absent_is_none and content.get("error_code") == "RESOURCE_DOES_NOT_EXIST":
            return None
        said = content.get("message") or text[:200].decode(errors="replace")
        raise TrackingUnavailableError(f"MLflow refuses {endpoint} (status {status}): {said}", where=self.address)

    def _exchange(self, method: str, endpoint: str, body: dict[str, Any]) -> tuple[int, bytes]:
        path = self._prefix + endpoint + (f"?{urlencode(body)}" if method == "GET" else "")
        payload = None if method == "GET" else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **self._authorization}
        try:
            fresh = self._connection is None
            connection = self._connect()
            try:
                connection.request(method, path, payload, headers)
                response = connection.getresponse()
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                self.close()
                if fresh:
                    raise
                connection = self._connect()  # the server had closed an idle connection
                connection.request(method, path, payload, headers)
                response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise TrackingUnavailableError(
                f"MLflow does not answer: {str(error) or type(error).__name__}.",
                where=self.address,
                fix="Run `detektor up`, or correct DETEKTOR_MLFLOW_TRACKING_URI; what could not be logged is sent by the next run.",
            ) from error

    def _connect(self) -> http.client.HTTPConnection:
        if self._connection is not None:
            return self._connection
        if self._scheme not in {"http", "https"}:
            raise TrackingUnavailableError(
                f"Materializations are logged over HTTP, and the tracking address is of kind {self._scheme or 'directory'!r}.",
                where=self.address,
                fix="Give DETEKTOR_MLFLOW_TRACKING_URI=http://host:port of an MLflow server.",
            )
        if self._scheme == "https":
            context = ssl.create_default_context()
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                self._host, self._port, timeout=_CONNECT_SECONDS, context=context
            )
        else:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=_CONNECT_SECONDS)
        connection.connect()
        if connection.sock is not None:
            connection.sock.settimeout(_ANSWER_SECONDS)
        self._connection = connection
        return connection

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _authorization(user: str | None, password: str | None) -> dict[str, str]:
    """Return the header for credentials in the address, else for MLflow's own variables."""
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    user = user or os.environ.get("MLFLOW_TRACKING_USERNAME")
    password = password or os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
    if user:
        return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}
    return {"Authorization": f"Bearer {token}"} if token else {}
