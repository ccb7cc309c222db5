"""One line a view: how much is behind it, how much of it is stored where, and what one agent's values are."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from detektor_pipelines.clock import from_us
from detektor_pipelines.language.hashes import short_hash
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.offline.rows import SCHEMA, row_table
from detektor_pipelines.stores.raw_log.state import event_counts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import psycopg

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stores.online.packing import Value

SHOWN = 2
"""Values of one agent as an example: the first that are known."""


@dataclass(frozen=True, slots=True)
class ViewOverview:
    """One view. `events` are of its agent; `values` those of the agent across all projects, as served online now."""

    view: str
    agent: str
    features: int
    events: int
    offline_rows: int
    online_keys: int
    data_hash: str
    values: Mapping[str, Value]

    def as_data(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)

    def example(self) -> list[tuple[bool, str, str]]:
        """Return the first known values as (is the first, name, text)."""
        known = [(name, _short(value)) for name, value in self.values.items() if value is not None][:SHOWN]
        return [(number == 0, name, value) for number, (name, value) in enumerate(known or [("none published yet", "")])]


def overview(settings: Settings, views: Sequence[FeatureView]) -> list[ViewOverview]:
    """Ask the log, the offline and the online store about each view.

    Raises:
        UserError: PostgreSQL or Redis cannot be reached.

    """
    from detektor_pipelines.stores.online.values import read, redis_client, version_prefix

    events: Counter[str] = Counter()
    for count in event_counts(settings):
        events[count.agent_type] += count.events
    client = redis_client(settings)
    try:
        served = [read(client, settings.project, view, [view.agent])[0] for view in views]
        keys = [sum(1 for _ in client.scan_iter(f"{version_prefix(settings.project, view)}:*", count=1_000)) for view in views]
    finally:
        client.close()
    with connect(settings) as connection:
        rows = [_rows(connection, view) for view in views]
    return [
        ViewOverview(
            view.name,
            view.agent,
            len(view.features),
            events[view.agent],
            number,
            key_count,
            short_hash(view),
            _ordered(view, row.values) if row else {},
        )
        for view, number, key_count, row in zip(views, rows, keys, served, strict=True)
    ]


def _rows(connection: psycopg.Connection, view: FeatureView) -> int:
    table = f'{SCHEMA}."{row_table(view)}"'
    exists = connection.execute("SELECT to_regclass(%s) IS NOT NULL", (table,)).fetchone()
    if exists != (True,):
        return 0
    found = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    return int(found[0]) if found else 0


def _ordered(view: FeatureView, values: Mapping[str, Value]) -> dict[str, Any]:
    """Return the values in the view's order, instants as datetimes."""
    known = {each.name: values[each.name] for each in view.features}
    instants = {each.name for each in view.features if each.value_type == "instant"}
    return {name: from_us(int(value)) if name in instants and value is not None else value for name, value in known.items()}


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"  # noqa: PLR2004  where four digits end
    return f"{value:,}" if isinstance(value, int) else str(value)
