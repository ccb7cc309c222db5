"""Backfills through a running Dagster: launched as its pages do it, stopped at a known point, compared with an undisturbed one."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError

import psycopg

from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.engine.materialize import materialize
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.offline.rows import publication_lock, row_table
from detektor_pipelines.stores.raw_log.bulk import append_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings
    from support.operating import OperatingStack

States = dict[tuple[str, date], tuple[int, str]]
"""Number of rows and their hash by view and day."""

_LAUNCH = """mutation ($params: LaunchBackfillParams!) {
    launchPartitionBackfill(backfillParams: $params) { __typename ... on LaunchBackfillSuccess { backfillId } }
}"""
_CANCEL = "mutation ($id: String!) { cancelPartitionBackfill(backfillId: $id) { __typename } }"
_BACKFILL = "query ($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status runs { id status } } } }"
_PARTITIONS = """query ($keys: [AssetKeyInput!]!) { assetNodes(assetKeys: $keys) {
    assetKey { path } partitionStats { numMaterialized numFailed numMaterializing }
} }"""
_IN_SYNC = """query ($keys: [AssetKeyInput!]!, $days: [String!]!) { assetNodes(assetKeys: $keys) {
    assetKey { path } staleStatusByPartition(partitions: $days)
} }"""
_RUNS = """query ($id: String!) { runsOrError(filter: {tags: [{key: "dagster/backfill", value: $id}]}) {
    ... on Runs { results { id status parentRunId } }
} }"""
_WAITING = """SELECT l.pid FROM pg_locks l JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()
WHERE l.locktype = 'advisory' AND NOT l.granted"""


@dataclass
class Backfill:
    """One backfill of a running Dagster."""

    stack: OperatingStack
    id: str

    @property
    def status(self) -> str:
        """What Dagster says of it, such as REQUESTED or COMPLETED_SUCCESS."""
        return str(self.stack.graphql(_BACKFILL, {"id": self.id})["partitionBackfillOrError"]["status"])

    @property
    def runs(self) -> list[dict[str, Any]]:
        """Its runs: id, status, parentRunId; the newest first."""
        return list(self.stack.graphql(_RUNS, {"id": self.id})["runsOrError"]["results"])

    def cancel(self) -> None:
        """Press the button."""
        assert self.stack.graphql(_CANCEL, {"id": self.id})["cancelPartitionBackfill"]["__typename"] == "CancelBackfillSuccess"

    def wait(self, seconds: float = 240) -> str:
        """Return its last status; while PostgreSQL is away nobody knows it."""

        def ended() -> str | None:
            try:
                status = self.status
            except HTTPError:
                return None
            return None if status in {"REQUESTED", "CANCELING"} else status

        return str(self.stack.wait_for(ended, seconds))


def launch(stack: OperatingStack, views: Sequence[FeatureView], days: Sequence[date], *, online: bool = True) -> Backfill:
    """Ask for `features`, and `online`, of the days by the mutation that Dagster's pages send."""
    names = ("features", "online") if online else ("features",)
    params = {
        "partitionNames": [day.isoformat() for day in days],
        "assetSelection": [{"path": [view.group, name]} for view in views for name in names],
    }
    answer = stack.graphql(_LAUNCH, {"params": params})["launchPartitionBackfill"]
    assert answer["__typename"] == "LaunchBackfillSuccess", answer
    return Backfill(stack, answer["backfillId"])


def closed_days(stack: OperatingStack) -> list[date]:
    """Return the days of the history that are over."""
    return [stack.first + timedelta(days=number) for number in range((stack.last - stack.first).days)]


def partitions(stack: OperatingStack, views: Sequence[FeatureView] = VIEWS) -> dict[str, dict[str, int]]:
    """Return how many partitions of each view's `features` Dagster shows as materialized, failed, materializing."""
    nodes = stack.graphql(_PARTITIONS, {"keys": [{"path": [view.group, "features"]} for view in views]})["assetNodes"]
    return {node["assetKey"]["path"][0]: node["partitionStats"] for node in nodes}


def in_sync(stack: OperatingStack, days: Sequence[date], views: Sequence[FeatureView] = VIEWS) -> set[str]:
    """Return what Dagster's pages say of the days: FRESH, STALE (which they call Unsynced), MISSING."""
    given = {"keys": [{"path": [view.group, "features"]} for view in views], "days": [day.isoformat() for day in days]}
    nodes = stack.graphql(_IN_SYNC, given)["assetNodes"]
    assert len(nodes) == len(views)
    return {status for node in nodes for status in node["staleStatusByPartition"]}


def states(settings: Settings, days: Sequence[date]) -> States:
    """Return what is published of the views of the catalogue on `days`."""
    with connect(settings) as connection:
        rows = connection.execute("SELECT view, partition, rows, hash FROM ml_learning.partition_state").fetchall()
    return {(view, day): (count, digest) for view, day, count, digest in rows if day in days}


def stored(settings: Settings, days: Sequence[date], views: Sequence[FeatureView] = VIEWS) -> States:
    """Return number and hash of the newest version of each row that is stored, by view and day: what readers get."""
    from detektor_pipelines.stores.connections import connect_arrow
    from detektor_pipelines.stores.offline.rows import hashes_by_day

    found: States = {}
    for view in views:
        names = ", ".join(f'"{each.name}"' for each in view.features)
        with connect_arrow(settings) as connection, connection.cursor() as cursor:
            cursor.execute(
                f"SELECT DISTINCT ON (agent_id, event_timestamp) agent_id, event_timestamp, created_at, {names}"
                f' FROM feast."{row_table(view)}" ORDER BY agent_id, event_timestamp, created_at DESC, written_at DESC'
            )
            rows = cursor.fetch_arrow_table()
        found |= {(view.name, day): state for day, state in hashes_by_day(rows, days).items()}
    return found


def undisturbed(elsewhere: Settings, days: Sequence[date], events: int = 20_000) -> States:
    """Publish the history of the operating stack on another database with the engine alone; return what came out."""
    from detektor_pipelines.simulation.simulator import simulate_table

    end = days[-1] + timedelta(days=1)
    append_table(elsewhere, simulate_table(days=len(days), projects=2, seed=1, end=end, events=events))
    for view in VIEWS:
        materialize(elsewhere, view, days)
    return states(elsewhere, days)


def forget(settings: Settings) -> None:
    """Unpublish everything; the log stays."""
    with connect(settings) as connection:
        known = {name for (name,) in connection.execute("SELECT relname FROM pg_class WHERE relnamespace = 'feast'::regnamespace")}
        tables = "".join(f', feast."{row_table(view)}"' for view in VIEWS if row_table(view) in known)
        connection.execute(f"TRUNCATE ml_learning.partition_state{tables}")


@dataclass
class Held:
    """A view's publication lock in a test's hands."""

    stack: OperatingStack
    connection: psycopg.Connection = field(repr=False)

    def wait(self, seconds: float = 120) -> None:
        """Return when somebody wants to publish the view."""
        self.stack.wait_for(lambda: self.connection.execute(_WAITING).fetchone(), seconds)

    def release(self) -> None:
        """Let them."""
        self.connection.close()


@contextmanager
def held(stack: OperatingStack, view: FeatureView) -> Iterator[Held]:
    """Hold the lock that publishing `view` needs: a run stands still there, with what it published before."""
    with psycopg.connect(stack.settings.postgres_dsn, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (publication_lock(view),))
        yield Held(stack, connection)
