"""What was chosen in the place of the files beside this one: `versions.json` in the home directory.

    {"pinned": {"coding_features": DEFINITION}, "beside": [DEFINITION, …]}        DEFINITION: `language.canonical`, and its data hash

A pinned definition is in force instead of the file's (`detektor rollback`); one beside is kept fresh online for those who still read it
(`detektor apply`, until `detektor retire`). Who writes the file replaces it as a whole; a process reads it when it loads the catalogue,
and keeps what it began with.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from detektor_pipelines.errors import UserError
from detektor_pipelines.language.canonical import from_canonical, to_canonical
from detektor_pipelines.language.expressions import DefinitionError
from detektor_pipelines.language.hashes import data_hash
from detektor_pipelines.language.views import FeatureView

FILE: Final = "versions.json"


@dataclass(frozen=True)
class Chosen:
    """Definitions in force instead of a file's, by the view's name, and those that are kept fresh beside the ones in force."""

    pinned: Mapping[str, FeatureView] = field(default_factory=dict)
    beside: tuple[FeatureView, ...] = ()

    def in_force(self, declared: Sequence[FeatureView]) -> tuple[FeatureView, ...]:
        """Return the definitions in force: what the files declare, but for what is pinned; then what is pinned and declared no more."""
        names = {view.name for view in declared}
        gone = (view for name, view in self.pinned.items() if name not in names)
        return (*(self.pinned.get(view.name, view) for view in declared), *gone)

    def kept_beside(self, views: Sequence[FeatureView]) -> tuple[FeatureView, ...]:
        """Return what is kept fresh beside some definitions in force."""
        present = {(view.name, data_hash(view)) for view in views}
        return tuple(view for view in self.beside if (view.name, data_hash(view)) not in present)

    def as_text(self) -> str:
        """Return the file's content."""
        content = {
            "pinned": {name: _written(view) for name, view in sorted(self.pinned.items())},
            "beside": [_written(view) for view in self.beside],
        }
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def read(file: Path) -> Chosen:
    """Return what a file says; without one nothing is chosen.

    Raises:
        UserError: It cannot be understood, or a definition in it cannot be computed by this release.

    """
    try:
        content = json.loads(file.read_bytes())
        return Chosen(
            {name: _read(each) for name, each in content["pinned"].items()},
            tuple(_read(each) for each in content["beside"]),
        )
    except FileNotFoundError:
        return Chosen()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(
            f"Which versions were chosen cannot be read: {error}.",
            where=str(file),
            fix="Delete the file: then the definitions of the catalogue are in force. `detektor restart` tells the programs.",
        ) from error


def _written(view: FeatureView) -> dict[str, Any]:
    return {"data_hash": data_hash(view), "definition": to_canonical(view)}


def _read(data: Mapping[str, Any]) -> FeatureView:
    view = from_canonical(data["definition"])
    if data_hash(view) != data["data_hash"]:
        message = f"{view.name} {view.version} is not what it was: its data hash is {data_hash(view)}, {data['data_hash']} was written"
        raise DefinitionError(message)
    return view
