"""What operating from Dagster costs: a six-month backfill asked for as the page asks, and the asset graph page with its records.

    .venv/bin/python benchmarks/bench_operating.py [--events 200000] [--days 184] [--stock] [--no-browser] [--json]

Starts PostgreSQL, Redis and Dagster's three programs as `detektor up` does, in a state directory of its own, with the demo's simulated
history. Then a backfill of `--days` days × all views, features and online, is launched by GraphQL. Dagster's own records say when what was:

    tick       launched until the backfill daemon looks, which it does each 5 s
    plan       until the daemon has made and submitted the run
    queue      until the run queue starts it
    process    until the run's process has imported everything and begins
    compute    until the last partition of all views is materialized
    online     from there until the last view's values are in the online store

`backfill_s` is all of it but `tick_s` and `online_s`; `processor_s` what Dagster's programs and runs used of the cores meanwhile. The
graph page is opened in headless Chromium until every group stands on it, and the queries that it sent are sent again alone. `--stock`
does the backfill once more with the storage classes of dagster-postgres. MLflow is down.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import statistics
import tempfile
import time
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import measuring
import psutil
from measuring import say, timed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Request

    from detektor_pipelines.settings import Settings

    Figures = dict[str, Any]

PROGRAMS: Final = ("postgres", "redis", "dagster-code", "dagster", "dagster-daemon")
PROJECTS: Final = 8
TURNS: Final = 5
LONGEST: Final = 600
LAUNCH: Final = """mutation ($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
    __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
RELOAD: Final = """mutation { reloadRepositoryLocation(repositoryLocationName: "detektor_pipelines") { __typename } }"""
TIMES: Final = """
    SELECT extract(epoch FROM min(timestamp) FILTER (WHERE dagster_event_type = 'PIPELINE_ENQUEUED'))::float8 AS enqueued,
           extract(epoch FROM min(timestamp) FILTER (WHERE dagster_event_type = 'PIPELINE_STARTING'))::float8 AS starting,
           extract(epoch FROM min(timestamp) FILTER (WHERE dagster_event_type = 'PIPELINE_START'))::float8 AS began,
           extract(epoch FROM max(timestamp) FILTER (WHERE dagster_event_type = 'ASSET_MATERIALIZATION'
               AND asset_key LIKE '%%"features"]'))::float8 AS computed,
           count(DISTINCT (asset_key, partition)) FILTER (WHERE dagster_event_type = 'ASSET_MATERIALIZATION'
               AND asset_key LIKE '%%"features"]') AS partitions
    FROM dagster.event_logs JOIN dagster.run_tags USING (run_id) WHERE key = 'dagster/backfill' AND value = %s
"""
ONLINE: Final = """
    SELECT count(*) FILTER (WHERE online > features) AS views, extract(epoch FROM max(online))::float8 AS newest FROM (
        SELECT max(timestamp) FILTER (WHERE asset_key LIKE '%%"features"]') AS features,
               max(timestamp) FILTER (WHERE asset_key LIKE '%%"online"]') AS online
        FROM dagster.event_logs WHERE dagster_event_type = 'ASSET_MATERIALIZATION' GROUP BY split_part(asset_key, '"', 2)
    ) AS of_view
"""


def main() -> None:
    """Measure and print."""
    parser = measuring.options(__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--days", type=int, default=184)
    parser.add_argument("--stock", action="store_true")
    parser.add_argument("--no-browser", action="store_true")
    arguments = parser.parse_args()
    figures = measuring.machine()
    figures["events"] = arguments.events
    with tempfile.TemporaryDirectory() as scratch:
        with installation(Path(scratch) / "ours", arguments.events, arguments.days, figures) as stack:
            stack.load()
            stack.backfill("")
            stack.page(browser=not arguments.no_browser)
        if arguments.stock:
            with installation(Path(scratch) / "stock", arguments.events, arguments.days, figures, stock=True) as stack:
                stack.backfill("stock_")
    measuring.show(figures, as_json=arguments.json)


class Installation:
    """A running stack, and where its figures go."""

    def __init__(self, settings: Settings, days: list[str], figures: Figures) -> None:
        self.settings, self.days, self.figures = settings, days, figures
        self.url = f"http://127.0.0.1:{settings.dagster_port}"

    def load(self) -> None:
        """Measure how long the code location takes to load, as the page's button makes it."""
        seconds = []
        for _ in range(3):
            started = time.perf_counter()
            answer = self.graphql(RELOAD)
            if answer["reloadRepositoryLocation"]["__typename"] != "WorkspaceLocationEntry":
                raise SystemExit(f"the code location does not load: {answer}")
            seconds.append(time.perf_counter() - started)
        self.figures["code_location_s"] = statistics.median(seconds)

    def backfill(self, prefix: str) -> None:
        """Launch, wait, and split the time by Dagster's records."""
        from detektor_pipelines.catalog import VIEWS

        keys = [{"path": [view.group, name]} for view in VIEWS for name in ("features", "online")]
        launched, busy = time.time(), self._processor()
        answer = self.graphql(LAUNCH, {"params": {"partitionNames": self.days, "assetSelection": keys}})["launchPartitionBackfill"]
        if answer["__typename"] != "LaunchBackfillSuccess":
            raise SystemExit(f"the backfill was not taken: {answer}")
        backfill = answer["backfillId"]
        self.figures[f"{prefix}launch_s"] = time.time() - launched
        wanted = len(self.days) * len(VIEWS)
        times = self._wait_for(lambda: self._times(backfill), lambda found: found["partitions"] == wanted)
        online = self._wait_for(self._online, lambda found: found[0] == len(VIEWS))
        looked = self._looked(backfill)
        steps = (launched, looked, times["enqueued"], times["starting"], times["began"], times["computed"])
        for name, before, after in zip(("tick", "plan", "queue", "process", "compute"), steps, steps[1:], strict=False):
            self.figures[f"{prefix}{name}_s"] = after - before
        self.figures[f"{prefix}backfill_s"] = times["computed"] - looked
        self.figures[f"{prefix}online_s"] = max(online[1] - times["computed"], 0.0)
        self.figures[f"{prefix}processor_s"] = self._processor() - busy
        self.figures[f"{prefix}partitions"] = wanted
        say(f"{prefix}backfill of {wanted} partitions: {self.figures[f'{prefix}backfill_s']:.1f} s")

    def page(self, *, browser: bool) -> None:
        """Open the graph's page, then send its queries alone."""
        if not browser or (chromium := shutil.which("chromium")) is None:
            return
        queries = self._open_graph(chromium)
        seconds: dict[str, list[float]] = {}
        for _ in range(TURNS):
            for query in queries:
                started = time.perf_counter()
                self._post(query)
                seconds.setdefault(query["operationName"], []).append(time.perf_counter() - started)
        medians = {name: statistics.median(each) for name, each in seconds.items()}
        self.figures["graph_queries"] = len(queries)
        self.figures["graph_queries_s"] = sum(medians.values())
        slowest = max(medians, key=lambda name: medians[name])
        self.figures["graph_slowest_query"] = slowest
        self.figures["graph_slowest_query_s"] = medians[slowest]

    def graphql(self, query: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask the webserver."""
        answer = json.loads(self._post({"query": query, "variables": variables or {}}))
        if "errors" in answer:
            raise SystemExit(f"GraphQL: {answer['errors']}")
        return dict(answer["data"])

    def _post(self, body: dict[str, Any]) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.settings.dagster_port, timeout=120)
        with closing(connection):
            connection.request("POST", "/graphql", json.dumps(body), {"Content-Type": "application/json"})
            return connection.getresponse().read()

    def _open_graph(self, chromium: str) -> list[dict[str, Any]]:
        """Return the queries that the page sends until it stands."""
        from playwright.sync_api import sync_playwright

        from detektor_pipelines.catalog import VIEWS

        flags = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-proxy-server"]
        seconds: list[float] = []
        queries: list[dict[str, Any]] = []

        def note(request: Request) -> None:
            if "/graphql" in request.url and request.post_data_json:
                queries.append(request.post_data_json)

        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=flags)
            tab = browser.new_page()
            tab.on("request", note)
            for _ in range(TURNS + 1):  # the first, with an empty cache, is counted apart
                tab.goto("about:blank")
                queries.clear()
                started = time.perf_counter()
                tab.goto(f"{self.url}/asset-groups")
                for view in VIEWS:
                    tab.get_by_text(view.group, exact=True).first.wait_for(state="visible", timeout=60_000)
                seconds.append(time.perf_counter() - started)
            browser.close()
        self.figures["graph_first_s"], self.figures["graph_page_s"] = seconds[0], statistics.median(seconds[1:])
        return list({query["operationName"]: query for query in queries}.values())

    def _processor(self) -> float:
        """Return the processor time that Dagster's programs and runs have used so far; PostgreSQL's is not in it."""
        from detektor_pipelines import stack

        total = 0.0
        for name in PROGRAMS:
            pid = stack.status(self.settings)[name].pid
            if name.startswith("dagster") and pid:
                program = psutil.Process(pid)
                for process in (program, *program.children(recursive=True)):
                    total += sum(process.cpu_times()[:4])  # its own and that of its ended children
        return total

    def _times(self, backfill: str) -> dict[str, Any]:
        return self._row(TIMES, backfill)

    def _online(self) -> tuple[int, float]:
        found = self._row(ONLINE)
        return found["views"], found["newest"]

    def _row(self, statement: str, *values: object) -> dict[str, Any]:
        from psycopg.rows import dict_row

        from detektor_pipelines.stores.connections import connect

        with connect(self.settings) as connection:
            return dict(connection.cursor(row_factory=dict_row).execute(statement, values).fetchone() or {})

    def _wait_for(self, look: Any, enough: Any) -> Any:
        deadline = time.monotonic() + LONGEST
        while not enough(found := look()):
            if time.monotonic() > deadline:
                raise SystemExit(f"not through after {LONGEST} s: {found}")
            time.sleep(0.5)
        return found

    def _looked(self, backfill: str) -> float:
        """Return the instant of the daemon's first line on the backfill."""
        lines = (self.settings.home / "logs" / "dagster-daemon.log").read_text(encoding="utf-8").splitlines()
        line = next(line for line in lines if backfill in line)
        return datetime.fromisoformat(json.loads(line)["timestamp"]).timestamp()


@contextmanager
def installation(home: Path, events: int, days: int, figures: Figures, *, stock: bool = False) -> Iterator[Installation]:
    """Start what `detektor up` starts, with a history, and end it."""
    from detektor_pipelines import stack
    from detektor_pipelines.settings import get_settings
    from detektor_pipelines.simulation.simulator import simulate_table
    from detektor_pipelines.stores.raw_log.bulk import append_table
    from detektor_pipelines.stores.schema import migrate

    for name in [name for name in os.environ if name.startswith("DETEKTOR_")]:
        del os.environ[name]
    get_settings.cache_clear()
    settings = _settings(home)
    try:
        settings = stack.up(settings, ("postgres", "redis")).settings
        migrate(settings)
        today = datetime.now(UTC).date()
        append_table(settings, simulate_table(days=days, projects=PROJECTS, seed=1, end=today, events=events))
        if stock:
            _write_stock_home(settings)
        prefix = "stock_" if stock else ""
        with timed(figures, f"{prefix}start_s"):
            settings = stack.up(settings, PROGRAMS).settings
        yield Installation(settings, [str(date.fromordinal(today.toordinal() - days + number)) for number in range(days)], figures)
    finally:
        stack.down(settings)
        get_settings.cache_clear()


def _settings(home: Path) -> Settings:
    """Return settings with ports that nobody has; MLflow's stays silent."""
    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stack import ports

    chosen: dict[str, int] = {}
    for name in ("postgres_port", "redis_port", "dagster_code_port", "dagster_port", "mlflow_port"):
        chosen[name] = ports.free_port(frozenset(chosen.values()))
    silent = f"http://127.0.0.1:{chosen.pop('mlflow_port')}"
    return Settings.model_validate({"home": home, "mlflow_tracking_uri": silent, **chosen})


def _write_stock_home(settings: Settings) -> None:
    """Write the instance directory again, with the storage classes of dagster-postgres."""
    import yaml

    from detektor_pipelines.settings import Settings

    # Settings are read again in many places; this is the last installation that the process starts
    setattr(Settings, "dagster_home", property(lambda given: given.home / "dagster_home"))  # noqa: B010
    ours = measuring.REPOSITORY / "dagster_home"
    configuration = yaml.safe_load((ours / "dagster.yaml").read_text(encoding="utf-8"))
    for name in ("run_storage", "event_log_storage", "schedule_storage"):
        del configuration[name]
    configuration["storage"] = {"postgres": {"postgres_url": settings.sqlalchemy_url("dagster")}}
    settings.dagster_home.mkdir(parents=True)
    (settings.dagster_home / "dagster.yaml").write_text(yaml.safe_dump(configuration), encoding="utf-8")
    shutil.copy(ours / "workspace.yaml", settings.dagster_home)


if __name__ == "__main__":
    main()
