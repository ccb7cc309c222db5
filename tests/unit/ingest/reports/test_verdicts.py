from __future__ import annotations

from typing import Any

import pytest

from detektor_pipelines.ingest.reports.verdicts import read_review


@pytest.mark.parametrize(
    "report",
    [
        "**Verdict: APPROVE**",
        "## Verdict: Approved with suggestions",
        "### Final Verdict\n\n**Approved, minor things only.**",
        "Verdict: **LGTM**",
        "## Verdict\n\nReady to merge. Nice.",
        "**Verdict:** PASS - matches the specification",
        "- **Verdict**: PASS",
        "## Review Result: **PASS**",
        "**Status: ✅ SPEC COMPLIANT**",
        "### Final Assessment\n\n**APPROVED** - no issue blocks the merge",
        "**Recommendation: APPROVE** - safe to merge",
        "Here is the verdict:\n\n**✅ APPROVAL**",
        "**Ready to merge?** Yes",
        "Overall assessment: Approve",
        "**Status:** COMPLIANT\n\n**Status:** COMPLIANT\n\n**Verdict: SPEC COMPLIANT**",
    ],
)
def test_approvals(report: str) -> None:
    assert read_review(report).verdict == "approved"


@pytest.mark.parametrize(
    "report",
    [
        "**Verdict: REQUEST CHANGES** -- the lock is never released",
        "### Verdict: Changes requested",
        "**Report: REQUEST CHANGES**",
        "## Summary\n\n**Current Status:** NOT PRODUCTION-READY",
        "Verdict: FAIL",
        "## Final Verdict\n\nReject: it loses data.",
        "**Verdict:** Needs work",
        "**Decision:** Do not merge",
        "**Ready to merge?** No, the tests fail",
        "### Critical Issue (blocks merge)\n\nIt loses data.",
        "Assessment: PASS\n\n## Verdict\n\n**REQUEST CHANGES**",
    ],
)
def test_rejections(report: str) -> None:
    assert read_review(report).verdict == "rejected"


@pytest.mark.parametrize(
    "report",
    [
        "",
        "The code looks great, I would merge it.",
        "**Verdict:** The permissions are appropriate.",
        "**Verdict:** APPROVE once the leak is fixed",
        "**Verdict:** Approve if CI is green",
        "Overall assessment: APPROVE / REQUEST CHANGES / NEEDS DISCUSSION",
        "**Verdict: NEEDS DISCUSSION**",
        "**Verdict: APPROVE**\n\nOn the other part:\n\n**Verdict: REQUEST CHANGES**",
        "**Status:** PASS",
        "| Lint | PASS |\n| Tests | FAIL |",
        "**Ready to merge?** With fixes",
        "```\nVerdict: APPROVE\n```",
        "Recommended action: Proceed with simplifications",
        "**Recommendation:** Not needed now.",
        "I found **two critical issues** that should be addressed before merge.",
        "- the handler approves requests\n- a request is rejected without a token",
        "**Blocking calls** are made in the loop.",
        "The rejected events are kept.",
    ],
)
def test_what_is_no_verdict_is_null_never_guessed(report: str) -> None:
    assert read_review(report).verdict is None


def test_the_evidence_is_the_verdicts_line_masked_and_short() -> None:
    review = read_review(f"**Verdict: APPROVE** ask ada@example.org about token=abcdef0123456789abcdef {'x ' * 200}")
    assert review.evidence is not None
    assert review.evidence.startswith("**Verdict: APPROVE** ask <email> about token=<secret>")
    assert len(review.evidence) == 200


def test_without_a_verdict_the_counts_line_is_the_evidence_and_without_both_there_is_none() -> None:
    assert read_review("### Critical Issues (2)\n\n1. a\n2. b").evidence == "### Critical Issues (2)"
    assert read_review("All fine I think.").evidence is None


@pytest.mark.parametrize(
    ("report", "expected"),
    [("written to docs/review-02.md", 2), ("review-01.md is addressed, see review-02.md", 2), ("nothing", None), ("review-00.md", None)],
)
def test_the_round_is_the_newest_number_in_the_reports_own_file_names(report: str, expected: Any) -> None:
    assert read_review(report).round == expected
