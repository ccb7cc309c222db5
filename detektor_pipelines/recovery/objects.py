"""Files on their way into a backup and out of it: encrypted if asked, hashed on both sides, kept when the backup before has them."""

from __future__ import annotations

import hashlib
import threading
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING

from detektor_pipelines.errors import UserError
from detektor_pipelines.recovery import sealing
from detektor_pipelines.recovery.manifest import Object

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from detektor_pipelines.recovery.manifest import Manifest
    from detektor_pipelines.recovery.target import Target


class Store:
    """Puts files into one backup; several threads may.

    Args:
        target: Where to.
        backup: Whose; new objects get names below it.
        work: A directory for encrypted copies.
        recipients: Public keys; without any nothing is encrypted.
        before: The backup whose objects are kept where they fit; None keeps none.

    """

    def __init__(self, target: Target, backup: str, work: Path, recipients: Sequence[str], before: Manifest | None) -> None:
        self._target, self._backup, self._work, self._recipients = target, backup, work, recipients
        self._numbers, self._lock = count(), threading.Lock()
        self._there = target.sizes() if before else {}
        self._fits = before is not None and sorted(before.recipients) == sorted(recipients)
        self._known = {(each.plain_sha256, each.plain_size): each for each in before.objects} if before and self._fits else {}
        self.written = 0
        """Bytes that were stored by now."""

    def usable(self, kept: Object | None) -> bool:
        """Whether an object of the backup before can stand for the same content: it is there, whole, and encrypted as asked."""
        return kept is not None and self._fits and self._there.get(kept.name) == kept.size

    def put(self, file: Path, name: str) -> Object:
        """Store a file, unless the same content is there.

        Raises:
            UserError: The storage does not take it.
            FileNotFoundError: The file was deleted meanwhile.

        """
        with file.open("rb") as stream:
            plain, size = hashlib.file_digest(stream, "sha256").hexdigest(), stream.tell()
        kept = self._known.get((plain, size))
        if kept is not None and self.usable(kept):
            return kept
        named = f"{self._backup}/{name}" + (".age" if self._recipients else "")
        with self._sealed(file) as source:
            stored, digest = self._target.put(named, source)
        with self._lock:
            self.written += stored
        if not self._recipients and (stored, digest) != (size, plain):
            with file.open("rb") as stream:  # it grew while it was read: what was stored counts, if it is a file's whole content
                plain, size = hashlib.file_digest(stream, "sha256").hexdigest(), stream.tell()
            if (stored, digest) != (size, plain):
                raise UserError("A file changes while it is being backed up.", where=str(file), fix="Run the same again.")
        return Object(named, stored, digest, size, plain)

    @contextmanager
    def _sealed(self, file: Path) -> Iterator[Path]:
        """Give the file as it is to be stored."""
        if not self._recipients:
            yield file
            return
        with self._lock:
            sealed = self._work / f"sealed-{next(self._numbers)}"
        try:
            sealing.encrypt(file, sealed, self._recipients)
            yield sealed
        finally:
            sealed.unlink(missing_ok=True)


class Fetch:
    """Brings a backup's files back; several threads may.

    Args:
        target: Where from.
        manifest: Which backup.
        work: A directory for encrypted copies.
        opener: Opens what is encrypted.

    """

    def __init__(self, target: Target, manifest: Manifest, work: Path, opener: sealing.Opener) -> None:
        self.target, self._sealed, self._work, self._opener = target, bool(manifest.recipients), work, opener
        self._numbers, self._lock = count(), threading.Lock()

    def get(self, held: Object, into: Path) -> None:
        """Bring one file, and hold it against its hashes.

        Raises:
            UserError: It is missing or damaged, or the key is a wrong one.

        """
        if not self._sealed:
            self._fetched(held, into)
            return
        with self._lock:
            sealed = self._work / f"fetched-{next(self._numbers)}"
        try:
            self._fetched(held, sealed)
            self._opener.decrypt(sealed, into, held.name)
        finally:
            sealed.unlink(missing_ok=True)
        with into.open("rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != held.plain_sha256:
                raise self._damaged(held, "what was encrypted is another file")

    def _fetched(self, held: Object, into: Path) -> None:
        size, digest = self.target.get(held.name, into)
        if size != held.size:
            raise self._damaged(held, f"it has {size:,} bytes, {held.size:,} were written")
        if digest != held.sha256:
            raise self._damaged(held, "its SHA-256 is another one")

    def _damaged(self, held: Object, why: str) -> UserError:
        return UserError(
            f"A file of the backup is damaged: {why}.",
            where=f"{self.target.name}: objects/{held.name}",
            fix="Take a copy of it, or another backup that does not name it: `detektor backup verify --files-only --backup …` tells.",
        )
