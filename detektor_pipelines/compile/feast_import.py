"""Feast, imported in a third of the time: without typeguard's rewriting of its classes.

Feast decorates its classes with `typeguard.typechecked`, which at every start reads their source, puts checks of argument types into it and
compiles it again: seconds of work, most of the import. Our own calls are checked by mypy; Feast's command line and whoever imports Feast
before this package keep the checks. Importing this module imports nothing of Feast; it only waits for it.
"""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType


class _Waiting:
    """A finder that takes part in the first import of Feast only."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        del path, target
        if name != "feast":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader.exec_module = _unchecked(spec.loader.exec_module)  # type: ignore[method-assign]
        return spec


def _unchecked(execute: Any) -> Any:
    """Return the loader's step with `typeguard.typechecked` doing nothing until it is over."""

    def executed(module: ModuleType) -> None:
        import typeguard

        checking = typeguard.typechecked
        typeguard.typechecked = _as_it_is
        try:
            execute(module)
        finally:
            typeguard.typechecked = checking

    return executed


def _as_it_is(target: Any = None, **_: Any) -> Any:
    return _as_it_is if target is None else target


if "feast" not in sys.modules:
    sys.meta_path.insert(0, _Waiting())
