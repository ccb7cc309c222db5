"""Which backups there are, choosing one, and letting old ones go."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from detektor_pipelines.errors import UserError
from detektor_pipelines.recovery import manifest as manifests

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detektor_pipelines.recovery.manifest import Manifest
    from detektor_pipelines.recovery.target import Target

UNFINISHED: Final = timedelta(days=1)
"""Files of a backup without a manifest are left alone for so long: it may be under way."""

_STAMP: Final = "%Y%m%dT%H%M%SZ"
_STAMP_LENGTH: Final = 16


def backups(target: Target) -> list[Manifest]:
    """Return all backups, oldest first.

    Raises:
        UserError: The storage does not answer, or a manifest is damaged or of a later release.

    """
    return [_read(target, name) for name in target.backups()]


def chosen(target: Target, backup: str | None) -> Manifest:
    """Return one backup, by default the newest.

    Raises:
        UserError: There is none, or no such one.

    """
    names = target.backups()
    if not names:
        raise UserError("There is no backup.", where=target.name, fix="`detektor backup create` makes one.")
    if backup is not None and backup not in names:
        raise UserError(f"There is no backup {backup}.", where=target.name, fix=f"The newest are {', '.join(names[-3:])}.")
    return _read(target, backup or names[-1])


def newest_readable(target: Target, names: Sequence[str]) -> Manifest | None:
    """Return the newest backup whose manifest is whole, for the next one to keep files of."""
    for name in reversed(names):
        try:
            return _read(target, name)
        except UserError:
            continue
    return None


def prune(target: Target, keep: int, *, delete: bool = True) -> tuple[list[str], list[str]]:
    """Let all but the newest `keep` backups go, and files that no backup names; returns the backups and the files.

    Files of a backup that may be under way stay for a day.

    Raises:
        UserError: The storage does not answer, or a manifest that stays cannot be read: what it names is not known then.

    """
    names = target.backups()
    going = names[:-keep] if keep else names
    needed = {each.name for name in names[len(going) :] for each in _read(target, name).objects}
    before = (datetime.now(UTC) - UNFINISHED).strftime(_STAMP)
    orphans = sorted(
        name for name in target.sizes() if name not in needed and (name.partition("/")[0] in names or name[:_STAMP_LENGTH] < before)
    )
    if delete:
        for name in going:
            target.delete_manifest(name)
        target.delete(orphans)
    return going, orphans


def _read(target: Target, name: str) -> Manifest:
    return manifests.read(target.read_manifest(name), f"{target.name}: manifests/{name}.json")
