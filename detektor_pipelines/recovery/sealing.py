"""Encryption of a backup's files, by age (age-encryption.org): `age --decrypt` opens them without us.

Who makes backups needs only the public half of the key, so a machine that is broken into gives no backup away. What a person gives is a
public key (`age1…`) or a file of such; to open, a file of private keys (`AGE-SECRET-KEY-1…`) or the environment. Manifests are not
encrypted: they hold names, counts and hashes, no value.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines.errors import UserError
from detektor_pipelines.files import PRIVATE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from detektor_pipelines.settings import Settings

PUBLIC: Final = "age1"
_SECRET: Final = "AGE-SECRET-KEY-"  # noqa: S105  how a private key begins
_NEEDED: Final = "Give the private key: DETEKTOR_BACKUP_IDENTITY_FILE=/path/to/key"


def recipients(settings: Settings, given: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the public keys to encrypt to: those given, else those of the settings; a word that is no key is a file of keys.

    Raises:
        UserError: A file cannot be read, or holds what is no public key.

    """
    words = given or [word.strip() for word in (settings.backup_recipients or "").split(",") if word.strip()]
    return tuple(sorted({key for word in words for key in ([word] if word.startswith(PUBLIC) else _keys_of(word))}))


def encrypt(source: Path, into: Path, keys: Sequence[str]) -> None:
    """Encrypt a file to public keys.

    Raises:
        UserError: One is no public key.

    """
    import pyrage

    try:
        chosen = [pyrage.x25519.Recipient.from_str(key) for key in keys]
    except pyrage.RecipientError as error:
        raise UserError(
            f"This is no public key of age: {error}.", where=", ".join(keys), fix="`detektor backup key FILE` makes one."
        ) from error
    with source.open("rb") as plain, into.open("wb") as sealed:
        pyrage.encrypt_io(plain, sealed, chosen)


class Opener:
    """Decrypts a backup's files with the private keys that the environment, or the file that it names, gives.

    Raises:
        UserError: What is given is no private key.

    """

    def __init__(self, settings: Settings, file: Path | None = None) -> None:
        self._where, text = _secret(settings, file)
        lines = [line.strip() for line in text.splitlines()]
        self._identities: list[Any] = [self._identity(line) for line in lines if line and not line.startswith("#")]

    def decrypt(self, source: Path, into: Path, name: str) -> None:
        """Decrypt a file.

        Raises:
            UserError: There is no key, it is another one, or the file is damaged.

        """
        import pyrage

        if not self._identities:
            raise UserError("The backup is encrypted, and no key was given.", where=name, fix=_NEEDED)
        try:
            with source.open("rb") as sealed, into.open("wb") as plain:
                pyrage.decrypt_io(sealed, plain, self._identities)
        except pyrage.DecryptError as error:
            raise UserError(
                f"The backup cannot be decrypted: {error}.",
                where=f"{name}, with the key of {self._where}",
                fix="It is another key than the one it was made for: `detektor backup list` names the public half.",
            ) from error

    def _identity(self, line: str) -> Any:
        import pyrage

        try:
            return pyrage.x25519.Identity.from_str(line)
        except pyrage.IdentityError as error:
            raise UserError(f"This is no private key of age: {error}.", where=self._where, fix=_NEEDED) from error


def make_key(file: Path) -> str:
    """Make a key, keep its private half in a new file (mode 0600), and return the public one.

    Raises:
        UserError: The file is there already, or cannot be written.

    """
    import pyrage

    identity = pyrage.x25519.Identity.generate()
    public = str(identity.to_public())
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
    except OSError as error:
        raise UserError(
            f"The key cannot be written: {error.strerror}.", where=str(file), fix="Name a file that is not there yet."
        ) from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(f"# public key: {public}\n{identity}\n")
    return public


def _secret(settings: Settings, file: Path | None) -> tuple[str, str]:
    """Return where the private keys are from, and what is there."""
    chosen = file or settings.backup_identity_file
    if chosen is None:
        kept = settings.backup_identity
        return "DETEKTOR_BACKUP_IDENTITY", kept.get_secret_value() if kept else ""
    try:
        return str(chosen), chosen.expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The file of private keys cannot be read: {error}.", where=str(chosen), fix=_NEEDED) from error


def _keys_of(file: str) -> list[str]:
    from pathlib import Path

    try:
        lines = [line.strip() for line in Path(file).expanduser().read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The file of public keys cannot be read: {error}.", where=file, fix="Write age1… in it, a line each.") from error
    if any(line.startswith(_SECRET) for line in lines):
        raise UserError("This file holds a private key; to encrypt only the public half is needed.", where=file, fix="Write age1… in it.")
    return [line for line in lines if line and not line.startswith("#")]
