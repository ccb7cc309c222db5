"""Short excerpts of logs that may be kept: personal data and secrets are replaced before anything is cut or stored.

The patterns stand in `detektor_pipelines.hook`, which must do without this module. What is masked: e-mail addresses, the user's name in
a home directory's path, credentials in URLs, values assigned to a name such as `password` or `token`, private keys, and strings shaped like
the keys of well-known services or like random keys in general. Better one harmless string too many than one key too few.
"""

from __future__ import annotations

import re
from typing import Final

from detektor_pipelines.hook import MASKS

EXCERPT_LIMIT: Final = 200
"""Characters of evidence that an event or a rejection may carry."""

_SCAN_LIMIT: Final = 4_000
"""An excerpt is taken from the beginning: masking megabytes to keep 200 characters would be waste."""

_RULES: Final = tuple((re.compile(pattern), replacement) for pattern, replacement in MASKS)
_SPACE: Final = re.compile(r"\s+")


def mask(text: str) -> str:
    """Replace everything in `text` that is shaped like an e-mail address, a key, a password or a user's name in a path."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


def excerpt(text: str | bytes, limit: int = EXCERPT_LIMIT) -> str:
    """Return the beginning of `text` on one line, masked, `limit` characters at most; bytes that are not UTF-8 become U+FFFD."""
    if isinstance(text, bytes):
        text = text[:_SCAN_LIMIT].decode("utf-8", errors="replace")
    line = _SPACE.sub(" ", mask(text[:_SCAN_LIMIT]).replace("\x00", "\ufffd")).strip()
    return line if len(line) <= limit else line[: limit - 1] + "…"
