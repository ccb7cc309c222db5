"""Dagster's instance: where runs and events are recorded."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import dagster as dg
from dagster._core.instance.ref import InstanceRef

from detektor_pipelines.errors import UserError
from detektor_pipelines.orchestration.storage import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detektor_pipelines.settings import Settings

_STORAGES: Final = ("run_storage", "event_log_storage", "schedule_storage")


@contextmanager
def persistent_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """Open the instance of dagster.yaml on the PostgreSQL of `settings`, and close its connections afterwards.

    Raises:
        UserError: dagster.yaml is missing, or PostgreSQL does not answer.

    """
    if not (settings.dagster_home / "dagster.yaml").is_file():
        raise UserError(
            "Dagster's configuration is missing.", where=str(settings.dagster_home / "dagster.yaml"), fix="Restore it from git."
        )
    reference = InstanceRef.from_dir(str(settings.dagster_home), overrides={name: _storage(name, settings) for name in _STORAGES})
    with dg.DagsterInstance.from_ref(reference) as instance:
        try:
            yield instance
        finally:
            for storage in (instance.run_storage, instance.event_log_storage, instance.schedule_storage):
                if storage is not None:
                    storage.dispose()


def _storage(name: str, settings: Settings) -> dict[str, object]:
    classes = dict(zip(_STORAGES, ("PooledRunStorage", "PooledEventLogStorage", "PooledScheduleStorage"), strict=True))
    return {
        "module": "detektor_pipelines.orchestration.storage",
        "class": classes[name],
        "config": {"postgres_url": settings.sqlalchemy_url(SCHEMA)},
    }
