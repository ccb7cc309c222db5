"""Repairing online values that lie ahead of the clock: they are deleted, and written again from the raw log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from detektor_pipelines.engine.online import OnlinePublication, publish_online, write_from_log
from detektor_pipelines.stores.connections_redis import redis_client
from detektor_pipelines.stores.online.clock import ahead, drop

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stores.online.clock import Ahead


@dataclass(frozen=True, slots=True)
class Repaired:
    """What was done for one view.

    Attributes:
        found: What lay ahead of the clock.
        dropped: Values that were deleted; the others of those found were written again meanwhile.
        refilled: The dropped values, from the log as it is now.
        published: All values of the view, from the rows; None when nothing lay ahead.

    """

    found: Ahead
    dropped: int
    refilled: OnlinePublication | None
    published: OnlinePublication | None


def repair(settings: Settings, views: Sequence[FeatureView]) -> Iterator[Repaired]:
    """Drop what lies ahead of the clock and fill it again from the log, view by view; where nothing does, nothing is changed.

    A worker that runs notices that its shards went back, and writes its values too; who writes last knows most.

    Raises:
        UserError: PostgreSQL or Redis cannot be reached; calling it again goes on.

    """
    for view in views:
        client = redis_client(settings)
        try:
            found = ahead(client, settings.project, view)
            dropped = drop(client, settings.project, view, found) if found else 0
        finally:
            client.close()
        if not found:
            yield Repaired(found, 0, None, None)
            continue
        refilled = write_from_log(settings, view, found.agent_ids, writer="repair") if found.agent_ids else None
        yield Repaired(found, dropped, refilled, publish_online(settings, view))
