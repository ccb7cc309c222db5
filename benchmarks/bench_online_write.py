"""Online bulk write: ours beside stock Feast, same rows, same servers, same process, taking turns.

    .venv/bin/python benchmarks/bench_online_write.py [--agents 10000] [--turns 5] [--json]

Both go from the offline rows in PostgreSQL to values in an empty Redis. Stock is `FeatureStore.materialize` with Feast's own PostgreSQL
and Redis stores, told to pull only the latest rows, which suits it best. `write_rows` and `online_write_batch` are the two stores' parts
alone: ours from an Arrow table, stock from protobuf values that are already built.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
import statistics
import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import measuring

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa
    from feast import FeatureStore

    from detektor_pipelines.settings import Settings

NOW = dt.datetime.combine(measuring.END, dt.time(), dt.UTC)
STOCK_DATABASE = 1
warnings.filterwarnings("ignore")


def main() -> None:
    """Measure and print."""
    parser = measuring.options(__doc__)
    parser.add_argument("--agents", type=int, default=10_000)
    parser.add_argument("--turns", type=int, default=5)
    arguments = parser.parse_args()
    measuring.stop_the_clock()
    figures = measuring.machine()
    with tempfile.TemporaryDirectory() as directory, measuring.servers() as (settings,):
        figures |= measure(settings, Path(directory), arguments.agents, arguments.turns)
    print(json.dumps(figures) if arguments.json else _table(figures))


def measure(settings: Settings, directory: Path, agents: int, turns: int) -> dict[str, Any]:
    """Publish the rows offline, then let the ways take turns; `directory` is for stock Feast's registry."""
    from detektor_pipelines.stores.feast import registry as feast_repo

    rows = _publish_offline(settings, agents)
    feast_repo.apply(settings)
    with feast_repo.closing_store(settings) as store:
        ways = _ways(settings, rows, store, _stock_store(directory, settings))
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(turns + 1):
            for name, run in ways.items():
                _empty(settings)
                spent = _timed(run)
                _check(settings, name, agents)
                if turn:  # the first warms caches and connections
                    seconds[name].append(spent)
    rates = {name: agents / statistics.median(spent) for name, spent in seconds.items()}
    return {
        "agents": agents,
        "features": len(rows.column_names) - 3,
        "turns": turns,
        "rows_per_second": rates,
        "slowest": {name: agents / max(spent) for name, spent in seconds.items()},
        "fastest": {name: agents / min(spent) for name, spent in seconds.items()},
        "publish_over_stock_materialize": rates["publish_online"] / rates["stock materialize"],
        "write_over_stock_write": rates["write_rows"] / rates["stock online_write_batch"],
    }


def _ways(settings: Settings, rows: pa.Table, ours: FeatureStore, stock: FeatureStore) -> dict[str, Callable[[], object]]:
    from feast.utils import _convert_arrow_to_proto
    from feast.value_type import ValueType

    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.engine.online import publish_online
    from detektor_pipelines.stores.online.values import redis_client, write_rows

    view, as_of = VIEWS[0], int(NOW.timestamp() * 1_000_000)
    start, end = dt.datetime(2026, 10, 1, tzinfo=dt.UTC), NOW
    client = redis_client(settings)
    registered = stock.get_feature_view(view.name)
    protos = _convert_arrow_to_proto(rows.combine_chunks(), registered, {"agent_id": ValueType.STRING})
    stock_online = stock._get_provider().online_store  # noqa: SLF001 - the store itself, without materialize around it
    return {
        "publish_online": lambda: publish_online(settings, view),
        "stock materialize": lambda: stock.materialize(start, end, [view.name]),
        "materialize, our stores": lambda: ours.materialize(start, end, [view.name]),
        "write_rows": lambda: write_rows(client, settings.project, view, rows, as_of_us=as_of, valid_through_us=as_of, snapshot="1:1:"),
        "stock online_write_batch": lambda: stock_online.online_write_batch(stock.config, registered, protos, None),
    }


def _publish_offline(settings: Settings, agents: int) -> pa.Table:
    """One row an agent, as the engine lays it out; a tenth of what may be null is."""
    import numpy as np
    import pyarrow as pa

    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.engine.compute import row_schema
    from detektor_pipelines.stores.connections import connect_arrow
    from detektor_pipelines.stores.offline import rows as offline

    view, random = VIEWS[0], np.random.default_rng(1)
    instant = pa.timestamp("us", tz="UTC")
    at = pa.array([int((NOW - dt.timedelta(hours=3)).timestamp() * 1_000_000)] * agents, pa.int64()).cast(instant)
    columns: dict[str, pa.Array] = {
        "agent_id": pa.array(sorted(f"code-reviewer@project-{number}" for number in range(agents))),
        "event_timestamp": at,
        "created_at": at,
    }
    for each in view.features:
        values, missing = random.integers(0, 1_000_000, agents), random.random(agents) < 0.1 * each.nullable
        if each.value_type == "float64":
            columns[each.name] = pa.array(values / 7, mask=missing)
        else:
            columns[each.name] = pa.array(values, mask=missing).cast(pa.int64() if each.value_type == "int64" else instant)
    rows = pa.table(columns).cast(row_schema(view))
    offline.ensure_tables(settings, VIEWS)
    with connect_arrow(settings) as connection:
        offline.publish(connection, view, measuring.last_days(1), rows, "1:1:")
    return rows


def _stock_store(directory: Path, settings: Settings) -> FeatureStore:
    """Feast's own stores over the same table and the same Redis server, database 1."""
    from feast import FeatureStore, RepoConfig

    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.compile import feast as compiled

    password = settings.redis_password.get_secret_value() if settings.redis_password else ""
    config = RepoConfig(
        project="stock",
        provider="local",
        registry={"registry_type": "file", "path": str(directory / "registry.db")},
        online_store={
            "type": "redis",
            "connection_string": f"{settings.redis_host}:{settings.redis_port},db={STOCK_DATABASE},password={password}",
        },
        offline_store={
            "type": "postgres",
            "host": settings.postgres_host,
            "port": settings.postgres_port,
            "database": settings.postgres_database,
            "db_schema": "feast",
            "user": settings.postgres_user,
            "password": settings.postgres_password.get_secret_value() if settings.postgres_password else "",
            "sslmode": "prefer",
        },
        materialization={"pull_latest_features": True},
        entity_key_serialization_version=3,
    )
    store = FeatureStore(config=config)
    store.apply([compiled.entity(), compiled.feature_view(VIEWS[0])])
    return store


def _empty(settings: Settings) -> None:
    from detektor_pipelines.stores.online.values import redis_client

    with redis_client(settings) as client:
        client.flushall()


def _check(settings: Settings, name: str, agents: int) -> None:
    """A way that wrote less than all would be fast."""
    from detektor_pipelines.stores.online.values import redis_client

    with redis_client(settings) as client:
        database = client.info("keyspace").get(f"db{STOCK_DATABASE if name.startswith('stock') else 0}", {})
    keys = database.get("keys", 0)
    extra = {"publish_online": 3, "write_rows": 2, "materialize, our stores": 1}.get(
        name, 0
    )  # layout, valid_through where it moves, the life
    if keys != agents + extra:
        message = f"{name} left {keys} keys, expected {agents + extra}"
        raise RuntimeError(message)


def _timed(run: Callable[[], object]) -> float:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        started = time.perf_counter()
        run()
        return time.perf_counter() - started


def _table(figures: dict[str, Any]) -> str:
    lines = [f"{figures['cores']} cores, load {figures['load_before']:.1f} before"]
    lines += [f"{figures['agents']:,} agent_ids x {figures['features']} features, median of {figures['turns']} turns"]
    lines.append(f"{'way':<28}{'rows/s':>12}{'slowest':>12}{'fastest':>12}")
    for name, rate in figures["rows_per_second"].items():
        lines.append(f"{name:<28}{rate:>12,.0f}{figures['slowest'][name]:>12,.0f}{figures['fastest'][name]:>12,.0f}")
    lines.append(f"publish_online / stock materialize: {figures['publish_over_stock_materialize']:.1f}")
    lines.append(f"write_rows / stock online_write_batch: {figures['write_over_stock_write']:.1f}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
