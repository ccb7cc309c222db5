"""Reads one agent's features from the feature server; `agents.AgentFeatures` is this with the agents' names and types."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Generic, TypedDict, TypeVar

from detektor_pipelines.client.connections import CA, TOKEN, FeatureServerError, connections, default_url
from detektor_pipelines.client.values import AgentValues, Value
from detektor_pipelines.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from detektor_pipelines.client.connections import Connections

V = TypeVar("V", bound=AgentValues)

PATH = "/get-online-features"
SOURCE_HEADER = "x-feature-source"


class Options(TypedDict, total=False):
    """How the server is asked; what is not given is of the environment."""

    url: str
    """`http://host:port` or `https://…`; DETEKTOR_SERVE_URL, else this machine at DETEKTOR_SERVE_PORT or 6566."""
    token: str
    """A bearer token; DETEKTOR_SERVE_TOKEN, else none."""
    ca: str
    """PEM file of the authority of the server's certificate; DETEKTOR_SERVE_CA, else those that the machine trusts."""
    timeout: float
    """Seconds that the server may be silent; 2."""
    patience: float
    """Seconds for which a server that refuses connections, as one that restarts does, is tried again; 2."""


class Reader(Generic[V]):
    """Reads one agent's features, across all projects or in one. Threads may share it."""

    def __init__(self, kinds: Mapping[str, type[V]], agent: str, project: str | None, options: Options) -> None:
        kind = kinds.get(agent) or next((each for each in kinds.values() if agent == each.VIEW), None)
        if kind is None:
            raise UserError(f"There is no agent {agent!r}.", where="AgentFeatures", fix=f"Use one of {', '.join(kinds)}.")
        self.agent = kind.AGENT
        self.project = project
        self._kind = kind
        self._kinds = kinds
        self._url = options.get("url") or default_url()
        self._ca = options.get("ca") or os.environ.get(CA) or None
        self._token = (options.get("token") or os.environ.get(TOKEN) or "").strip() or None
        self._timeout = options.get("timeout", 2.0)
        self._patience = options.get("patience", 2.0)

    def get(self, names: Sequence[str] | None = None) -> V:
        """Return the features as they are served now; an agent that was never published has the status NOT_FOUND.

        Args:
            names: The features wanted; all by default.

        Raises:
            FeatureServerDownError: The server cannot be reached, is silent, or has nothing to answer from.
            RequestRefusedError: It does not take the request: a token is missing, or it has other definitions than this client.
            UserError: The view has no feature of a name.

        """
        return self.get_many([self.project], names)[0]

    def get_many(self, projects: Iterable[str | None], names: Sequence[str] | None = None) -> list[V]:
        """Return the agent's features in several projects, in their order, from one request; None is across all projects.

        Raises:
            FeatureServerError, UserError: As `get`.

        """
        agent_ids = [self.agent if project is None else f"{self.agent}@{project}" for project in projects]
        if not agent_ids:
            return []
        content = {"features": self._references(names), "entities": {"agent_id": agent_ids}}
        server = self._server()
        answer = server.post(PATH, content, token=self._token, timeout=self._timeout, patience=self._patience)
        try:
            found = self._kind.from_answer(answer.content, answer.headers.get(SOURCE_HEADER, ""))
        except (KeyError, IndexError, TypeError, ValueError) as error:
            what = f"The answer is not one of Feast's HTTP API ({error!r})."
            raise FeatureServerError(what, where=server.url, fix="Correct the url, or DETEKTOR_SERVE_URL.") from error
        if [each.agent_id for each in found] != agent_ids:
            raise FeatureServerError("The answer is about other agents.", where=server.url, fix="Look for a proxy that keeps answers.")
        return found

    def read(self, references: Sequence[str]) -> dict[str, Value]:
        """Return features by reference, those of other agents too, as a model needs them: one request, values by `view:feature`.

        Args:
            references: `view:feature`, or `view` for all of a view's; of another agent's view the row of the same project is meant.
                `view@all:feature` is of the row over all projects.

        Raises:
            FeatureServerDownError: As `get`.
            RequestRefusedError: A reference names nothing, or can only be null: another agent has no row here. It says which.

        """
        agent_id = self.agent if self.project is None else f"{self.agent}@{self.project}"
        return self._values({"features": list(references)}, agent_id)

    def read_service(self, name: str) -> dict[str, Value]:
        """Return the features of a feature service, such as `code_reviewer_rejected`: what a label is learnt from, by `view:feature`.

        Raises:
            FeatureServerDownError, RequestRefusedError: As `read`.

        """
        agent_id = self.agent if self.project is None else f"{self.agent}@{self.project}"
        return self._values({"feature_service": name}, agent_id)

    def _values(self, what: Mapping[str, object], agent_id: str) -> dict[str, Value]:
        server = self._server()
        content = {**what, "entities": {"agent_id": [agent_id]}, "full_feature_names": True}
        answer = server.post(PATH, content, token=self._token, timeout=self._timeout, patience=self._patience).content
        instants = {kind.VIEW: kind.INSTANTS for kind in self._kinds.values()}
        found: dict[str, Value] = {}
        for name, column in zip(answer["metadata"]["feature_names"][1:], answer["results"][1:], strict=True):
            source, _, feature = name.partition("__")
            value = column["values"][0]
            is_instant = value is not None and feature in instants.get(source.partition("@")[0], ())
            found[f"{source}:{feature}"] = datetime.fromtimestamp(value, UTC) if is_instant else value
        return found

    async def get_async(self, names: Sequence[str] | None = None) -> V:
        """Return what `get` does, without blocking the event loop: a thread waits.

        Raises:
            FeatureServerError, UserError: As `get`.

        """
        import asyncio

        return await asyncio.to_thread(self.get, names)

    async def get_many_async(self, projects: Iterable[str | None], names: Sequence[str] | None = None) -> list[V]:
        """Return what `get_many` does, without blocking the event loop: a thread waits.

        Raises:
            FeatureServerError, UserError: As `get`.

        """
        import asyncio

        return await asyncio.to_thread(self.get_many, list(projects), names)

    def _server(self) -> Connections:
        return connections(self._url, self._ca)

    def _references(self, names: Sequence[str] | None) -> list[str]:
        wanted = self._kind.FEATURES if names is None else tuple(dict.fromkeys([names] if isinstance(names, str) else names))
        unknown = [name for name in wanted if name not in self._kind.FEATURES]
        if unknown or not wanted:
            what = f"{self._kind.VIEW} has no feature {', '.join(map(repr, unknown))}." if unknown else "No feature is named."
            raise UserError(what, where="names", fix=f"It has {', '.join(self._kind.FEATURES)}.")
        return [f"{self._kind.VIEW}:{name}" for name in wanted]
