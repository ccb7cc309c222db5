from __future__ import annotations

from typing import Any

import orjson
import pytest

from detektor_pipelines.ingest.reports.codex_review import read_codex_review


def report(*priorities: Any, judgement: Any = "patch is incorrect", **more: Any) -> dict[str, Any]:
    findings = [{"title": f"No {number}", "body": "b", "priority": priority} for number, priority in enumerate(priorities)]
    return {"findings": findings, "overall_correctness": judgement} | more


def test_priorities_are_severities() -> None:
    read = read_codex_review(report(0, 1, 1, 2, 3))
    assert read is not None
    assert read.issues.known == {"issues_found": 5, "issues_critical": 1, "issues_major": 2, "issues_minor": 2}
    assert (read.verdict, read.evidence, read.round) == ("rejected", "patch is incorrect", None)


def test_no_findings_are_none_of_each() -> None:
    read = read_codex_review(report(judgement="Patch is  correct."))
    assert read is not None
    assert (read.verdict, set(read.issues.known.values()), len(read.issues.known)) == ("approved", {0}, 4)


@pytest.mark.parametrize(
    ("finding", "major"), [({"title": "[P1] x"}, 1), ({"title": "x"}, None), ({"title": "x", "priority": 9}, None), ("odd", None)]
)
def test_without_a_priority_its_title_may_say_it(finding: Any, major: int | None) -> None:
    read = read_codex_review({"findings": [finding], "overall_correctness": "unsure"})
    assert read is not None
    assert (read.verdict, read.issues.found, read.issues.major) == (None, 1, major)


def test_its_text_is_read_with_or_without_a_fence() -> None:
    text = orjson.dumps(report(1)).decode()
    assert read_codex_review(text) == read_codex_review(f"```json\n{text}\n```") == read_codex_review(report(1))


@pytest.mark.parametrize("other", [None, "", "LGTM", "{", '{"findings": [', "[]", {"findings": 3}, report(1, judgement=None), {"a": 1}])
def test_anything_else_is_none(other: Any) -> None:
    assert read_codex_review(other) is None
