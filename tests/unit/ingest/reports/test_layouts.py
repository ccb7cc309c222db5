"""Final reports as reviewers of today lay them out: verdict and counts together."""

from __future__ import annotations

from typing import Any

import pytest

from detektor_pipelines.ingest.reports.verdicts import read_review

JSON = """```json
[{"file": "a.py", "line": 3, "summary": "x", "severity": "high"}, {"file": "b.py", "line": 9, "summary": "y", "severity": "low"}]
```"""


def told(report: str) -> tuple[Any, ...]:
    """Return the verdict, then critical, major, minor and found."""
    review = read_review(report)
    issues = review.issues
    return review.verdict, issues.critical, issues.major, issues.minor, issues.found


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        # The verdict in bold below the last section is not part of it
        (
            "### Critical Issues\n- The queue is never drained\n\n### Minor\n- Name it\n\n**Verdict: REQUEST CHANGES**",
            ("rejected", 1, None, 1, 2),
        ),
        ("### Minor\n- Name it\n\n**Assessment:** Approved", ("approved", None, None, 1, 1)),
        # A clean review is nothing of each
        ("**Verdict: APPROVE**\n\nNo issues were found.", ("approved", 0, 0, 0, 0)),
        ("### Verdict\n\n**CLEAN**: nothing to change, it reads well.", ("approved", 0, 0, 0, 0)),
        ("I found no real issues with this diff.", (None, 0, 0, 0, 0)),
        ("## Code Review\n\nNothing to report.\n\n**Verdict:** PASS", ("approved", 0, 0, 0, 0)),
        ("Brak uwag.\n\nWerdykt: zatwierdzam", ("approved", 0, 0, 0, 0)),
        ("[]", (None, 0, 0, 0, 0)),
        # Nothing blocking is not nothing
        ("## Findings\n\nNo blocking issues.\n\n- nit: name it\n- nit: sort them\n\n**APPROVED**", ("approved", 0, None, 2, 2)),
        ("## Findings\n\nNo blocking issues.\n\n**APPROVED**", ("approved", 0, None, None, None)),
        ("**APPROVED**\n\nNo significant issues.", ("approved", None, None, None, None)),
        ("### Style\n\nNo issues found.\n\n### Logic\n\nThe loop ends too early, and the lock leaks.", (None, None, None, None, None)),
        # One numbered list of findings, without severities
        (
            "Here is what I found, three issues:\n\n1. **It counts twice.**\n\n2. **It is copied.**\n\n3. **It leaks.**",
            (None, None, None, None, 3),
        ),
        ("## Findings\n\n### 1. It counts twice\n\nprose\n\n### 2. It leaks\n\nprose", (None, None, None, None, 2)),
        ("No critical issues.\n\n**Notable findings:**\n\n1. a\n2. b", (None, 0, None, None, 2)),
        ("## Findings\n\n1. The lock - verified, no issue\n2. It leaks", (None, None, None, None, None)),
        ("## Findings\n\n1. a\n2. b\n\n## Suggestions for later\n\nprose", (None, None, None, None, None)),
        ("## Findings\n\n1. a\n2. b\n\n## Issues\n\n1. c", (None, None, None, None, None)),
        ("## What it does\n\n1. It reads\n2. It writes", (None, None, None, None, None)),
        ("## Findings\n\n1. a\n2. b\n3. …[+900 chars]", (None, None, None, None, None)),
        # Severities in labels, brackets, headings, tables and JSON
        ("Comments:\n\n- [P1] Close the file - /r/a.py:3-4\n  It stays open.\n- [P2] Name it - /r/b.py:9", (None, None, 1, 1, 2)),
        ("## Findings\n\n1. **[HIGH] a.py:3** leaks\n2. **[LOW] b.py:9** is odd", (None, None, 1, 1, 2)),
        ("**F1 — HIGH — it leaks**\n\nprose\n\n**F2 — LOW — it is odd**\n\nprose", (None, None, 1, 1, 2)),
        ("### 🔴 Blocking\n1. a\n\n### 🟡 Medium\n1. b\n2. c\n\n**Recommendation:** changes requested", ("rejected", 1, None, 2, 3)),
        ("## Critical issues (must fix)\n- a\n\n## Warnings (should fix)\n- b\n- c\n\n## Suggestions\n- d", (None, 1, 2, 1, 4)),
        ("### Krytyczne\n- a\n\n### Ważne\n- b\n\n### Drobne\n- c\n- d\n\nWerdykt: do poprawy", ("rejected", 1, 1, 2, 4)),
        ("| # | Priority | Problem |\n|---|---|---|\n| 1 | P0 | a |\n| 2 | 🟢 Low | b |", (None, 1, None, 1, 2)),
        ("| Issue | Risk Level | Impact |\n|---|---|---|\n| a | High | x |", (None, None, 1, None, 1)),
        (f"Findings follow.\n\n{JSON}", (None, None, 1, 1, 2)),
        ('{"findings": [{"file": "a.py", "title": "x"}]}', (None, None, None, None, 1)),
        ('```json\n{"flag": true}\n```', (None, None, None, None, None)),
        # Said twice in ways that do not agree
        ("## Critical Data Issues\n\n### 1. a\n\n### 2. b\n\n## Actions\n\n1. **Critical:** c", (None, None, None, None, None)),
        # Cut within the section
        ("### Critical\n\n1. a\n…[+900 chars]…\n2. b\n\n### Minor\n\n- c\n\n### Praise\n\n- d", (None, None, None, 1, None)),
        # Verdicts
        ("✅ Spec compliant", ("approved", None, None, None, None)),
        ("❌ Issues found:\n- Missing: the flag", ("rejected", None, None, None, None)),
        ("Verdict: CHANGES_REQUESTED", ("rejected", None, None, None, None)),
        ("## Verdict (quality)\n\nMerge after the fix.", (None, None, None, None, None)),
        ("Looks fine.\n\nApproved.", ("approved", None, None, None, None)),
        ("**Bottom line:** good to go", ("approved", None, None, None, None)),
        ("REFUTED. The lock is held.", (None, None, None, None, None)),
    ],
)
def test_what_a_report_says(report: str, expected: tuple[Any, ...]) -> None:
    assert told(report) == expected
