"""Where backups are kept: a directory, or whatever fsspec reaches by a URL (`s3://bucket/detektor`, `sftp://…`, `gcs://…`).

    manifests/<backup>.json     there only when the backup is whole
    objects/<backup>/<name>     files that this backup was the first to need; later ones name them too

A name is written once. Nothing is renamed but a manifest, for object stores copy what they rename.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit, urlunsplit

from detektor_pipelines.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

MANIFESTS: Final = "manifests"
OBJECTS: Final = "objects"

_BLOCK: Final = 1 << 20
_SUFFIX: Final = ".json"
_PART: Final = ".part"


class Target:
    """One place of backups.

    Raises:
        UserError: What `url` names cannot be reached by what is installed.

    """

    def __init__(self, url: str) -> None:
        import fsspec

        self.name = without_credentials(url)
        try:
            self._files, self._root = fsspec.core.url_to_fs(url)
        except ImportError as error:
            raise UserError(f"This kind of storage needs another package: {error}.", where=self.name, fix="Install it.") from error
        except ValueError as error:
            raise UserError(f"This is no address of a storage: {error}.", where=self.name, fix="Give a directory, or a URL.") from error

    def backups(self) -> list[str]:
        """Return the names of the backups that are whole, oldest first.

        Raises:
            UserError: The storage cannot be read.

        """
        with self._errors("cannot be read"):
            found = self._listed(MANIFESTS)
        names = (path.rpartition("/")[2] for path in found)
        return sorted(name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX))

    def read_manifest(self, backup: str) -> bytes:
        """Return what a backup's manifest says.

        Raises:
            UserError: It is not there.

        """
        with self._errors(f"does not give the manifest of {backup}"):
            content: bytes = self._files.cat_file(self._path(MANIFESTS, backup + _SUFFIX))
        return content

    def write_manifest(self, backup: str, content: bytes) -> None:
        """Write a manifest, after everything that it names: nobody finds a part of it.

        Raises:
            UserError: The storage does not take it.

        """
        final = self._path(MANIFESTS, backup + _SUFFIX)
        with self._errors("does not take the manifest"):
            self._files.makedirs(self._path(MANIFESTS), exist_ok=True)
            with self._files.open(final + _PART, "wb") as stream:
                stream.write(content)
                _to_disk(stream)
            self._files.mv(final + _PART, final)

    def sizes(self) -> dict[str, int]:
        """Return the bytes of each object that is there.

        Raises:
            UserError: The storage cannot be read.

        """
        with self._errors("cannot be read"):
            found = self._listed(OBJECTS)
        return {name.partition(f"{OBJECTS}/")[2]: int(size) for name, size in found.items()}

    def put(self, name: str, file: Path) -> tuple[int, str]:
        """Store a file as an object; returns its bytes and their SHA-256.

        Raises:
            UserError: The storage does not take it.

        """
        path, digest, size = self._path(OBJECTS, name), hashlib.sha256(), 0
        with self._errors(f"does not take {name}"):
            self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
            with file.open("rb") as source, self._files.open(path, "wb") as stream:
                for block in iter(lambda: source.read(_BLOCK), b""):
                    digest.update(block)
                    size += len(block)
                    stream.write(block)
                _to_disk(stream)
        return size, digest.hexdigest()

    def get(self, name: str, file: Path) -> tuple[int, str]:
        """Bring an object into a file; returns its bytes and their SHA-256.

        Raises:
            UserError: It is not there, or the storage does not give it.

        """
        digest, size = hashlib.sha256(), 0
        with self._errors(f"does not give {name}"), self._files.open(self._path(OBJECTS, name), "rb") as stream, file.open("wb") as into:
            for block in iter(lambda: stream.read(_BLOCK), b""):
                digest.update(block)
                size += len(block)
                into.write(block)
        return size, digest.hexdigest()

    def delete_manifest(self, backup: str) -> None:
        """Forget a backup; its objects are left.

        Raises:
            UserError: The storage does not let it go.

        """
        with self._errors(f"does not delete the manifest of {backup}"):
            self._files.rm_file(self._path(MANIFESTS, backup + _SUFFIX))

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects.

        Raises:
            UserError: The storage does not let one go.

        """
        for name in names:
            with self._errors(f"does not delete {name}"):
                self._files.rm_file(self._path(OBJECTS, name))

    def _listed(self, folder: str) -> dict[str, int]:
        self._files.invalidate_cache()
        found: dict[str, dict[str, Any]] = self._files.find(self._path(folder), detail=True)
        return {path: entry.get("size") or 0 for path, entry in found.items()}

    def _path(self, *parts: str) -> str:
        return "/".join((self._root.rstrip("/"), *parts))

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise UserError(f"The storage of the backups {what}: it is not there.", where=f"{self.name}: {error}") from error
        except UserError:
            raise
        except Exception as error:
            if not isinstance(error, OSError | ValueError) and type(error).__module__.startswith(("builtins", __package__ or "")):
                raise
            raise UserError(f"The storage of the backups {what}: {error}.", where=self.name, fix="Mend it, then the same again.") from error


def without_credentials(url: str) -> str:
    """Return a URL as it may be shown."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if "@" in parts.netloc else url


def _to_disk(stream: IO[bytes]) -> None:
    """Wait until a local file is on the disk; other storages have taken it when it is closed."""
    try:
        descriptor = stream.fileno()
    except (OSError, AttributeError):
        return
    stream.flush()
    os.fsync(descriptor)
