"""Feast's SDK over the platform: registering, a push, online and historical reads. Importing this takes seconds."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pandas as pd
from torture.views import FIRST

from detektor_pipelines.clock import from_us, to_us
from detektor_pipelines.stores.feast.registry import apply, closing_store

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from detektor_pipelines.language import FeatureView
    from detektor_pipelines.settings import Settings


class FeastClient:
    """One Feast store; `close` it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._views = dict(FIRST)
        self._store: Any = None
        self._stack = ExitStack()

    def close(self) -> None:
        """Close the registry's connections."""
        if self._store is not None:
            self._stack.close()
            self._store = None

    def register(self, view: FeatureView) -> None:
        """Make a view's version the registered one."""
        wanted = {name: view if each.name == view.name else each for name, each in self._views.items()}
        if self._store is None or wanted != self._views:
            self.close()
            apply(self._settings, tuple(wanted.values()))
            self._store, self._views = self._stack.enter_context(closing_store(self._settings)), wanted

    def push(self, view: FeatureView, agent_id: str, at: int, values: Mapping[str, Any]) -> None:
        """Write one agent's values online, as true at an instant."""
        row = {name: from_us(value) if name == "failed_at" and value is not None else value for name, value in values.items()}
        frame = pd.DataFrame([{"agent_id": agent_id, "event_timestamp": from_us(at), "created_at": from_us(at), **row}])
        self._store.write_to_online_store(view.name, frame)

    def online(self, view: FeatureView, agent_ids: Sequence[str]) -> list[tuple[dict[str, Any], set[str]]]:
        """Read online: each agent's values but for instants, and the statuses of all."""
        names = [each.name for each in view.features if each.value_type != "instant"]
        answer = self._store.get_online_features([f"{view.name}:{name}" for name in names], [{"agent_id": each} for each in agent_ids])
        values, proto = answer.to_dict(), answer.proto
        statuses = {
            name: [proto.DESCRIPTOR.file.enum_types_by_name["FieldStatus"].values_by_number[status].name for status in column.statuses]
            for name, column in zip(proto.metadata.feature_names.val, proto.results, strict=True)
        }
        return [
            ({name: values[name][number] for name in names}, {statuses[name][number] for name in names}) for number in range(len(agent_ids))
        ]

    def historical(self, view: FeatureView, labels: Sequence[tuple[str, int]]) -> list[dict[str, Any]]:
        """Read at instants: one answer a label, in order; instants as µs."""
        frame = pd.DataFrame({"agent_id": [key for key, _ in labels], "event_timestamp": pd.to_datetime([from_us(at) for _, at in labels])})
        names = [each.name for each in view.features]
        found = self._store.get_historical_features(frame, [f"{view.name}:{name}" for name in names]).to_df()
        return [{name: _plain(row[name]) for name in names} for row in found.to_dict("records")]


def _plain(value: Any) -> Any:
    if value is None or pd.isna(value):
        return None
    return to_us(value.to_pydatetime()) if isinstance(value, pd.Timestamp) else value
