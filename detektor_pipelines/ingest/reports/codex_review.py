"""The report of a review by Codex (`/review`, `codex review`): an object with findings and a judgement, instead of prose.

    {"findings": [{"title", "body", "priority": 0 to 3, …}], "overall_correctness": "patch is correct" | "patch is incorrect", …}

A finding's priority 0 is critical, 1 is major, 2 and 3 are minor; without one, its title may begin with `[P1]`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import orjson

from detektor_pipelines.ingest.masking import excerpt
from detektor_pipelines.ingest.reports.issues import IssueCounts
from detektor_pipelines.ingest.reports.verdicts import Review

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detektor_pipelines.ingest.reports.levels import Severity
    from detektor_pipelines.ingest.reports.verdicts import Verdict

_VERDICTS: Final[dict[str, Verdict]] = {"patch is correct": "approved", "patch is incorrect": "rejected"}
_SEVERITIES: Final[tuple[Severity, ...]] = ("critical", "major", "minor", "minor")
_TITLE: Final = re.compile(r"\s*\[P([0-3])\]")
_FENCE: Final = re.compile(r"```(?:json)?\s*\n(.*?)\n\s*```", re.DOTALL)


def read_codex_review(report: Any) -> Review | None:
    """Read such a report, an object or its text; None when it is none, or is cut off.

    The counts by severity are known only when every finding has a priority; the number of findings always is.
    """
    said = _object_in(report) if isinstance(report, str) else report
    if not isinstance(said, dict):
        return None
    findings, judgement = said.get("findings"), said.get("overall_correctness")
    if not isinstance(findings, list) or not isinstance(judgement, str):
        return None
    words = " ".join(judgement.lower().split()).rstrip(".")
    return Review(_VERDICTS.get(words), _counts(findings), excerpt(judgement), None)


def _object_in(text: str) -> Any:
    stripped = text.strip()
    fenced = _FENCE.fullmatch(stripped)
    try:
        return orjson.loads(fenced[1] if fenced else stripped)
    except orjson.JSONDecodeError:
        return None


def _counts(findings: Sequence[Any]) -> IssueCounts:
    severities = [_severity(finding) for finding in findings]
    if None in severities:
        return IssueCounts(found=len(findings))
    return IssueCounts(len(findings), severities.count("critical"), severities.count("major"), severities.count("minor"))


def _severity(finding: Any) -> Severity | None:
    if not isinstance(finding, dict):
        return None
    priority = finding.get("priority")
    if priority is None:
        title = _TITLE.match(str(finding.get("title")))
        priority = int(title[1]) if title else None
    if not isinstance(priority, int) or isinstance(priority, bool) or not 0 <= priority < len(_SEVERITIES):
        return None
    return _SEVERITIES[priority]
