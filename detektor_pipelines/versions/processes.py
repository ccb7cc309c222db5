"""Which definitions each running process has loaded, asked of the processes themselves, and how they differ from those loaded here.

    feature server, registry server     GET /health
    `detektor collect`                  GET /healthz
    stream workers, of any machine      their reports in Redis
    Dagster's code location             the metadata of its asset `agent_events`, by GraphQL
    Feast's registry                    the tags of what is registered

The definitions are compared by their hash over all views (`compile.loaded`). What does not run, or was stopped, is left out, and so is what
another home directory's stack has at a default port; what answers without saying it (who asks is not known there, or the program is of an
older release) is listed as not known.
"""

from __future__ import annotations

import json
import os
import ssl
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines.catalog import BESIDE, VIEWS
from detektor_pipelines.compile.loaded import are_definitions, combined_hash, definitions, phrase
from detektor_pipelines.errors import UserError
from detektor_pipelines.stack import supervisor, survivors
from detektor_pipelines.stack.programs import PROGRAMS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from detektor_pipelines.settings import Settings

RESTART: Final = "detektor restart"

_TIMEOUT_S: Final = 3
_TOKEN: Final = "DETEKTOR_SERVE_TOKEN"  # noqa: S105 - the name of a variable
_NAMED: Final = 3
_ASSET: Final = (
    '{ assetNodes(assetKeys: [{path: ["agent_events"]}]) { metadataEntries { label ... on JsonMetadataEntry { jsonString } } } }'
)


@dataclass(frozen=True, slots=True)
class Process:
    """One process, and what it has loaded.

    Attributes:
        name: As `detektor restart` calls it; of what that does not start, another word.
        title: What a person reads.
        where: Its address, or host and process id.
        hash: Over all its definitions; None when it does not say.
        since: When it loaded them, ISO 8601.
        differs: Whether they are others than those loaded here.
        words: How: the first views that differ, or why nothing is known.

    """

    name: str
    title: str
    where: str
    hash: str | None = None
    since: str | None = None
    differs: bool = False
    words: str = ""

    def as_data(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


def processes(settings: Settings) -> list[Process]:
    """Ask all of them at once; takes as long as the slowest, seconds at most."""
    questions: tuple[Callable[[Settings], list[Process]], ...] = (_server, _registry, _collector, _workers, _code_location, _feast)
    with ThreadPoolExecutor(len(questions)) as pool:
        return [process for found in pool.map(lambda ask: ask(settings), questions) for process in found]


def process_of(name: str, title: str, where: str, said: Any) -> Process:
    """Compare what a process says, in the form of `compile.loaded.definitions`, with what is loaded here."""
    if not are_definitions(said):
        return Process(name, title, where, words="it does not say which definitions it has loaded")
    same = said["hash"] == combined_hash()
    return Process(name, title, where, said["hash"], said["since"], not same, "" if same else _difference(said["views"]))


def _difference(theirs: Mapping[str, Mapping[str, str]]) -> str:
    """Say in a line what another process has for the views that differ."""
    ours = definitions()["views"]
    parts = [
        f"{name} {view['version']} ({view['hash']}), here {_here(ours.get(name))}"
        for name, view in theirs.items()
        if view != ours.get(name)
    ]
    parts += [f"not {name}" for name in ours if name not in theirs]
    if not parts:
        return "texts or bounds differ, the numbers do not"
    return "; ".join(parts[:_NAMED]) + (f" and {len(parts) - _NAMED} more" if len(parts) > _NAMED else "")


def _here(view: Mapping[str, str] | None) -> str:
    return f"{view['version']} ({view['hash']})" if view else "none"


def _server(settings: Settings) -> list[Process]:
    return _by_health("serve", "Feature server", settings, settings.serve_host, settings.serve_port)


def _registry(settings: Settings) -> list[Process]:
    return _by_health("registry", "Registry server", settings, settings.registry_host, settings.registry_port)


def _runs_here(settings: Settings, name: str) -> bool:
    """Whether the program is this stack's, or its port is one that somebody chose; one that was stopped (SIGSTOP) would not answer."""
    row = supervisor.states(settings).get(name)
    if row is not None and row["statename"] in supervisor.ALIVE:
        return not survivors.is_stopped(row.get("pid"))
    return bool(os.environ.get(PROGRAMS[name].port_variable))


def server_health(settings: Settings) -> dict[str, Any] | None:
    """Return what the feature server of this stack says at /health, None when none runs or answers."""
    return _health(settings, "serve", settings.serve_host, settings.serve_port)


def server_status(settings: Settings) -> str | None:
    """Return what the feature server of this stack says of itself in one word, None when none runs or answers."""
    said = server_health(settings)
    return None if said is None else str(said.get("status", ""))


def _by_health(name: str, title: str, settings: Settings, host: str, port: int) -> list[Process]:
    said = _health(settings, name, host, port)
    if said is None:
        return []
    process = process_of(name, title, f"{_reached(host)}:{port}", said.get("definitions"))
    if process.hash is None and "definitions" not in said and not os.environ.get(_TOKEN):
        return [Process(name, title, process.where, words=f"not known: set {_TOKEN} if it wants a token")]
    return [process]


def _health(settings: Settings, name: str, host: str, port: int) -> dict[str, Any] | None:
    """Return what a server of this stack says of itself, None when none runs or answers."""
    if not _runs_here(settings, name):
        return None
    scheme = "https" if settings.serve_tls_cert else "http"
    token = os.environ.get(_TOKEN)
    return _asked(f"{scheme}://{_reached(host)}:{port}/health", {"Authorization": f"Bearer {token}"} if token else {})


def _reached(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104 - asks one of every address


def _collector(settings: Settings) -> list[Process]:
    address = f"127.0.0.1:{settings.collector_port}"
    said = _asked(f"http://{address}/healthz", {})
    return [process_of("collect", "detektor collect", address, said["definitions"])] if said and "definitions" in said else []


def _workers(settings: Settings) -> list[Process]:
    from detektor_pipelines.stream.run import workers

    if not PROGRAMS["redis"].ready(settings):  # a client waits much longer for one that hangs
        return []
    try:
        reports = workers(settings)
    except UserError:
        return []
    return [_worker(each) for each in reports]


def _worker(report: Mapping[str, Any]) -> Process:
    process = process_of("stream", "Stream worker", f"{report.get('host', '')} {report['pid']}".strip(), report.get("definitions"))
    wanted, beside = sorted(phrase(view) for view in BESIDE), sorted(report.get("beside", ()))
    if process.differs or process.hash is None or beside == wanted:
        return process
    return replace(process, differs=True, words=f"keeps {', '.join(beside) or 'nothing'} beside, here {', '.join(wanted) or 'nothing'}")


def _code_location(settings: Settings) -> list[Process]:
    if not _runs_here(settings, "dagster"):
        return []
    address = f"127.0.0.1:{settings.dagster_port}"
    said = _asked(f"http://{address}/graphql", {"Content-Type": "application/json"}, json.dumps({"query": _ASSET}).encode())
    if said is None:
        return []
    try:
        entries = {each["label"]: each.get("jsonString") for each in said["data"]["assetNodes"][0]["metadataEntries"]}
        loaded = json.loads(entries["definitions"])
    except (KeyError, IndexError, TypeError, ValueError):
        loaded = None
    return [process_of("dagster-code", "Dagster code location", address, loaded)]


def _feast(settings: Settings) -> list[Process]:
    if not PROGRAMS["postgres"].ready(settings):  # as above
        return []
    from detektor_pipelines.stores.feast.registry import is_used, outdated

    try:
        if not is_used(settings):
            return []
        due = outdated(settings, VIEWS)
    except UserError:
        return []
    changed = [*due.changed, *(f"{name}, which is defined no more" for name in due.removed)]
    if not changed:
        return [Process("feast", "Feast's registry", "PostgreSQL", combined_hash())]
    return [Process("feast", "Feast's registry", "PostgreSQL", differs=True, words=f"registered otherwise: {', '.join(changed)}")]


def _asked(url: str, headers: Mapping[str, str], body: bytes | None = None) -> dict[str, Any] | None:
    """Return the JSON object that a server of this machine answers, whatever its status; None when there is none."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # whose certificate it is does not matter here
    request = urllib.request.Request(url, body, dict(headers))  # noqa: S310 - http or https, as put together above
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S, context=context) as answer:  # noqa: S310
            content = answer.read()
    except urllib.error.HTTPError as error:
        with error:
            content = error.read()
    except OSError:
        return None
    try:
        found = json.loads(content)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
