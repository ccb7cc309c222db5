"""Training sets: exact values from the log, and Feast's historical reads, each beside an ASOF join of rows that are there already.

    .venv/bin/python benchmarks/training.py [--events 1000000] [--labels 10000] [--rows 184000] [--frames 1000,10000,100000]
        [--stock-frames 1000,10000] [--turns 3] [--json]

`exact`: `training_set` of labels at random instants of random projects over a simulated log, 12 features of the code-reviewer, each value
of its very microsecond; `definition` the same of all decisions of the label `issues_found`. `asof_of_rows` is the limit: DuckDB's ASOF join
of the same labels onto the hourly rows, computed before and in memory, which gives the value of the last full hour.

`ours_N` and `stock_N`: `get_historical_features` of N labels and 12 features over the same table in PostgreSQL, by our offline store and by
Feast's own; `asof_N` DuckDB's ASOF join of those labels onto the same rows in memory, `asof_read_N` with reading them from PostgreSQL.
Stock takes minutes for 10,000 labels and more. Ways take turns; medians.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import statistics
import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import measuring

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    import pyarrow as pa
    from feast import FeatureStore

    from detektor_pipelines.settings import Settings

AGENT = "code-reviewer"
DAYS = 184
NOW = dt.datetime.combine(measuring.END, dt.time(), dt.UTC)
ASOF = (
    "SELECT l.*, r.* EXCLUDE (agent_id, event_timestamp) FROM labels l"
    " ASOF LEFT JOIN rows r ON r.agent_id = l.agent_id AND r.event_timestamp <= l.at"
)
warnings.filterwarnings("ignore")


def main() -> None:
    """Measure and print."""
    parser = measuring.options(__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--projects", type=int, default=25)
    parser.add_argument("--labels", type=int, default=10_000)
    parser.add_argument("--rows", type=int, default=184_000)
    parser.add_argument("--frames", default="1000,10000,100000")
    parser.add_argument("--stock-frames", default="1000,10000")
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    measuring.stop_the_clock()
    figures = measuring.machine()
    with measuring.servers(("log", "rows")) as (log, rows):
        figures |= exact(log, arguments)
        figures |= historical(rows, arguments)
    measuring.show(figures, as_json=arguments.json)


def exact(settings: Settings, arguments: Any) -> dict[str, Any]:
    """Training sets from the log."""
    from detektor_pipelines.catalog import view_named
    from detektor_pipelines.stores.raw_log.bulk import append_table
    from detektor_pipelines.training.sets import training_set

    measuring.say(f"Writing {arguments.events:,} events")
    table = measuring.history(arguments.events, arguments.projects, DAYS)
    append_table(settings, table)
    _analyse(settings)
    labels = _labels(sorted(f"{AGENT}@{each}" for each in table["project"].unique().to_pylist()), arguments.labels)
    rows = _hourly_rows(settings)
    features = [view_named(AGENT).name]
    ways: dict[str, Callable[[], Any]] = {
        "exact": lambda: training_set(settings, agent=AGENT, label=labels, features=features).table,
        "definition": lambda: training_set(settings, agent=AGENT, label="issues_found").table,
        "asof_of_rows": lambda: _asof(labels.rename_columns(["agent_id", "at", "label"]), rows),
    }
    seconds, sizes = _in_turns(ways, arguments.turns)
    found: dict[str, Any] = {f"{name}_s": statistics.median(spent) for name, spent in seconds.items()}
    found |= {"exact_labels": sizes["exact"], "definition_labels": sizes["definition"], "hourly_rows": rows.num_rows}
    return found | {"exact_over_asof": found["exact_s"] / found["asof_of_rows_s"]}


def historical(settings: Settings, arguments: Any) -> dict[str, Any]:
    """Feast's historical reads."""
    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.stores.feast import registry as feast_repo

    rows = _publish(settings, max(arguments.rows // DAYS, 1))
    frames, stock_frames = (sorted(map(int, text.split(","))) if text else [] for text in (arguments.frames, arguments.stock_frames))
    wanted = [f"{VIEWS[0].name}:{each.name}" for each in VIEWS[0].features]
    found: dict[str, Any] = {"rows": rows.num_rows, "features": len(wanted)}
    feast_repo.apply(settings)
    with tempfile.TemporaryDirectory() as directory, feast_repo.closing_store(settings) as ours:
        stock = _stock_store(Path(directory), settings)
        for number in frames:
            measuring.say(f"{number:,} labels")
            labels = _labels(sorted(rows["agent_id"].unique().to_pylist()), number)
            named = labels.select(["agent_id", "decided_at"])
            frame, plain = named.rename_columns(["agent_id", "event_timestamp"]).to_pandas(), named.rename_columns(["agent_id", "at"])
            ways = {"ours": _reader(ours, frame, wanted), "asof": _asof_reader(plain, rows), "asof_read": _asof_reader(plain, settings)}
            if number in stock_frames:
                ways["stock"] = _reader(stock, frame, wanted)
                if number == stock_frames[0]:
                    _same_values(ways["ours"](), ways["stock"]())
            seconds, sizes = _in_turns(ways, arguments.turns)
            _check(sizes, number)
            found |= {f"{name}_{number}_s": statistics.median(spent) for name, spent in seconds.items()}
            found[f"ours_over_asof_{number}"] = found[f"ours_{number}_s"] / found[f"asof_{number}_s"]
            if "stock" in ways:
                found[f"ours_over_stock_{number}"] = found[f"ours_{number}_s"] / found[f"stock_{number}_s"]
    return found


def _in_turns(ways: dict[str, Callable[[], Any]], turns: int) -> tuple[dict[str, list[float]], dict[str, int]]:
    """Run each way once for its caches, then in turns; returns the seconds, and how many rows each gave."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    sizes: dict[str, int] = {}
    for turn in range(turns + 1):
        for name, run in ways.items():
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                started = time.perf_counter()
                sizes[name] = run().num_rows
                spent = time.perf_counter() - started
            if turn:
                seconds[name].append(spent)
    return seconds, sizes


def _check(sizes: dict[str, int], number: int) -> None:
    """A way that loses rows would be fast."""
    wrong = {name: size for name, size in sizes.items() if size != number}
    if wrong:
        message = f"{number} labels gave {wrong}"
        raise RuntimeError(message)


def _same_values(ours: pa.Table, stock: pa.Table) -> None:
    """Hold the two historical reads to each other, row by row; stock gives instants without their zone."""
    import pandas as pd

    frames = []
    for table in (ours, stock):
        frame = table.to_pandas()
        instants = {name: pd.to_datetime(frame[name], utc=True) for name in frame.select_dtypes(["datetime", "datetimetz"])}
        frames.append(frame.assign(**instants).sort_values(["agent_id", "event_timestamp"], ignore_index=True))
    one, other = frames
    unlike = [name for name in one if not (one[name].eq(other[name]) | (one[name].isna() & other[name].isna())).all()]
    if unlike:
        message = f"the two historical reads differ in {unlike}"
        raise RuntimeError(message)


def _labels(agent_ids: list[str], number: int) -> pa.Table:
    """Random ones, over all but the first 34 days."""
    import numpy as np
    import pyarrow as pa

    random = np.random.default_rng(1)
    end = int(NOW.timestamp()) * 1_000_000
    instants = np.sort(random.integers(end - (DAYS - 34) * 86_400_000_000, end, number))
    return pa.table(
        {
            "agent_id": pa.array([agent_ids[each] for each in random.integers(0, len(agent_ids), number)]),
            "decided_at": pa.array(instants).cast(pa.timestamp("us", "UTC")),
            "label": pa.array(random.random(number) < 0.5),
        }
    )


def _hourly_rows(settings: Settings) -> pa.Table:
    """All rows of the view, as publishing would write them, sorted."""
    from detektor_pipelines.catalog import view_named
    from detektor_pipelines.compile.plan import plan
    from detektor_pipelines.engine.compute import compute
    from detektor_pipelines.stores.connections import connect_arrow
    from detektor_pipelines.stores.raw_log.reader import read_events

    view, end = view_named(AGENT), int(NOW.timestamp()) * 1_000_000
    start = end - (DAYS + 40) * 86_400_000_000
    with connect_arrow(settings) as connection:
        events = read_events(connection, view.agent, plan(view).columns, start, end)
    return compute(view, events, start=start, end=end).drop_columns(["created_at"]).combine_chunks()


def _asof(labels: pa.Table, rows: pa.Table) -> pa.Table:
    import duckdb

    with duckdb.connect(":memory:") as engine:
        engine.register("labels", labels)
        engine.register("rows", rows)
        return engine.sql(ASOF).to_arrow_table()


def _asof_reader(labels: pa.Table, rows: pa.Table | Settings) -> Callable[[], pa.Table]:
    import pyarrow as pa

    return lambda: _asof(labels, rows if isinstance(rows, pa.Table) else _read_rows(rows))


def _read_rows(settings: Settings) -> pa.Table:
    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.stores.connections import connect_arrow
    from detektor_pipelines.stores.offline.rows import row_table

    columns = ", ".join(["agent_id", "event_timestamp", *(each.name for each in VIEWS[0].features)])
    with connect_arrow(settings) as connection, connection.cursor() as cursor:
        cursor.execute(f'SELECT {columns} FROM feast."{row_table(VIEWS[0])}"')
        return cursor.fetch_arrow_table()


def _reader(store: FeatureStore, frame: pd.DataFrame, wanted: list[str]) -> Callable[[], pa.Table]:
    return lambda: store.get_historical_features(frame, wanted).to_arrow()


def _publish(settings: Settings, agents: int) -> pa.Table:
    """A row a day of each agent; a tenth of what may be null is."""
    import numpy as np
    import pyarrow as pa

    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.engine.compute import row_schema
    from detektor_pipelines.stores.connections import connect_arrow
    from detektor_pipelines.stores.offline import rows as offline

    view, random, days, instant = VIEWS[0], np.random.default_rng(1), measuring.last_days(DAYS), pa.timestamp("us", tz="UTC")
    noons = [int(dt.datetime.combine(day, dt.time(12), dt.UTC).timestamp()) * 1_000_000 for day in days]
    number = agents * len(days)
    at = pa.array(np.tile(np.array(noons), agents)).cast(instant)
    names = sorted(f"{view.agent}@project-{each}" for each in range(agents))
    columns: dict[str, Any] = {"agent_id": pa.array(np.repeat(np.array(names), len(days))), "event_timestamp": at, "created_at": at}
    for each in view.features:
        values, missing = random.integers(0, 1_000_000, number), random.random(number) < 0.1 * each.nullable
        kind = {"int64": pa.int64(), "float64": pa.float64(), "instant": instant}[each.value_type]
        columns[each.name] = pa.array(values / 7 if each.value_type == "float64" else values, mask=missing).cast(kind)
    rows = pa.table(columns).cast(row_schema(view))
    offline.ensure_tables(settings, VIEWS)
    with connect_arrow(settings) as connection:
        offline.publish(connection, view, days, rows, "1:1:")
    _analyse(settings)
    return rows.drop_columns(["created_at"])


def _stock_store(directory: Path, settings: Settings) -> FeatureStore:
    """Feast's own PostgreSQL store over the same table."""
    from feast import FeatureStore, RepoConfig

    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.compile import feast as compiled

    config = RepoConfig(
        project="stock",
        provider="local",
        registry={"registry_type": "file", "path": str(directory / "registry.db")},
        online_store={"type": "sqlite", "path": str(directory / "online.db")},
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
        entity_key_serialization_version=3,
    )
    store = FeatureStore(config=config)
    store.apply([compiled.entity(), compiled.feature_view(VIEWS[0])])
    return store


def _analyse(settings: Settings) -> None:
    """What autovacuum does of its own a minute later."""
    import psycopg

    with psycopg.connect(settings.postgres_dsn, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


if __name__ == "__main__":
    main()
