"""Online reads: our feature server beside stock `feast serve`, our SDK store beside the stock one; same values, same Redis, taking turns.

    .venv/bin/python benchmarks/serving.py [--requests 3000] [--seconds 4] [--turns 3] [--json]

One worker each. Stock runs with its default, which replaces the worker after 1,000 requests ("recycling"), and with that switched off.
Latency is of one client that keeps its connection and asks again at once; requests/s is of 16 such clients in one process. Beside them
stand the bare PING of the same Redis and the bare MGET of the eight agents' keys, in the same turn. `eight agents`: all features of all
eight views for the eight agents of a project, in one request. The SDK is timed up to the values, `to_dict()`: our answer makes its proto
only when somebody asks for it, which `SDK with proto` does. The last lines are what is asked for, and whether it is met here.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import measuring
from serving_clients import (
    AGENTS,
    CLIENTS,
    Connection,
    agents_of,
    at,
    body_of,
    eight_agents,
    latencies,
    one_agent,
    rows_of,
    throughput,
    write_values,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from feast import FeatureStore

    from detektor_pipelines.settings import Settings

STOCK_DATABASE: Final = 1
ASKED: Final = {
    "http_p50_over_stock_recycling": (False, 0.5),
    "http_p99_over_stock_recycling": (False, 0.5),
    "requests_per_second_over_stock_recycling": (True, 3),
    "http_p50_over_stock": (False, 0.5),
    "http_p99_over_stock": (False, 0.5),
    "requests_per_second_over_stock": (True, 3),
    "sdk_p99_over_stock": (False, 1),
    "sdk_100_agents_p50_over_stock": (False, 1 / 3),
    "sdk_100_agents_p99_over_stock": (False, 1 / 3),
    "eight_agents_p99_ms": (False, 3),
}
"""Figure: whether the bound is the least that is asked or the most, and the bound."""

SERVERS: Final = ("ours", "stock", "stock, no recycling")
warnings.filterwarnings("ignore")


def main() -> None:
    """Measure and print."""
    parser = measuring.options(__doc__)
    parser.add_argument("--requests", type=int, default=3_000, help="of one client, a turn")
    parser.add_argument("--seconds", type=float, default=4.0, help="of 16 clients, a turn")
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    figures = measuring.machine()
    with tempfile.TemporaryDirectory() as directory, measuring.servers() as (settings,):
        figures |= measure(settings, Path(directory), arguments.requests, arguments.seconds, arguments.turns)
    print(json.dumps(figures) if arguments.json else _table(figures))


def measure(settings: Settings, directory: Path, requests: int, seconds: float, turns: int) -> dict[str, Any]:
    """Write the values in both forms, start the servers, then let the ways take turns."""
    from detektor_pipelines.stores.feast import registry as feast_repo

    measuring.say("Writing values, starting the servers …")
    feast_repo.apply(settings)
    stock = _stock_store(directory, settings)
    with feast_repo.closing_store(settings) as ours, _servers(settings, directory) as ports:
        _write_values(settings, stock)
        _same_values(ours, stock)
        times: dict[str, list[float]] = {}
        rates: dict[str, list[float]] = {name: [] for name in SERVERS}
        ways = _ways(settings, ours, stock, ports)
        for turn in range(turns + 1):
            measuring.say(f"Turn {turn} of {turns} …")
            for name, (ask, share) in ways.items():
                found = latencies(ask, max(20, int(requests * share)) if turn else 20)
                times.setdefault(name, []).extend(found if turn else [])  # the first warms caches and connections
            for name, port in ports.items() if turn else ():
                rates[name].append(throughput(port, one_agent(), seconds))
    found_at = {name: {"p50_ms": at(found, 50), "p99_ms": at(found, 99), "requests": len(found)} for name, found in times.items()}
    a_second = {name: statistics.median(found) for name, found in rates.items()}
    return {"latency": found_at, "requests_per_second": a_second} | _ratios(found_at, a_second)


def _ways(
    settings: Settings, ours: FeatureStore, stock: FeatureStore, ports: dict[str, int]
) -> dict[str, tuple[Callable[[], object], float]]:
    """Return what is timed, each with its share of the requests: what takes long is asked less often."""
    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.stores.online.values import Lookup, keys_of, redis_client, stored_view

    client = redis_client(settings)
    names = [f"{VIEWS[0].name}:{each.name}" for each in VIEWS[0].features]
    one, hundred = ([{"agent_id": agent} for agent in agents_of(VIEWS[0])[:number]] for number in (1, AGENTS))
    eight = [agents_of(view)[0] for view in VIEWS]
    keys = keys_of([Lookup(settings.project, stored_view(view), eight) for view in VIEWS])
    ways: dict[str, tuple[Callable[[], object], float]] = {
        "PING": (client.ping, 1),
        "MGET of eight agents": (lambda: client.mget(keys), 0.5),
    }
    for name, port in ports.items():
        ways[f"HTTP, 1 agent: {name}"] = (Connection(port, one_agent()).ask, 1)
        if name != "stock":
            ways[f"HTTP, 100 agents: {name}"] = (Connection(port, body_of(names, agents_of(VIEWS[0]))).ask, 0.1)
            ways[f"HTTP, eight agents: {name}"] = (Connection(port, eight_agents()).ask, 0.5 if name == "ours" else 0.1)
    for name, store in (("ours", ours), ("stock", stock)):
        ways[f"SDK, 1 agent: {name}"] = (lambda store=store: store.get_online_features(names, one).to_dict(), 1)
        ways[f"SDK, 100 agents: {name}"] = (lambda store=store: store.get_online_features(names, hundred).to_dict(), 0.1)
        ways[f"SDK with proto, 100 agents: {name}"] = (lambda store=store: store.get_online_features(names, hundred).proto, 0.1)
    return ways


def _ratios(found: dict[str, Any], rates: dict[str, float]) -> dict[str, float]:
    def ratio(one: str, other: str, figure: str) -> float:
        return float(found[one][figure] / found[other][figure])

    figures = {}
    for name, other in (("stock_recycling", "stock"), ("stock", "stock, no recycling")):
        for figure in ("p50", "p99"):
            figures[f"http_{figure}_over_{name}"] = ratio("HTTP, 1 agent: ours", f"HTTP, 1 agent: {other}", f"{figure}_ms")
        figures[f"requests_per_second_over_{name}"] = rates["ours"] / rates[other]
    for figure in ("p50", "p99"):
        figures[f"sdk_{figure}_over_stock"] = ratio("SDK, 1 agent: ours", "SDK, 1 agent: stock", f"{figure}_ms")
        figures[f"sdk_100_agents_{figure}_over_stock"] = ratio("SDK, 100 agents: ours", "SDK, 100 agents: stock", f"{figure}_ms")
        both = (f"SDK with proto, 100 agents: {each}" for each in ("ours", "stock"))
        figures[f"sdk_100_agents_with_proto_{figure}_over_stock"] = ratio(*both, f"{figure}_ms")
        figures[f"eight_agents_{figure}_over_ping"] = ratio("HTTP, eight agents: ours", "PING", f"{figure}_ms")
        figures[f"eight_agents_{figure}_over_mget"] = ratio("HTTP, eight agents: ours", "MGET of eight agents", f"{figure}_ms")
    return figures | {"eight_agents_p99_ms": found["HTTP, eight agents: ours"]["p99_ms"]}


# Values and servers ------------------------------------------------------------------------------------------------------------


def _write_values(settings: Settings, stock: FeatureStore) -> None:
    from feast.utils import _convert_arrow_to_proto
    from feast.value_type import ValueType

    from detektor_pipelines.catalog import VIEWS

    write_values(settings)
    store = stock._get_provider().online_store  # noqa: SLF001 - the store itself, without materialize around it
    for view in VIEWS:
        registered = stock.get_feature_view(view.name)
        protos = _convert_arrow_to_proto(rows_of(view).combine_chunks(), registered, {"agent_id": ValueType.STRING})
        store.online_write_batch(stock.config, registered, protos, None)


def _same_values(ours: FeatureStore, stock: FeatureStore) -> None:
    """Hold what the two SDKs answer to each other: who answers less would be fast."""
    from detektor_pipelines.catalog import VIEWS

    for view in VIEWS:
        names, agents = [f"{view.name}:{each.name}" for each in view.features], [{"agent_id": agent} for agent in agents_of(view)]
        one, other = (store.get_online_features(names, agents).to_dict() for store in (ours, stock))
        unlike = [name for name in one if one[name] != other[name]]
        if unlike:
            raise RuntimeError(f"{view.name}: the two SDKs answer otherwise of {unlike}")


def _stock_store(directory: Path, settings: Settings) -> FeatureStore:
    """Feast's own Redis store in the same server, database 1; `directory` is also the repository that `feast serve` reads."""
    import yaml
    from feast import FeatureStore

    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.compile import feast as compiled

    password = settings.redis_password.get_secret_value() if settings.redis_password else ""
    config = {
        "project": "stock",
        "provider": "local",
        "registry": {"registry_type": "file", "path": str(directory / "registry.db"), "cache_ttl_seconds": 600},
        "online_store": {
            "type": "redis",
            "connection_string": f"{settings.redis_host}:{settings.redis_port},db={STOCK_DATABASE},password={password}",
        },
        "entity_key_serialization_version": 3,
    }
    (directory / "feature_store.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    store = FeatureStore(repo_path=str(directory))
    with contextlib.redirect_stdout(io.StringIO()):
        store.apply([compiled.entity(), *(compiled.feature_view(view) for view in VIEWS)])
    return store


@contextmanager
def _servers(settings: Settings, directory: Path) -> Iterator[dict[str, int]]:
    """Run the three servers, each in a process group of its own; yield their ports."""
    from detektor_pipelines.stack.ports import free_port, http_answers

    scripts, ports = Path(sys.executable).parent, {}
    for name in SERVERS:
        ports[name] = free_port(frozenset(ports.values()))
    stock = [str(scripts / "feast"), "--chdir", str(directory), "serve", "--no-access-log", "--workers", "1"]
    commands = {
        "ours": [str(scripts / "detektor"), "serve", "--port", str(ports["ours"])],
        "stock": [*stock, "--port", str(ports["stock"])],
        "stock, no recycling": [*stock, "--port", str(ports["stock, no recycling"]), "--max-requests", "0"],
    }
    ours = {"DETEKTOR_EXTERNAL_REDIS_URL": settings.redis_url, "DETEKTOR_HOME": str(settings.home)}
    with (directory / "servers.log").open("wb") as log:
        started = [
            subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, env=os.environ | ours)
            for command in commands.values()
        ]
        try:
            deadline = time.monotonic() + 120
            while not all(http_answers(port, "/health") for port in ports.values()):
                if time.monotonic() > deadline or any(each.poll() is not None for each in started):
                    raise RuntimeError((directory / "servers.log").read_text(encoding="utf-8")[-3_000:])
                time.sleep(0.2)
            yield ports
        finally:
            for each in started:
                os.killpg(each.pid, signal.SIGTERM)
            for each in started:
                each.wait(30)


def _table(figures: dict[str, Any]) -> str:
    lines = [f"{figures['cores']} cores, load {figures['load_before']:.1f} before"]
    lines.append(f"{'way':<42}{'p50 ms':>10}{'p99 ms':>10}{'requests':>10}")
    lines += [
        f"{name:<42}{found['p50_ms']:>10.2f}{found['p99_ms']:>10.2f}{found['requests']:>10,}" for name, found in figures["latency"].items()
    ]
    lines += [f"{f'requests/s, {CLIENTS} clients: {name}':<42}{rate:>10,.0f}" for name, rate in figures["requests_per_second"].items()]
    for name, figure in figures.items():
        if "_over_" in name or name in ASKED:
            lines.append(f"{name:<42}{figure:>10.2f}{_verdict(name, figure):>30}")
    return "\n".join(lines)


def _verdict(name: str, figure: float) -> str:
    if name not in ASKED:
        return ""
    least, bound = ASKED[name]
    return f"{'at least' if least else 'at most'} {bound:g}: {'met' if (figure >= bound if least else figure <= bound) else 'NOT MET'}"


if __name__ == "__main__":
    main()
