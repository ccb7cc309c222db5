"""The lock: every version of every view that was ever released, by its hashes, and the definition of each.

    detektor_pipelines/catalog/versions.lock            one JSON object a line: view, version, data_hash, metadata_hash
    detektor_pipelines/catalog/history/VIEW-VERSION.json    the definition (`language.canonical`): what a plan compares with, what a
                                                            rollback restores

A catalogue of one's own has both beside its views, in `catalog/`, and knows those of the package too.

`detektor generate` writes both for what the catalogue's files declare, and refuses where numbers have changed and the version has not
followed. Texts and bounds of a version may change under the same one: its line and its definition follow.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines import catalog, own_catalog
from detektor_pipelines.catalog import DECLARED, OUTSIDE
from detektor_pipelines.errors import UserError
from detektor_pipelines.language.canonical import from_canonical, hash_of, to_canonical
from detektor_pipelines.language.expressions import DefinitionError
from detektor_pipelines.language.hashes import SHORT, data_hash, metadata_hash
from detektor_pipelines.versions.changes import BUMPS, Changes, bumped, compare, enough, numbers_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.versions.changes import Definition

PLACE: Final = "detektor_pipelines/catalog"
"""From the repository's root."""

_LOCK: Final = "versions.lock"
_HISTORY: Final = "history"
_HERE: Final = Path(catalog.__file__).parent


@dataclass(frozen=True, slots=True)
class Locked:
    """One line of the lock."""

    view: str
    version: str
    data_hash: str
    metadata_hash: str


@dataclass(frozen=True, slots=True)
class Released:
    """A version that was released, and its definition as data."""

    locked: Locked
    definition: Definition

    def view(self) -> FeatureView:
        """Return the definition.

        Raises:
            UserError: This release cannot compute it any more.

        """
        view, why = None, "its data hash is another one by now"
        try:
            view = from_canonical(self.definition)
        except DefinitionError as error:
            why = str(error)
        if view is None or data_hash(view) != self.locked.data_hash:
            raise UserError(
                f"{self.locked.view} {self.locked.version} cannot be computed by this release: {why}.",
                where=_history_file(self.locked),
                fix="Its rows can still be read. To compute it, use the release that it was made with.",
            )
        return view


class History:
    """All versions that were released.

    Args:
        directory: Where the lock and the folder of definitions are; by default the package's, and those of the catalogues beside it.

    Raises:
        UserError: The lock cannot be read, or a definition is not what its line says.

    """

    def __init__(self, directory: Path | None = None) -> None:
        places = [directory] if directory is not None else [_HERE, *(each.views for each in own_catalog.catalogs())]
        self.released: Final = [Released(each, _definition(place, each)) for place in places for each in _lines(place)]

    def of_view(self, name: str) -> list[Released]:
        """Return a view's versions, the oldest first."""
        found = [each for each in self.released if each.locked.view == name]
        return sorted(found, key=lambda each: numbers_of(each.locked.version))

    def of_hash(self, name: str, digest: str) -> Released | None:
        """Return the newest version of a view with a data hash, or one that begins like that."""
        return next((each for each in reversed(self.of_view(name)) if each.locked.data_hash.startswith(digest)), None)

    def version(self, name: str, version: str) -> Released:
        """Return a version of a view.

        Raises:
            UserError: There is none; it names those that there are.

        """
        found = self.of_view(name)
        for each in found:
            if each.locked.version == version.removeprefix("v"):
                return each
        there = ", ".join(each.locked.version for each in found) or "none"
        raise UserError(f"{name} has no version {version}.", where=f"{PLACE}/{_LOCK}", fix=f"There are: {there}.")


def _lines(directory: Path) -> list[Locked]:
    file = directory / _LOCK
    try:
        return [Locked(**json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError) as error:
        raise UserError(f"The lock of the versions cannot be read: {error}.", where=str(file), fix=f"git checkout {file}") from None


def _definition(directory: Path, locked: Locked) -> dict[str, Any]:
    file = directory / _HISTORY / _file_name(locked)
    try:
        found: dict[str, Any] = json.loads(file.read_bytes())
        right = hash_of(found) == locked.data_hash
    except (OSError, ValueError, KeyError, TypeError) as error:
        problem = f"cannot be read: {error}"
    else:
        if right:
            return found
        problem = f"is not what {_LOCK} says: its data hash is {hash_of(found)[:SHORT]}, not {locked.data_hash[:SHORT]}"
    raise UserError(
        f"The definition of {locked.view} {locked.version} {problem}.",
        where=str(file),
        fix=f"git checkout {file}: a released version stays as it is. A change is a new version, in the view's own file.",
    )


def render(views: Sequence[FeatureView] = DECLARED, history: History | None = None, place: str = PLACE) -> dict[str, str]:
    """Return the lock and the definitions as they have to be, by path from the repository's root; `place` is where they go.

    Raises:
        UserError: The numbers of a view have changed without the bump that this needs.

    """
    kept = history or History()
    problems = [problem for view in views if (problem := unbumped(view, kept))]
    if problems:
        raise UserError("\n".join(problems), where=f"{place}/{_LOCK}", fix="Raise `version` in the view's file, then: detektor generate")
    released = {(each.locked.view, each.locked.version): each for each in kept.released}
    released |= {(view.name, view.version): _released(view) for view in views}
    ordered = sorted(released.values(), key=lambda each: (each.locked.view, numbers_of(each.locked.version)))
    lock = "".join(f"{json.dumps(asdict(each.locked))}\n" for each in ordered)
    return {f"{place}/{_LOCK}": lock} | {_history_file(each.locked, place): _text(each.definition) for each in ordered}


def render_own(own: own_catalog.OwnCatalog) -> dict[str, str]:
    """Return the lock and the definitions of a catalogue of one's own, by path from its directory.

    Raises:
        UserError: As `render`.

    """
    return render([each.view for each in OUTSIDE if each.catalog is own], History(own.views), own_catalog.VIEWS)


def unbumped(view: FeatureView, history: History) -> str | None:
    """Say what is wrong with a view's version, None when nothing is: which features have changed, and the bump that they need."""
    versions = history.of_view(view.name)
    if not versions:
        return None
    same = next((each for each in versions if each.locked.version == view.version), None)
    if same is not None and same.locked.data_hash == data_hash(view):
        return None
    newest = versions[-1].locked.version
    before = same or versions[-1]
    changes = compare(before.definition, to_canonical(view))
    needed = max(changes.bump, "patch", key=BUMPS.index)  # another hash is another version, whatever the comparison finds
    if same is None and enough(newest, view.version, needed):
        return None
    said = "; ".join(str(each) for each in changes.changes if each.kind != "text only" or "order" in each.detail)
    wanted = bumped(newest, needed)
    if same is not None:
        return f"{view.name} {view.version} has other numbers than its version says: {said}. That needs a {needed} bump: {wanted} at least."
    if numbers_of(view.version) < numbers_of(newest):
        return f"{view.name} {view.version} is new, but {newest} was released before: {wanted} at least is needed."
    return f"{view.name} {view.version} after {newest} is too small a step: {said}. That needs a {needed} bump: {wanted} at least."


def changes_since(released: Released, view: FeatureView) -> Changes:
    """Return what changes from a released version to a definition."""
    return compare(released.definition, to_canonical(view))


def _released(view: FeatureView) -> Released:
    return Released(Locked(view.name, view.version, data_hash(view), metadata_hash(view)), to_canonical(view))


def _text(definition: Definition) -> str:
    """Write a definition with a feature a line, so that a difference between two versions is read at a glance."""
    head = {key: value for key, value in definition.items() if key != "features"}
    lines = [f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}," for key, value in head.items()]
    return "\n".join(("{", *lines, ' "features": [', *_rows(definition["features"]), " ]", "}", ""))


def _rows(features: Iterable[Any]) -> list[str]:
    rows = [f"  {json.dumps(each, ensure_ascii=False)}" for each in features]
    return [f"{row}," for row in rows[:-1]] + rows[-1:]


def _file_name(locked: Locked) -> str:
    return f"{locked.view}-{locked.version}.json"


def _history_file(locked: Locked, place: str = PLACE) -> str:
    return f"{place}/{_HISTORY}/{_file_name(locked)}"


def released(agent: str, version: str | None) -> tuple[FeatureView, ...]:
    """Return another version of an agent's view than the one in force, from those that were released; nothing when that one is meant.

    Raises:
        UserError: There is no such agent or version, or this release cannot compute it.

    """
    from detektor_pipelines.training.sets import own_view

    view = own_view(agent)
    if version is None or version == view.version:
        return ()
    return (History().version(view.name, version).view(),)
