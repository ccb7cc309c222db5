"""Loads the views of catalogues beside the eight's: packaged ones that are switched on, and one's own (`own_catalog`).

A view file is a module with `VIEW`, and `LABELS` where it has some. A file whose name begins with an underscore is none: the others import
it, `from detektor_own_catalog import _words`. Whatever is wrong with a file is one `UserError` that names it and the line.
"""

from __future__ import annotations

import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final

from detektor_pipelines import own_catalog
from detektor_pipelines.errors import UserError
from detektor_pipelines.language.labels import Label
from detektor_pipelines.language.views import FeatureView

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PACKAGE: Final = "detektor_own_catalog"
_FIX: Final = "Correct the file, then `detektor features list` says whether it loads; docs/own-agents.md has an example of each word."


@dataclass(frozen=True, slots=True)
class OutsideView:
    """What one file declares."""

    file: Path
    catalog: own_catalog.OwnCatalog
    view: FeatureView
    labels: tuple[Label, ...]


def load() -> tuple[OutsideView, ...]:
    """Load every view file of the catalogues that are in use.

    Raises:
        UserError: A file cannot be loaded, or does not hold what it has to.

    """
    return tuple(found for catalog in own_catalog.catalogs() for found in _of(catalog))


def kept(views: Sequence[FeatureView], outside: Sequence[OutsideView]) -> tuple[FeatureView, ...]:
    """Return those of the packaged views that stay beside the loaded ones.

    Raises:
        UserError: Two views would be of one agent, or of one name; what is to give way is not there.

    """
    packaged = [view.agent for view in views]
    for catalog in own_catalog.catalogs():
        named = catalog.replace if isinstance(catalog.replace, frozenset) else frozenset[str]()
        if absent := sorted(named.difference(packaged)):
            raise UserError(
                f"replace names {', '.join(map(repr, absent))}, of which the package has no view.",
                where=_line(catalog.file, absent[0]),
                fix=f"Name those whose view is to give way: {', '.join(packaged)}.",
            )
    replaced = [each.catalog.replace for each in outside] + [each.replace for each in own_catalog.catalogs()]
    remaining = [view for view in views if not any(each is True or (each and view.agent in each) for each in replaced)]
    taken = {name: "the package" for view in remaining for name in (view.name, view.agent)}
    for each in outside:
        for name, what in ((each.view.agent, "view of the agent"), (each.view.name, "view called")):
            if name in taken:
                fix = "An agent has one view: put the features into that one, or declare another agent in detektor.toml."
                if what == "view called":
                    fix = "Give it another name."
                if taken[name] == "the package":
                    fix = f'Write replace = ["{each.view.agent}"] under [catalog] in detektor.toml if yours is to take its place.'
                raise UserError(f"There is a {what} {name} already, in {taken[name]}.", where=_line(each.file, f'"{name}"'), fix=fix)
            taken[name] = str(each.file)
    return tuple(remaining)


def _of(catalog: own_catalog.OwnCatalog) -> Iterator[OutsideView]:
    package = PACKAGE if not catalog.packaged else f"{PACKAGE}_{catalog.directory.name}"
    parent = ModuleType(package)
    parent.__path__ = [str(catalog.views)]
    sys.modules[package] = parent
    for file in sorted(catalog.views.glob("*.py")):
        if not file.name.startswith("_"):
            yield _view(catalog, file, _module(package, file))


def _module(package: str, file: Path) -> ModuleType:
    """Load a file as what it says now: Python's own loader takes one of the same size and second for the one that it compiled before."""
    name = f"{package}.{file.stem}"
    module = ModuleType(name)
    module.__file__, module.__package__ = str(file), package
    sys.modules[name] = module
    try:
        exec(compile(file.read_bytes(), str(file), "exec", dont_inherit=True), module.__dict__)  # noqa: S102 - a catalogue is code
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever is wrong with somebody's file is theirs to read
        sys.modules.pop(name, None)
        raise explained(error, file) from None
    return module


def explained(error: BaseException, file: Path) -> UserError:
    """Say what an error of loading a view file means for the person who wrote it: what, in which file and line, what to do."""
    words = " ".join((error.msg if isinstance(error, SyntaxError) else str(error)).split())
    kind = "" if type(error).__name__ == "DefinitionError" else f"{type(error).__name__}: "
    places = [
        (frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).parent == file.parent
    ]
    if isinstance(error, SyntaxError) and error.filename:
        places.append((error.filename, error.lineno))
    name, line = places[-1] if places else (str(file), None)
    return UserError(f"A view cannot be loaded: {kind}{words.rstrip('.')}.", where=f"{name}, line {line}" if line else name, fix=_FIX)


def _view(catalog: own_catalog.OwnCatalog, file: Path, module: ModuleType) -> OutsideView:
    view, labels = getattr(module, "VIEW", None), getattr(module, "LABELS", ())
    if not isinstance(view, FeatureView):
        fix = "End it in VIEW = FeatureView(…), or begin its name with an underscore if others import it."
        raise UserError(f"{file.name} holds no view.", where=_line(file, "VIEW"), fix=fix)
    if not isinstance(labels, tuple | list) or not all(isinstance(each, Label) for each in labels):
        raise UserError("LABELS is not a tuple of labels.", where=_line(file, "LABELS"), fix="Write LABELS = (Label(…),) with its comma.")
    names = set[str]()
    for each in labels:
        if each.agent != view.agent:
            fix = f'Write agent="{view.agent}", or put it beside the view of {each.agent}.'
            raise UserError(
                f"The label {each.name} is of {each.agent}, its file's view is not.", where=_line(file, f'"{each.name}"'), fix=fix
            )
        if each.name in names:
            fix = "A name is an agent's own: give one of them another."
            raise UserError(f"There are two labels {each.name}.", where=_line(file, f'"{each.name}"', last=True), fix=fix)
        names.add(each.name)
    return OutsideView(file, catalog, view, tuple(labels))


def _line(file: Path, said: str, *, last: bool = False) -> str:
    """Return the file and the first, or last, line on which something stands."""
    lines = [number for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), 1) if said in line]
    return f"{file}, line {lines[-1 if last else 0]}" if lines else str(file)
