"""Back to an earlier version of a view, and forward again: its rows made whole, then its definition put in force.

The rows of a version stand as long as it is not retired, so going back computes only what happened since: the days that were not published
under it, and those that late events reach. Nothing is in force before its rows and online values are there. The catalogue's files are not
touched: the version is pinned (`choice`), and every program that begins from then on loads it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from detektor_pipelines.catalog import DECLARED
from detektor_pipelines.engine.materialize import materialize
from detektor_pipelines.engine.online import publish_online
from detektor_pipelines.errors import UserError
from detektor_pipelines.language.hashes import data_hash
from detektor_pipelines.quality.freshness_report import history as days_of_history
from detektor_pipelines.versions import choice
from detektor_pipelines.versions.lock import History

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from detektor_pipelines.engine.materialize import DayResult, OnPart
    from detektor_pipelines.engine.online import OnlinePublication
    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings


@dataclass(frozen=True, slots=True)
class Target:
    """Where to go: a definition, and whether it is the one that the view's file declares, so that nothing has to be pinned."""

    view: FeatureView
    declared: bool


@dataclass(frozen=True, slots=True)
class Prepared:
    """What was done before a version is put in force: its days, computed or kept, and its online values."""

    days: tuple[DayResult, ...]
    online: OnlinePublication | None

    @property
    def computed(self) -> int:
        """How many days had to be computed."""
        return sum(day.status != "kept" for day in self.days)

    @property
    def failed(self) -> list[date]:
        """Days that did not pass the gate: they keep what they had."""
        return [day.day for day in self.days if day.status == "failed"]


def target(name: str, version: str | None, declared: Sequence[FeatureView] = DECLARED, history: History | None = None) -> Target:
    """Return the version of a view to put in force, by name and number; without a number the one that its file declares.

    Raises:
        UserError: There is no such view or version, or this release cannot compute it.

    """
    released = history or History()
    file = next((view for view in declared if name in (view.name, view.agent)), None)
    known = file.name if file else name
    if file is not None and version is None:
        return Target(file, declared=True)
    if file is None and not released.of_view(known):
        names = ", ".join(view.name for view in declared)
        raise UserError(f"There is no feature view {name}.", fix=f"There are: {names}.")
    if version is None:
        raise UserError(f"{name} is declared by no file.", fix="Name the version with --to.")
    found = released.version(known, version)
    if file is not None and data_hash(file) == found.locked.data_hash and file.version == found.locked.version:
        return Target(file, declared=True)
    return Target(found.view(), declared=False)


def prepare(settings: Settings, view: FeatureView, on_part: OnPart | None = None) -> Prepared:
    """Make a version's rows and online values whole: what is published of it and still true is kept.

    Raises:
        UserError: A server cannot be reached.

    """
    span = days_of_history(settings)
    if span is None:
        return Prepared((), None)
    days = [span[0] + timedelta(days=number) for number in range((span[1] - span[0]).days + 1)]
    done = materialize(settings, view, days, resume=True, on_part=on_part)
    return Prepared(done.days, publish_online(settings, view))


def put_in_force(settings: Settings, chosen: Target) -> tuple[FeatureView, ...]:
    """Pin a version, or take the pin away; returns the definitions that are in force from now on for whoever begins.

    Raises:
        UserError: What was chosen before cannot be read.

    """
    if chosen.declared:
        choice.unpin(settings, chosen.view.name)
    else:
        choice.pin(settings, chosen.view)
    return choice.in_force(settings)
