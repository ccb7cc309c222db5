"""Which versions are chosen instead of, and kept beside, those that the catalogue's files declare: writing `catalog.chosen`'s file.

Who changes it holds a lock, and the file is replaced as a whole. Programs learn of it by `detektor restart`, as of any other change.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from detektor_pipelines.catalog import DECLARED
from detektor_pipelines.catalog.chosen import FILE, Chosen, read
from detektor_pipelines.files import replace_file, turn
from detektor_pipelines.language.hashes import data_hash

if TYPE_CHECKING:
    from collections.abc import Callable

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings


def chosen(settings: Settings) -> Chosen:
    """Return what is chosen now, which may be later than what this process has loaded.

    Raises:
        UserError: The file cannot be read.

    """
    return read(settings.home / FILE)


def in_force(settings: Settings) -> tuple[FeatureView, ...]:
    """Return the definitions that a process would load that begins now.

    Raises:
        UserError: The file cannot be read.

    """
    return chosen(settings).in_force(DECLARED)


def pin(settings: Settings, view: FeatureView) -> None:
    """Put a version in force in the place of what its file declares, from the next start of each program on."""
    _change(settings, lambda now: replace(now, pinned={**now.pinned, view.name: view}))


def unpin(settings: Settings, name: str) -> None:
    """Put what a view's file declares in force again; nothing happens when it is."""
    _change(settings, lambda now: replace(now, pinned={key: view for key, view in now.pinned.items() if key != name}))


def keep_beside(settings: Settings, view: FeatureView) -> None:
    """Have a version kept fresh online beside the one in force."""
    _change(settings, lambda now: replace(now, beside=(*_without(now, view.name, data_hash(view)), view)))


def let_go(settings: Settings, name: str, digest: str) -> bool:
    """Keep a version fresh no longer; returns whether it was."""
    before = chosen(settings)
    _change(settings, lambda now: replace(now, beside=_without(now, name, digest)))
    return len(_without(before, name, digest)) < len(before.beside)


def _without(now: Chosen, name: str, digest: str) -> tuple[FeatureView, ...]:
    return tuple(view for view in now.beside if (view.name, data_hash(view)) != (name, digest))


def _change(settings: Settings, change: Callable[[Chosen], Chosen]) -> None:
    file = settings.home / FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    with turn(file.with_name(f".{file.name}.lock"), wait=True):
        before = read(file)
        after = change(before)
        if after == before:
            return
        if after == Chosen():
            file.unlink()
            return
        replace_file(file, after.as_text(), durable=True)
