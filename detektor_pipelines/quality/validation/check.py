"""All checks, one after the other, over one snapshot of what is published."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from detektor_pipelines.quality.validation import log, offline, online, registry
from detektor_pipelines.quality.validation.outcomes import Outcome
from detektor_pipelines.quality.validation.stage import open_stage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.quality.validation.stage import Stage
    from detektor_pipelines.settings import Settings

    Ask: TypeAlias = Callable[[Stage, Outcome], None]


class Check(NamedTuple):
    """One check: its name, the unit of what it compares, and the question, whose docstring says what it looks at."""

    name: str
    unit: str
    ask: Ask


CHECKS: Final = (
    Check("log", "events", log.log),
    Check("days", "days", offline.days),
    Check("schema", "rows", offline.schema),
    Check("recorded", "days", offline.recorded),
    Check("registry", "features", registry.registry),
    Check("online", "values", online.keys),
    Check("online against offline", "values", online.against_rows),
    Check("parity", "values", online.parity),
)
"""From the log to the reader, so that the first failure is nearest to the cause."""

NAMES: Final = tuple(each.name for each in CHECKS)

_FILL: Final = "`detektor demo`, or `detektor ingest` and `detektor backfill`, give it something to compare"


def validate(settings: Settings, views: Sequence[FeatureView], *, on_check: Callable[[str], None] = lambda _name: None) -> list[Outcome]:
    """Ask every check; a check that compared nothing has not passed.

    Args:
        settings: Where the servers are.
        views: The definitions.
        on_check: Hears the name of each check before it begins.

    Raises:
        UserError: PostgreSQL or Redis cannot be reached.

    """
    on_check("reading")
    stage = open_stage(settings, views)
    found = []
    for each in CHECKS:
        on_check(each.name)
        outcome = Outcome(each.name, " ".join((each.ask.__doc__ or "").split()), each.unit)
        started = time.perf_counter()
        each.ask(stage, outcome)
        outcome.conclude(_FILL)
        outcome.seconds = time.perf_counter() - started
        found.append(outcome)
    return found


__all__ = ["CHECKS", "NAMES", "Check", "validate"]
