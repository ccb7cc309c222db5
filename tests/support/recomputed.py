"""Values that were served, held against what the log gives for the instant and the knowledge that each of them names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from detektor_pipelines.quality.parity.recomputation import Point, differences, recompute
from detektor_pipelines.stores.connections import connect_arrow
from detektor_pipelines.stores.raw_log.known import Knowledge

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from detektor_pipelines.language import FeatureView
    from detektor_pipelines.quality.parity.recomputation import Value
    from detektor_pipelines.settings import Settings


@dataclass(frozen=True)
class Served:
    """A value as it was written: of which key, true as of which instant (µs UTC), from which snapshot of the log (None when unknown)."""

    agent_id: str
    as_of: int
    snapshot: str | None
    values: Mapping[str, Value]


@dataclass(frozen=True)
class Comparison:
    """What `compare` found. `skipped`: values without a snapshot. `mismatches`: (agent_id, feature, served, what the log gives)."""

    compared: int
    skipped: int
    mismatches: list[tuple[str, str, Value, Value]]


def compare(settings: Settings, view: FeatureView, served: Sequence[Served]) -> Comparison:
    """Compute each value again and compare, to the bit; each agent_id once."""
    known = {each.agent_id: each for each in served if each.snapshot is not None}
    points = {agent_id: Point(each.as_of, Knowledge((each.snapshot or "",))) for agent_id, each in known.items()}
    with connect_arrow(settings) as connection:
        right = recompute(connection, view, points)
    found = [(agent_id, *differing) for agent_id, each in known.items() for differing in differences(each.values, right[agent_id])]
    return Comparison(len(known), len(served) - len(known), found)
