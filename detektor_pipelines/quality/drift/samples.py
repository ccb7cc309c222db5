"""A view's values as readers got them: of each agent_id the newest row at four instants of each day, as matrices.

A row stands until the next one, so the value at an instant is that of the last row before it. An agent_id whose last row is older than the
view's longest window has nothing in any window: it is away, and not counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from detektor_pipelines.clock import from_us
from detektor_pipelines.language.calendar import end_us, start_us
from detektor_pipelines.language.windows import DAY
from detektor_pipelines.stores.offline.newest import newest_of_each
from detektor_pipelines.stores.offline.rows import SCHEMA, row_table

if TYPE_CHECKING:
    from datetime import date

    import pyarrow as pa
    from adbc_driver_postgresql.dbapi import Connection
    from numpy.typing import NDArray

    from detektor_pipelines.language.views import Feature, FeatureView

A_DAY: Final = 4
"""Instants of a day: every six hours, so that a feature of a few hours shows its working time."""

_STEP: Final = DAY // A_DAY
_HOUR: Final = 3_600_000_000


@dataclass(frozen=True, slots=True)
class Sample:
    """Values at instants.

    Attributes:
        agent_ids: Ascending.
        present: (agent_ids, instants) whether the agent_id has been at work within the longest window.
        values: By feature, (agent_ids, instants); NaN for null. An instant is hours ago.

    """

    agent_ids: tuple[str, ...]
    present: NDArray[np.bool_]
    values: dict[str, NDArray[np.float64]]

    def part(self, first: int, end: int) -> Sample:
        """Return the days from number `first` to before number `end`, counted from 0."""
        chosen = slice(first * A_DAY, end * A_DAY)
        return Sample(self.agent_ids, self.present[:, chosen], {name: each[:, chosen] for name, each in self.values.items()})


def read(connection: Connection, view: FeatureView, first: date, last: date) -> Sample:
    """Return the values of the days from `first` to `last`; the view's table is there.

    Raises:
        UserError: The database cannot be read.

    """
    begin, end = start_us(first), end_us(last)
    reach = view.longest.size
    names = ", ".join(("agent_id", "event_timestamp", *(f'"{each.name}"' for each in watched(view))))
    source = (
        f'(SELECT *, ceil(extract(epoch FROM event_timestamp) / {_STEP // 1_000_000})::bigint AS slot FROM {SCHEMA}."{row_table(view)}"'
        f" WHERE event_timestamp > '{from_us(begin + _STEP - reach).isoformat()}' AND event_timestamp <= '{from_us(end).isoformat()}') AS t"
    )
    query = newest_of_each(names, source, ("agent_id", "slot"), ("event_timestamp", "created_at", "written_at"))
    with connection.cursor() as cursor:
        cursor.execute(query)
        table = cursor.fetch_arrow_table()
    return sampled(view, table, begin, end)


def sampled(view: FeatureView, table: pa.Table, begin: int, end: int) -> Sample:
    """Return the values at the instants in (begin, end], of rows that are sorted by (agent_id, event_timestamp), one an instant."""
    agents = table["agent_id"].combine_chunks().dictionary_encode() if table.num_rows else None
    if agents is None:
        return Sample((), np.zeros((0, (end - begin) // _STEP), dtype=bool), {each.name: np.zeros((0, 0)) for each in watched(view)})
    codes = agents.indices.to_numpy().astype(np.int64)
    ids = tuple(agents.dictionary.to_pylist())
    stamps = table["event_timestamp"].cast("int64").to_numpy()
    instants = np.arange(begin + _STEP, end + 1, _STEP)
    # One ascending key of agent_id and instant: its last row at an instant is a single search over all of them
    scale = max(int(stamps.max()), end) - min(int(stamps.min()), begin) + 1
    base = min(int(stamps.min()), begin)
    grid = np.arange(len(ids))[:, None] * scale + (instants - base)[None, :]
    places = np.searchsorted(codes * scale + (stamps - base), grid, side="right") - 1
    safe = np.maximum(places, 0)
    present = (places >= 0) & (codes[safe] == np.arange(len(ids))[:, None]) & (instants[None, :] - stamps[safe] < view.longest.size)
    return Sample(ids, present, {each.name: _column(table, each.name, each.value_type, safe, instants) for each in watched(view)})


def watched(view: FeatureView) -> list[Feature]:
    """Return the features whose drift can be told: a text and a list have no bins. Shares of a category are `counts_by`'s features."""
    return [each for each in view.features if each.value_type != "text"]


def _column(table: pa.Table, name: str, kind: str, places: NDArray[np.intp], instants: NDArray[np.int64]) -> NDArray[np.float64]:
    column = table[name]
    missing = column.is_null().to_numpy()
    numbers = column.cast("int64") if kind == "instant" else column
    values: NDArray[np.float64] = numbers.fill_null(0).to_numpy().astype(np.float64)[places]
    if kind == "instant":
        values = (instants[None, :] - values) / _HOUR
    values[missing[places]] = np.nan
    return values
