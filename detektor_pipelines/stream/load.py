"""History into a view's state: whole tiles from SQL, instead of a million events one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from detektor_pipelines.compile.tiles import tiles_sql
from detektor_pipelines.engine.compute import loaded
from detektor_pipelines.stream.state import Hop, Tile, ViewState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import duckdb
    import pyarrow as pa

    from detektor_pipelines.compile.fold import Fold


def state_of(fold: Fold, events: pa.Table, instant: int, *, owned: Callable[[str], bool] = lambda _: True) -> ViewState:
    """Return the state at `instant` (µs UTC) of `events`, which may lie ahead of it.

    Args:
        fold: Of the view.
        events: Columns as `engine.compute.event_schema`: those in the longest window at least.
        instant: Where to begin.
        owned: Which keys are wanted.

    """
    import pyarrow.compute as pc

    state = ViewState(fold, instant)
    past = events.filter(pc.less_equal(events["ts"], instant))
    with loaded(past, fold.plan) as engine:
        for hop in state.hops:
            for key, bucket, tile in _tiles(engine, fold, hop, instant):
                if owned(key):
                    state.replace(key, hop, bucket, tile)
    state.settle_all()
    ahead = events.filter(pc.greater(events["ts"], instant))
    for event in ahead.to_pylist():
        contribution = fold.contribution(event["ts"], event["project"], *(event[name] for name in fold.columns)) if event["live"] else None
        if contribution is not None:
            for key in keys_of(fold.plan.view.agent, event["project"]):
                if owned(key):
                    state.add(key, event["ts"], event["event_id"], contribution)
    return state


def keys_of(agent: str, project: str | None) -> tuple[str, ...]:
    """Return the agent_ids that an event counts for: the agent across all projects, and the agent in its project."""
    return (agent,) if project is None else (agent, f"{agent}@{project}")


def _tiles(engine: duckdb.DuckDBPyConnection, fold: Fold, hop: Hop, instant: int) -> Iterator[tuple[str, int, Tile]]:
    text = tiles_sql(fold, hop.size, hop.summed, hop.lasts, hop.extremes, hop.distincts, hop.ranked)
    table = engine.sql(f"SELECT * FROM ({text}) WHERE bucket + {hop.span} > {instant}").to_arrow_table()  # noqa: S608  integers
    columns = [_plain(column) for column in table.columns]
    sums, lasts = 2 + len(hop.summed), 2 + len(hop.summed) + len(hop.lasts)
    extremes = lasts + len(hop.extremes)
    distincts = extremes + len(hop.distincts)
    for row in zip(*columns, strict=True):
        latest = [None if each is None else _event(each) for each in row[sums:lasts]]
        values = [set(each or ()) for each in row[extremes:distincts]]
        tile = Tile(
            list(row[2:sums]), latest, list(row[lasts:extremes]), values, [list(map(_event, each or ())) for each in row[distincts:]]
        )
        if any(tile.sums) or any(map(_some, tile.lasts)) or any(map(_some, tile.extremes)) or any(tile.values) or any(tile.ranked):
            yield row[0], row[1], tile


def _event(struct: dict[str, Any]) -> tuple[int, str, Any]:
    return struct["ts"], struct["id"], struct["value"]


def _plain(column: pa.ChunkedArray) -> list[Any]:
    """Return Python values; 128-bit integers come as decimals."""
    import pyarrow as pa

    values: list[Any] = column.to_pylist()
    return [int(value) for value in values] if pa.types.is_decimal(column.type) else values


def _some(value: object) -> bool:
    return value is not None
