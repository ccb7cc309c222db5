from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detektor_pipelines.ingest.reports.verdicts import read_review


def counts(report: str) -> tuple[int | None, ...]:
    issues = read_review(report).issues
    return issues.critical, issues.major, issues.minor, issues.found


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        ("**Issues found:** 1 Critical, 2 High, 2 Medium, 3 Low, 2 Informational", (1, 2, 7, 10)),
        ("### Critical Issues (3)\n\n1. a\n\n### Important Issues (5):\n\n4. b", (3, 5, None, 8)),
        ("**Critical (Must Fix -- 1 item)**\n\nprose\n\n**Suggestions (4 items)**\n\n1. x", (1, None, 4, 5)),
        ("### Critical\n\n1. a\n   - why\n   - fix\n2. b\n\n### Suggestions\n\n- c\n- d", (2, None, 2, 4)),
        (
            "#### Important (Should Fix)\n\n**1. a**\n\nprose\n\n**2. b**\n\nprose\n\n#### Suggestion (Nice to Have)\n\n**3. c**",
            (None, 2, 1, 3),
        ),
        ("### Critical: None\n\n### Important\n\n#### 1. a\n\n- why\n\n#### 2. b", (0, 2, None, 2)),
        ("**Critical:**\n1. a\n\n**Important:**\n2. b\n3. c\n\n**Praise:**\n- d", (1, 2, None, 3)),
        ("### Critical #1: a\n\nprose\n\n### Critical #2: b\n\nprose", (2, None, None, 2)),
        ("- **Minor:** a\n- **Minor:** b", (None, None, 2, 2)),
        ("### Issues Found\n\n1. **No tests (Critical)**\n   - why\n2. **Typo (Minor)**", (1, None, 1, 2)),
        ("### Issues Found\n\nNone. It matches the specification.", (0, 0, 0, 0)),
        ("Issues found: none", (0, 0, 0, 0)),
        ("| Severity | Issue |\n|---|---|\n| Critical | a |\n| Low | b |\n| Low | c |", (1, None, 2, 3)),
        ("### Medium Severity Suggestions (3)\n\n### Low Severity Suggestions (4)\n", (None, None, 7, 7)),
        ("### Missing Edge Cases (Minor)\n\n- a\n- b", (None, None, 2, 2)),
    ],
)
def test_counts_that_a_report_states_or_lists(report: str, expected: Any) -> None:
    assert counts(report) == expected


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        ("No critical issues were found. Otherwise see below.", (0, None, None, None)),
        ("**No Critical or High Severity Issues**", (0, 0, None, None)),
        ("**Critical/High:** None\n\n**Low Severity:** names, timeouts and others", (0, 0, None, None)),
        ("### Critical\n\nIt loses data, and it is slow.", (None, None, None, None)),
        ("### Critical\n\n1. a\n\n### Key Findings\n\n1. b\n2. c", (1, None, None, None)),
        ("### Critical\n\n1. a\n2. b\n\n### Must Fix\n\n1. a", (None, None, None, None)),
        ("**Minor Concern:**\n- it reads the file\n- which is fine\n- mostly", (None, None, None, None)),
        ("1. **Minor**: a\n2. **Optional/Future**: b\n3. **Docs**: c", (None, None, None, None)),
        ("**Approved with minor suggestions.**\n\n1. a\n2. b", (None, None, None, None)),
        ("```\n### Critical\n1. a\n```", (None, None, None, None)),
        ("All good.", (None, None, None, None)),
    ],
)
def test_what_a_report_does_not_say_is_null(report: str, expected: Any) -> None:
    assert counts(report) == expected


def test_nothing_is_concluded_from_the_missing_part_of_a_cut_report() -> None:
    whole = "### Critical\n\n1. a\n\n### Important\n\n1. b\n2. c"
    assert counts(whole) == (1, 2, None, 3)
    assert counts(whole + "…[+900 chars]") == (1, None, None, None)


@given(st.text(alphabet=st.sampled_from("#*-_|1. \n:()`>critcalnoepvsu/—✅"), max_size=300))
def test_any_text_is_read_and_totals_are_sums(text: str) -> None:
    issues = read_review(text).issues
    known = [count for count in (issues.critical, issues.major, issues.minor) if count is not None]
    assert all(count >= 0 for count in known)
    if issues.found is not None:
        assert issues.found == sum(known)
