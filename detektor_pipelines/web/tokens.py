"""Bearer tokens by a file that holds no secret: each line a name and the SHA-256 of a token.

    name sha256:<64 hex digits>        empty lines and # comments are passed over

It is read again when it has changed, so a token is taken back without a restart: by deleting its line, or all of them by deleting the
file. A line that cannot be read names nobody, the others count.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import re
import secrets
import time
from typing import TYPE_CHECKING, Final

from detektor_pipelines.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

_REREAD_S: Final = 1.0
_LINE: Final = re.compile(r"([A-Za-z0-9._@-]{1,100})\s+sha256:([0-9a-f]{64})")

_log = logging.getLogger(__name__)


class TokenFile:
    """The names of the tokens that a file lists."""

    def __init__(self, file: Path) -> None:
        """Read it.

        Raises:
            UserError: It cannot be read, a line is not understood, or it lists none.

        """
        self._file = file
        self._seen: tuple[int, int] | None = None
        self._next = 0.0
        self._digests: tuple[tuple[bytes, str], ...] = _read_tokens(file, strict=True)
        if not self._digests:
            raise UserError(
                "The token file holds no token: every request would be refused.", where=str(file), fix="Add one: detektor token NAME"
            )
        self._seen = _state(file)

    def name_of(self, digest: bytes) -> str | None:
        """Return the name of the token with this SHA-256; every line is compared, each in constant time."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _REREAD_S
            self._reread()
        found = None
        for known, name in self._digests:
            if hmac.compare_digest(known, digest):
                found = name
        return found

    def _reread(self) -> None:
        state = _state(self._file)
        if state == self._seen:
            return
        self._seen = state
        try:
            self._digests = _read_tokens(self._file, strict=False)
        except UserError as error:
            self._digests = ()  # a file that is gone names nobody: whoever takes it away means that
            _log.error("No token is good any more: %s (%s)", error.what, error.where)


def add_token(file: Path, name: str) -> str:
    """Make a token, append its line to the file, which only its owner may read, and return it.

    Raises:
        UserError: The name cannot be one, or the file cannot be written.

    """
    made = f"dtk_{secrets.token_urlsafe(32)}"
    line = f"{name} sha256:{digest_of(made).hex()}"
    if _LINE.fullmatch(line) is None:
        raise UserError("This cannot be the name of a token.", where=repr(name), fix="Use letters, digits and . _ @ -, 100 at most.")
    try:
        if file.exists():
            _read_tokens(file, strict=True)
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "ab+") as stream:
            end = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, end - 1))
            begin = b"" if stream.read(1) in {b"", b"\n"} else b"\n"
            stream.write(begin + line.encode() + b"\n")
    except OSError as error:
        raise UserError(
            f"The token file cannot be written: {error.strerror}.", where=str(file), fix="Choose another one with --file."
        ) from None
    return made


def digest_of(token: str) -> bytes:
    """Return what a token is known by."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _read_tokens(file: Path, *, strict: bool) -> tuple[tuple[bytes, str], ...]:
    """Return what the file lists; a line that cannot be read is an error when `strict`, else it names nobody, and the others count.

    Raises:
        UserError: The file cannot be read, or a line of it and `strict`.

    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"The token file cannot be read: {getattr(error, 'strerror', None) or 'it is not text'}.",
            where=str(file),
            fix="Correct DETEKTOR_SERVE_TOKENS_FILE, or make a token: detektor token NAME",
        ) from None
    found = []
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        match = _LINE.fullmatch(text)
        if match is None and not strict:
            _log.error("A line of the token file is passed over, it cannot be read: %s, line %d", file, number)
            continue
        if match is None:
            raise UserError(
                "A line of the token file cannot be read.",
                where=f"{file}, line {number}",
                fix="Write it as `name sha256:<64 hex digits>`; `detektor token NAME` does.",
            )
        found.append((bytes.fromhex(match[2]), match[1]))
    return tuple(found)


def _state(file: Path) -> tuple[int, int] | None:
    try:
        stat = file.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ino
