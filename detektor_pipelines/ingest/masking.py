"""Short excerpts of logs that may be kept: personal data and secrets are replaced before anything is cut or stored.

Belongs here: the patterns. What is masked: e-mail addresses, the user's name in a home directory's path, credentials in URLs, values
assigned to a name such as `password` or `token`, private keys, and strings shaped like the keys of well-known services or like random
keys in general. Better one harmless string too many than one key too few.
"""

from __future__ import annotations

import re
from typing import Final

EXCERPT_LIMIT: Final = 200
"""Characters of evidence that an event or a rejection may carry."""

_SCAN_LIMIT: Final = 4_000
"""An excerpt is taken from the beginning: masking megabytes to keep 200 characters would be waste."""

_MASKED: Final = "<secret>"
_RULES: Final = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), _MASKED),
    (re.compile(r"(?<=://)[^\s/@:]+:[^\s/@]+(?=@)"), _MASKED),
    (re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}"), "<email>"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{12,}"), rf"\1 {_MASKED}"),
    (
        re.compile(
            r"(?i)\b([\w-]*(?:password|passwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key))(\"?\s*[=:]\s*\"?)[^\s\"',;]{6,}"
        ),
        rf"\1\2{_MASKED}",
    ),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?"), _MASKED),
    (re.compile(r"\b(?:sk|pk|rk)[-_][A-Za-z0-9_-]{16,}"), _MASKED),
    (re.compile(r"\b(?:gh[pousr]_|github_pat_|glpat-|xox[abeoprs]-|npm_|pypi-|hf_|AIza|phc_)[A-Za-z0-9_-]{16,}"), _MASKED),
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), _MASKED),
    (re.compile(r"\b[0-9a-fA-F]{32,}\b"), _MASKED),
    (
        re.compile(r"(?<![A-Za-z0-9+_-])(?=[A-Za-z0-9+_-]*[0-9])(?=[A-Za-z0-9+_-]*[a-z])(?=[A-Za-z0-9+_-]*[A-Z])[A-Za-z0-9+_-]{36,}=*"),
        _MASKED,
    ),
    (re.compile(r"(?i)((?:/Users|/home|\\Users)[/\\]+)[^/\\\s\"'`:,;)]+"), r"\1<user>"),
)
_SPACE: Final = re.compile(r"\s+")


def mask(text: str) -> str:
    """Replace everything in `text` that is shaped like an e-mail address, a key, a password or a user's name in a path."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


def excerpt(text: str | bytes, limit: int = EXCERPT_LIMIT) -> str:
    """Return the beginning of `text` on one line, masked, `limit` characters at most; bytes that are no UTF-8 become U+FFFD."""
    if isinstance(text, bytes):
        text = text[:_SCAN_LIMIT].decode("utf-8", errors="replace")
    line = _SPACE.sub(" ", mask(text[:_SCAN_LIMIT]).replace("\x00", "\ufffd")).strip()
    return line if len(line) <= limit else line[: limit - 1] + "…"
