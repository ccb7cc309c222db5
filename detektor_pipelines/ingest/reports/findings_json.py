"""Findings that a reviewer returns as JSON: a list of objects, alone or in the one fenced block of its report."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any, Final

from detektor_pipelines.ingest.reports.levels import LEVEL, severity_of

_FENCED: Final = re.compile(r"^[ \t]*```(?:json|jsonc|json5)?[ \t]*\n(.*?)^[ \t]*```", re.DOTALL | re.MULTILINE)
_LISTS: Final = ("findings", "issues", "candidates", "problems", "comments")
_PLACES: Final = frozenset(
    {"file", "path", "location", "line", "lines", "file_path", "severity", "priority", "code_location", "failure_scenario"}
)
_WORDS: Final = frozenset({"summary", "title", "description", "issue", "message", "finding", "problem", "body", "detail", "details"})
_GRAVITY: Final = ("severity", "priority", "level")


def json_findings(text: str) -> tuple[int, Counter[str] | None] | None:
    """Count the findings of a report that holds exactly one JSON list of them.

    Returns:
        How many, and how many of each severity (None unless every finding states its own); None for a report that is not of this kind.

    """
    lists = [found for found in map(_findings, _documents(text)) if found is not None]
    if len(lists) != 1:
        return None
    findings = lists[0]
    severities = [_severity(finding) for finding in findings]
    return len(findings), None if None in severities else Counter(severity for severity in severities if severity)


def _documents(text: str) -> list[Any]:
    stripped = text.strip()
    sources = [stripped] if stripped[:1] in {"[", "{"} else _FENCED.findall(text)
    found = []
    for source in sources:
        try:
            found.append(json.loads(source))
        except (ValueError, RecursionError):
            continue
    return found


def _findings(document: Any) -> list[dict[str, Any]] | None:
    if isinstance(document, dict):
        document = next((document[key] for key in _LISTS if isinstance(document.get(key), list)), None)
    if not isinstance(document, list):
        return None
    fits = all(isinstance(entry, dict) and _PLACES & entry.keys() and _WORDS & entry.keys() for entry in document)
    return document if fits else None


def _severity(finding: dict[str, Any]) -> str | None:
    for key in _GRAVITY:
        stated = finding.get(key)
        if isinstance(stated, int) and not isinstance(stated, bool) and key == "priority":
            stated = f"p{stated}"
        if isinstance(stated, str) and LEVEL.fullmatch(stated.strip()):
            return severity_of(stated.strip())
    return None
