"""Why a tool call failed, as a short class that can be counted: read from the beginning of its error text."""

from __future__ import annotations

import re
from typing import Final

REJECTED: Final = "rejected_by_user"
INTERRUPTED: Final = "interrupted"
OTHER: Final = "other"

_SCAN: Final = 300
_CLASSES: Final = (
    (
        REJECTED,
        re.compile(r"(?i)the user doesn't want to (?:proceed|take this action)|user rejected|permission to use .{1,60} has been denied"),
    ),
    (INTERRUPTED, re.compile(r"(?i)\[request interrupted by user|interrupted by user|^error: aborted|was aborted")),
    ("sibling_failed", re.compile(r"(?i)sibling tool call errored|parallel tool call .{0,40}errored")),
    ("input_validation", re.compile(r"(?i)inputvalidationerror|validation error|unexpected parameter|missing required parameter")),
    ("unknown_tool", re.compile(r"(?i)no such tool available|unknown (?:skill|tool)|agent type .{1,80} not found")),
    ("stale_file", re.compile(r"(?i)has not been read yet|has been (?:unexpectedly )?modified|modified since read")),
    (
        "edit_mismatch",
        re.compile(r"(?i)string to replace not found|found \d+ matches of the string|no changes to make|old_string and new_string"),
    ),
    ("too_large", re.compile(r"(?i)exceeds maximum|too large")),
    ("timeout", re.compile(r"(?i)timed? ?out|timeouterror")),
    ("exit_code", re.compile(r"(?i)^(?:error: )?exit code \d+")),
    ("not_found", re.compile(r"(?i)does not exist|enoent|no such file or directory|not found")),
    ("permission_denied", re.compile(r"(?i)permission denied|eacces|access denied|not allowed")),
)


def error_type(text: str) -> str:
    """Return the class of a tool's error text; `other` for what is none of them."""
    beginning = text.removeprefix("<tool_use_error>")[:_SCAN]
    return next((name for name, pattern in _CLASSES if pattern.search(beginning)), OTHER)
