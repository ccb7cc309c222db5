"""An outcome that an agent states itself, in a fenced block of its final report: it wins over whatever is read from the prose.

    ```detektor-outcome
    verdict: rejected
    issues_found: 3
    issues_critical: 1
    ```

Lines of `name: value`, or one JSON object. The names are the measures and categories of the operation, but for those that the log itself
knows better (duration, tokens, tool calls, model). A block with a mistake is not believed at all, and the event says why.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from detektor_pipelines.language.events import CATEGORIES, MEASURES, OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from detektor_pipelines.language.records import Json

FENCE: Final = "detektor-outcome"
MEASURED: Final = frozenset({"duration_ms", "input_tokens", "output_tokens", "tool_calls", "tool_errors", "model"})
"""What the log itself tells: not the agent's to state."""

_BLOCK: Final = re.compile(
    rf"^[ \t]*(?P<fence>```+|~~~+)[ \t]*{FENCE}[ \t]*\n(?P<body>.*?)^[ \t]*(?P=fence)[ \t]*$", re.DOTALL | re.MULTILINE
)
_ISSUES: Final = ("issues_critical", "issues_major", "issues_minor")
_UNKNOWN: Final = frozenset({"", "null", "none", "unknown"})
_INTEGER: Final = re.compile(r"-?\d{1,18}")


class Told(NamedTuple):
    """The measures and categories of a piece of work with what its report states, and the attributes that say so."""

    measures: dict[str, int | None]
    categories: dict[str, str | None]
    attributes: dict[str, Json]


class _Mistake(Exception):  # noqa: N818 (it never leaves this module)
    """Why a block is not believed."""


def with_stated_outcome(text: str, operation: str, measures: Mapping[str, int | None], categories: Mapping[str, str | None]) -> Told:
    """Let the outcome that a final report states win over what was concluded otherwise.

    Args:
        text: The report; its last block counts.
        operation: What the agent did: `review`, `implement`, …
        measures: What was concluded; a block that states any count of issues replaces them all.
        categories: As above.

    Returns:
        What holds now. The attribute `stated` is true where a block was believed, `not_believed` says what is wrong with one that was not.

    """
    blocks = list(_BLOCK.finditer(text)) if FENCE in text else []
    if not blocks:
        return Told(dict(measures), dict(categories), {})
    try:
        stated_measures, stated_categories = _stated(blocks[-1]["body"], operation)
    except _Mistake as mistake:
        return Told(dict(measures), dict(categories), {"not_believed": str(mistake)[:200]})
    kept = {name: value for name, value in measures.items() if not (name.startswith("issues_") and _counts_issues(stated_measures))}
    return Told(kept | stated_measures, dict(categories) | stated_categories, {"stated": True})


def _counts_issues(measures: Mapping[str, int | None]) -> bool:
    return any(name.startswith("issues_") for name in measures)


def _stated(body: str, operation: str) -> tuple[dict[str, int | None], dict[str, str | None]]:
    known = OPERATIONS[operation]
    measures: dict[str, int | None] = {}
    categories: dict[str, str | None] = {}
    for name, value in _pairs(body):
        if name in MEASURED:
            raise _Mistake(f"{name} is measured, not stated")
        if name in known.measures:
            measures[name] = _measure(name, value)
        elif name in known.categories:
            categories[name] = _category(name, value)
        else:
            raise _Mistake(f"{name} is nothing that the operation {operation} has")
    _sum_up(measures)
    return measures, categories


def _pairs(body: str) -> list[tuple[str, Any]]:
    if body.lstrip().startswith("{"):
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            raise _Mistake("the block is not JSON") from None
        return [(str(name), value) for name, value in found.items()]
    pairs: list[tuple[str, Any]] = []
    for line in body.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, colon, value = line.partition(":")
        if not colon:
            raise _Mistake(f"{line.strip()!r} is not name: value")
        pairs.append((name.strip().lstrip("-").strip(), value.strip().strip("\"'")))
    return pairs


def _measure(name: str, value: Any) -> int | None:
    if value is None or (isinstance(value, str) and value.lower() in _UNKNOWN):
        return None
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise _Mistake(f"{name} is not an integer")
    limits = MEASURES[name]
    if not limits.minimum <= value <= limits.maximum:
        raise _Mistake(f"{name} is outside {limits.minimum} to {limits.maximum}")
    return value


def _category(name: str, value: Any) -> str | None:
    if value is None or (isinstance(value, str) and value.lower() in _UNKNOWN):
        return None
    if not isinstance(value, str):
        raise _Mistake(f"{name} is not a text")
    allowed = CATEGORIES[name].values
    if allowed and value not in allowed:
        raise _Mistake(f"{name} is none of {', '.join(allowed)}")
    return value


def _sum_up(measures: dict[str, int | None]) -> None:
    """Add up the three severities where all are stated; together they are never more than all issues found."""
    parts = [count for name in _ISSUES if (count := measures.get(name)) is not None]
    if len(parts) == len(_ISSUES) and "issues_found" not in measures:
        measures["issues_found"] = sum(parts)
    found = measures.get("issues_found")
    if found is not None and sum(parts) > found:
        raise _Mistake("the severities add up to more than issues_found")
