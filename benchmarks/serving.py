"""Online reads: our feature server beside stock `feast serve`, our SDK store beside the stock one; same values, same Redis, taking turns.

    .venv/bin/python benchmarks/serving.py [--requests 3000] [--seconds 4] [--turns 3] [--beside CHECKOUT] [--without-stock] [--json]

One worker each, ours with access control: each request brings a token. Stock runs with its default, which replaces the worker after 1,000
requests ("recycling"), and with that switched off. `--beside` lets the feature server of another checkout (with a virtual environment of
its own) take turns with the others, as `before`.

Latency is of one client that keeps its connection and asks again at once; requests/s is of 16 such clients in one process, and `processor`
the server's own time for each of these. Beside them stand the bare PING of the same Redis and the bare MGET of the keys that eight agents'
answer is made of, in the same turn: as often as the answer has them (a project has one row a view, so each stands there eight times), and
each once. `eight agents`: all features of all eight views for the eight agents of a project, in one request. `new bodies`: each request's
bytes are new, so nothing that was worked out for another one helps. `half the rate`: ours is asked 5,000 times a second, half of what is
asked for, or half as often as it can answer where that is less, and so are the bare PING and a server that only passes a PING on
(`bare_relay`): the bare round trip with as many processes on the cores as ours has. They take turns every half second, and the time counts
from when a request was due. A half second in which the machine stood still is in the p99 of all; `usual p99` is the median of the half
seconds' own. The SDK is timed up to the values, `to_dict()`: our answer makes its proto only when somebody asks for it, which
`SDK with proto` does. The
last lines are what is asked for, and whether it is met here.
"""

from __future__ import annotations

import contextlib
import io
import itertools
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
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import measuring
import psutil
from measuring import REPOSITORY
from serving_clients import (
    AGENTS,
    CLIENTS,
    Connection,
    Ping,
    agents_of,
    at,
    body_of,
    eight_agents,
    latencies,
    one_agent,
    paced,
    rows_of,
    throughput,
    write_values,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from feast import FeatureStore

    from detektor_pipelines.settings import Settings

STOCK_DATABASE: Final = 1
SLICE_S: Final = 0.5
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
    "eight_agents_p50_over_mget": (False, 2.5),
    "requests_per_second": (True, 10_000),
    "half_rate_p99_over_ping": (False, 3),
}
"""Figure: whether the bound is the least that is asked or the most, and the bound."""

OURS: Final = ("ours", "before")
STOCK: Final = ("stock", "stock, no recycling")
warnings.filterwarnings("ignore")


def main() -> None:
    """Measure and print."""
    parser = measuring.options(__doc__)
    parser.add_argument("--requests", type=int, default=3_000, help="of one client, a turn")
    parser.add_argument("--seconds", type=float, default=4.0, help="of 16 clients, a turn")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--beside", type=Path, help="another checkout, whose server takes turns")
    parser.add_argument("--without-stock", action="store_true", help="ours alone, which is quicker")
    arguments = parser.parse_args()
    figures = measuring.machine()
    with tempfile.TemporaryDirectory() as directory, measuring.servers() as (settings,):
        names = [*OURS[: 2 if arguments.beside else 1], *(() if arguments.without_stock else STOCK)]
        checkouts = {name: (arguments.beside or REPOSITORY) if name == "before" else REPOSITORY for name in names}
        figures |= measure(settings, Path(directory), checkouts, arguments)
    print(json.dumps(figures) if arguments.json else _table(figures))


def measure(settings: Settings, directory: Path, checkouts: dict[str, Path], arguments: argparse.Namespace) -> dict[str, Any]:
    """Write the values in both forms, start the servers, then let the ways take turns."""
    from detektor_pipelines.stores.feast import registry as feast_repo
    from detektor_pipelines.web.tokens import add_token

    measuring.say("Writing values, starting the servers …")
    token = add_token(directory / "tokens", "benchmark")
    feast_repo.apply(settings)
    stock = _stock_store(directory, settings)
    with feast_repo.closing_store(settings) as ours, _servers(settings, directory, checkouts) as servers:
        _write_values(settings, stock)
        _same_values(ours, stock)
        times: dict[str, list[float]] = {}
        slices: dict[str, list[float]] = {}
        loads: dict[str, list[Load]] = {name: [] for name in servers}
        ways = _ways(settings, {"ours": ours} | ({"stock": stock} if STOCK[0] in servers else {}), servers, token)
        for turn in range(arguments.turns + 1):
            measuring.say(f"Turn {turn} of {arguments.turns} …")
            for name, (ask, share) in ways.items():
                found = latencies(ask, max(20, int(arguments.requests * share)) if turn else 20)
                times.setdefault(name, []).extend(found if turn else [])  # the first warms caches and connections
            for name, server in servers.items() if turn else ():
                loads[name].append(_load(server, token, arguments.seconds))
            if turn:
                rate = min(loads["ours"][-1].rate, ASKED["requests_per_second"][1]) / 2
                for name, found in _half_rate(settings, servers, token, rate, arguments.seconds):
                    times.setdefault(f"half the rate: {name}", []).extend(found)
                    slices.setdefault(f"half the rate: {name}", []).append(at(found, 99))
    found_at = {name: {"p50_ms": at(found, 50), "p99_ms": at(found, 99), "requests": len(found)} for name, found in times.items()}
    for name, found in slices.items():
        found_at[name]["p99_usual_ms"] = statistics.median(found)
    a_second = {name: statistics.median(each.rate for each in found) for name, found in loads.items()}
    processor = {name: statistics.median(each.processor_us for each in found) for name, found in loads.items()}
    return {"latency": found_at, "requests_per_second_of": a_second, "processor_us_of": processor} | _ratios(found_at, a_second, processor)


class Server(NamedTuple):
    """A server that is asked: its port and its process."""

    port: int
    pid: int


class Load(NamedTuple):
    """What a server does under load: answers a second, and µs of its own processor time for each."""

    rate: float
    processor_us: float


def _load(server: Server, token: str, seconds: float) -> Load:
    process = psutil.Process(server.pid)
    busy = [sum(each.cpu_times()[:2]) for each in (process, *process.children(recursive=True))]
    rate = throughput(server.port, one_agent(), seconds, token)
    spent = sum(sum(each.cpu_times()[:2]) for each in (process, *process.children(recursive=True))) - sum(busy)
    return Load(rate, spent / (rate * seconds) * 1e6)


def _half_rate(
    settings: Settings, servers: dict[str, Server], token: str, rate: float, seconds: float
) -> Iterator[tuple[str, list[float]]]:
    """Ask PING, the bare relay and our servers in turn, each for as many seconds in all."""
    with _relay(settings) as relay:
        ports = {"PING by HTTP": relay} | {f"HTTP, 1 agent: {name}": servers[name].port for name in OURS if name in servers}
        for _ in range(max(1, round(seconds / SLICE_S))):
            yield "PING", paced([Ping(settings) for _ in range(CLIENTS)], rate, SLICE_S)
            for name, port in ports.items():
                yield name, paced([Connection(port, one_agent(), token) for _ in range(CLIENTS)], rate, SLICE_S)


@contextmanager
def _relay(settings: Settings) -> Iterator[int]:
    """Run `bare_relay`; yields its port."""
    from detektor_pipelines.stack.ports import answers, free_port

    port = free_port()
    process = subprocess.Popen([sys.executable, str(Path(__file__).with_name("bare_relay.py")), str(port), settings.redis_url])
    try:
        while not answers(port):
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(30)


def _ways(
    settings: Settings, stores: dict[str, FeatureStore], servers: dict[str, Server], token: str
) -> dict[str, tuple[Callable[[], object], float]]:
    """Return what is timed, each with its share of the requests: what takes long is asked less often."""
    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.serving.online_request import parse
    from detektor_pipelines.stores.online.values import keys_of, redis_client

    client = redis_client(settings)
    names = [f"{VIEWS[0].name}:{each.name}" for each in VIEWS[0].features]
    one, hundred = ([{"agent_id": agent} for agent in agents_of(VIEWS[0])[:number]] for number in (1, AGENTS))
    keys = keys_of(parse(eight_agents(), settings.serve_entities_limit).lookups(settings.project))
    once = list(dict.fromkeys(keys))
    ways: dict[str, tuple[Callable[[], object], float]] = {
        "PING": (client.ping, 1),
        f"MGET of eight agents, {len(keys)} keys": (lambda: client.mget(keys), 0.5),
        f"MGET of eight agents, {len(once)} keys": (lambda: client.mget(once), 0.5),
    }
    for name, (port, _) in servers.items():
        ways[f"HTTP, 1 agent: {name}"] = (Connection(port, one_agent(), token).ask, 1)
        if name != "stock":
            ways[f"HTTP, 100 agents: {name}"] = (Connection(port, body_of(names, agents_of(VIEWS[0])), token).ask, 0.1)
            ways[f"HTTP, eight agents: {name}"] = (Connection(port, eight_agents(), token).ask, 0.1 if name in STOCK else 0.5)
        if name in OURS:
            ways[f"HTTP, 1 agent, new bodies: {name}"] = (_new_bodies(port, one_agent(), token), 0.5)
            ways[f"HTTP, eight agents, new bodies: {name}"] = (_new_bodies(port, eight_agents(), token), 0.25)
    for name, store in stores.items():
        ways[f"SDK, 1 agent: {name}"] = (lambda store=store: store.get_online_features(names, one).to_dict(), 1)
        ways[f"SDK, 100 agents: {name}"] = (lambda store=store: store.get_online_features(names, hundred).to_dict(), 0.1)
        ways[f"SDK with proto, 100 agents: {name}"] = (lambda store=store: store.get_online_features(names, hundred).proto, 0.1)
    return ways


def _new_bodies(port: int, body: bytes, token: str) -> Callable[[], object]:
    """Return what asks the same in other bytes each time."""
    connection = Connection(port, body, token)
    numbers = itertools.count(10**9)  # all of one length

    def ask() -> None:
        connection.set_body(body[:-1] + b', "number": %d}' % next(numbers))
        connection.ask()

    return ask


def _ratios(found: dict[str, Any], rates: dict[str, float], processor: dict[str, float]) -> dict[str, float]:
    def ratio(one: str, other: str, figure: str) -> float:
        return float(found[one][figure] / found[other][figure])

    figures = {"requests_per_second": rates["ours"]}
    for name, figure in (("p99", "p99_ms"), ("usual_p99", "p99_usual_ms")):
        for bare, other in (("ping", "PING"), ("ping_by_http", "PING by HTTP")):
            figures[f"half_rate_{name}_over_{bare}"] = ratio("half the rate: HTTP, 1 agent: ours", f"half the rate: {other}", figure)
    every, once = (name for name in found if name.startswith("MGET"))
    for figure in ("p50", "p99"):
        figures[f"eight_agents_{figure}_over_ping"] = ratio("HTTP, eight agents: ours", "PING", f"{figure}_ms")
        figures[f"eight_agents_{figure}_over_mget"] = ratio("HTTP, eight agents: ours", every, f"{figure}_ms")
        figures[f"eight_agents_{figure}_over_mget_of_each_key_once"] = ratio("HTTP, eight agents: ours", once, f"{figure}_ms")
    figures["eight_agents_p99_ms"] = found["HTTP, eight agents: ours"]["p99_ms"]
    if "before" in rates:
        figures["processor_over_before"] = processor["ours"] / processor["before"]
        figures["requests_per_second_over_before"] = rates["ours"] / rates["before"]
        for way in ("1 agent", "eight agents", "1 agent, new bodies", "eight agents, new bodies", "100 agents"):
            name = way.replace(", ", "_").replace(" ", "_")
            figures[f"http_{name}_p50_over_before"] = ratio(f"HTTP, {way}: ours", f"HTTP, {way}: before", "p50_ms")
    return figures | (_over_stock(ratio, rates) if "stock" in rates else {})


def _over_stock(ratio: Callable[[str, str, str], float], rates: dict[str, float]) -> dict[str, float]:
    figures = {}
    for name, other in zip(("stock_recycling", "stock"), STOCK, strict=True):
        for figure in ("p50", "p99"):
            figures[f"http_{figure}_over_{name}"] = ratio("HTTP, 1 agent: ours", f"HTTP, 1 agent: {other}", f"{figure}_ms")
        figures[f"requests_per_second_over_{name}"] = rates["ours"] / rates[other]
    for figure in ("p50", "p99"):
        figures[f"sdk_{figure}_over_stock"] = ratio("SDK, 1 agent: ours", "SDK, 1 agent: stock", f"{figure}_ms")
        figures[f"sdk_100_agents_{figure}_over_stock"] = ratio("SDK, 100 agents: ours", "SDK, 100 agents: stock", f"{figure}_ms")
        both = (f"SDK with proto, 100 agents: {each}" for each in ("ours", "stock"))
        figures[f"sdk_100_agents_with_proto_{figure}_over_stock"] = ratio(*both, f"{figure}_ms")
    return figures


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
def _servers(settings: Settings, directory: Path, checkouts: dict[str, Path]) -> Iterator[dict[str, Server]]:
    """Run the servers, each in a process group of its own; ours of its checkout, with the tokens of `directory`."""
    from detektor_pipelines.stack.ports import free_port, http_answers

    ports: dict[str, int] = {}
    for name in checkouts:
        ports[name] = free_port(frozenset(ports.values()))
    stock = [str(Path(sys.executable).parent / "feast"), "--chdir", str(directory), "serve", "--no-access-log", "--workers", "1"]
    ours = {
        "DETEKTOR_EXTERNAL_REDIS_URL": settings.redis_url,
        "DETEKTOR_HOME": str(settings.home),
        "DETEKTOR_SERVE_TOKENS_FILE": str(directory / "tokens"),
    }
    started: dict[str, subprocess.Popen[bytes]] = {}
    with (directory / "servers.log").open("wb") as log:
        try:
            for name, checkout in checkouts.items():
                command = [*stock, *(("--max-requests", "0") if name != "stock" else ())]
                if name in OURS:
                    command = [str(checkout / ".venv/bin/detektor"), "serve"]
                started[name] = subprocess.Popen(
                    [*command, "--port", str(ports[name])],
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    env=os.environ | ours,
                    cwd=checkout if name in OURS else None,
                )
            deadline = time.monotonic() + 120
            while not all(http_answers(port, "/health") for port in ports.values()):
                if time.monotonic() > deadline or any(each.poll() is not None for each in started.values()):
                    raise RuntimeError((directory / "servers.log").read_text(encoding="utf-8")[-3_000:])
                time.sleep(0.2)
            yield {name: Server(ports[name], each.pid) for name, each in started.items()}
        finally:
            for each in started.values():
                os.killpg(each.pid, signal.SIGTERM)
            for each in started.values():
                each.wait(30)


def _table(figures: dict[str, Any]) -> str:
    lines = [f"{figures['cores']} cores, load {figures['load_before']:.1f} before"]
    lines.append(f"{'way':<52}{'p50 ms':>10}{'p99 ms':>10}{'requests':>10}")
    lines += [
        f"{name:<52}{found['p50_ms']:>10.2f}{found['p99_ms']:>10.2f}{found['requests']:>10,}" for name, found in figures["latency"].items()
    ]
    for name, rate in figures["requests_per_second_of"].items():
        lines.append(f"{f'requests/s, {CLIENTS} clients: {name}':<52}{rate:>10,.0f}{figures['processor_us_of'][name]:>17,.0f} µs processor")
    for name, figure in figures.items():
        if "_over_" in name or name in ASKED:
            lines.append(f"{name:<52}{figure:>10,.2f}{_verdict(name, figure):>30}")
    return "\n".join(lines)


def _verdict(name: str, figure: float) -> str:
    if name not in ASKED:
        return ""
    least, bound = ASKED[name]
    return f"{'at least' if least else 'at most'} {bound:,g}: {'met' if (figure >= bound if least else figure <= bound) else 'NOT MET'}"


if __name__ == "__main__":
    main()
