"""Check of the versions: days that rows of another version of the view cover and rows of the present one do not."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from detektor_pipelines.catalog.chosen import FILE
from detektor_pipelines.errors import UserError
from detektor_pipelines.files import home
from detektor_pipelines.language.hashes import data_hash, short_hash
from detektor_pipelines.quality.findings import VERSION, Figure, Finding
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.offline.upkeep import other_versions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    import psycopg

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stores.offline.upkeep import OtherVersion


def views_versions(settings: Settings, views: Sequence[FeatureView]) -> dict[str, Finding]:
    """Judge of which version each view's published days are, by the view's name.

    Raises:
        UserError: The database cannot be read.

    """
    with connect(settings) as connection:
        return {view.name: of_view(connection, view) for view in views}


def of_view(connection: psycopg.Connection, view: FeatureView) -> Finding:
    """Judge of which version the view's published days are; the figures name both versions and the days."""
    others, present = other_versions(connection, view), data_hash(view)
    if not others:
        summary = "All published days are of the view's present definition."
        return Finding(VERSION.name, passed=True, summary=summary, figures={"data_hash": present})
    on_disk = _on_disk(view)
    if on_disk not in (None, short_hash(view)):  # what is loaded here is behind, whatever the registry and the tables' age say
        others = [replace(each, later=True) if each.data_hash.startswith(str(on_disk)) else each for each in others]
    later = [each for each in others if each.later]
    return _behind(view, later) if later else _waiting(view, others)


def _on_disk(view: FeatureView) -> str | None:
    """Return the first digits of the view's data hash by the code on disk; None where that has no such view, or cannot be loaded."""
    from detektor_pipelines.stack.code_on_disk import fingerprint

    found = _definitions(fingerprint(), _chosen()).get(view.name)
    return str(found["hash"]) if found else None


@lru_cache(maxsize=1)
def _definitions(files: object, versions: object) -> Mapping[str, Mapping[str, str]]:
    """Ask a process of its own, once for each state of the files and of what was chosen beside them."""
    del files, versions
    from detektor_pipelines.stack.code_on_disk import definitions

    try:
        found: Mapping[str, Mapping[str, str]] = definitions()["views"]
    except UserError:
        return {}
    return found


def _chosen() -> bytes:
    """Return the file that pins versions, as it is."""
    try:
        return (home() / FILE).read_bytes()
    except OSError:
        return b""


def _behind(view: FeatureView, later: Sequence[OtherVersion]) -> Finding:
    """Return the verdict of a process that has an earlier definition loaded than the one that days are published of."""
    days = sorted({day for each in later for day in each.days})
    return Finding(
        VERSION.name,
        passed=False,
        summary=f"{_number(days)} of {view.name} only have rows of a later version ({later[0].data_hash[:12]}) than the one that is"
        f" loaded here, {view.version} ({data_hash(view)[:12]}).",
        fix="`detektor restart` loads the definitions that are on disk; `detektor status` names the processes that are behind.",
        figures=_figures(view, days) | {"later_data_hash": ", ".join(each.data_hash for each in later)},
    )


def _waiting(view: FeatureView, others: Sequence[OtherVersion]) -> Finding:
    """Return the verdict of days that the present definition has not been computed for."""
    days = sorted({day for each in others for day in each.days})
    which = "an earlier" if all(each.later is False for each in others) else "another"
    return Finding(
        VERSION.name,
        passed=False,
        summary=f"{view.name} has changed (data hash {data_hash(view)[:12]}): {_number(days)} only have rows of {which} version.",
        fix=f"`detektor backfill --view {view.name} --from {days[0]} --to {days[-1]}` computes them.",
        figures=_figures(view, days) | {"old_data_hash": ", ".join(each.data_hash for each in others)},
    )


def _number(days: Sequence[date]) -> str:
    return f"{len(days)} day{'s' if len(days) > 1 else ''} from {days[0]} to {days[-1]}"


def _figures(view: FeatureView, days: Sequence[date]) -> dict[str, Figure]:
    return {"data_hash": data_hash(view), "days": len(days), "first_day": str(days[0]), "last_day": str(days[-1])}
