"""The YAML cases of features: what they compare, and what each mistake in a file is answered with."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from support.rule_views import view_of

from detektor_pipelines.catalog import view_named
from detektor_pipelines.engine.cases import CaseResult, run_case, run_file
from detektor_pipelines.errors import UserError
from detektor_pipelines.language import days, event, first, last_k

REPOSITORY = Path(__file__).parents[3]
EVENT = "{at: 2026-03-05 10:00, operation: review, issues_found: 3}"
EXPECTATION = "{at: 2026-03-05 11:00, values: {recent_reviews_count: 1}}"


def written(tmp_path: Path, *, event: str = EVENT, expect: str = EXPECTATION, view: str = "code_review_features", more: str = "") -> Path:
    path = tmp_path / "cases.yaml"
    path.write_text(f"view: {view}\ncases:\n  - name: one\n    events: [{event}]\n    expect: [{expect}]\n{more}", encoding="utf-8")
    return path


def only(path: Path) -> CaseResult:
    (result,) = run_file(path)
    return result


def mistake(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        list(run_file(path))
    assert str(path) in str(caught.value)
    assert "docs/feature-tests.md" in str(caught.value)
    return str(caught.value)


def test_a_match_is_counted(tmp_path: Path) -> None:
    result = only(written(tmp_path))

    assert (result.view, result.name, result.checked, result.mismatches) == ("code_review_features", "one", 1, ())


def test_a_mismatch_says_where_and_what(tmp_path: Path) -> None:
    expect = "{at: 2026-03-05 11:00, values: {recent_reviews_count: 2, last_rejection_at: 2026-03-05 10:00, rejection_rate: 0.5}}"
    result = only(written(tmp_path, expect=expect))

    assert result.checked == 3
    assert [(each.at, each.agent_id, each.feature, each.expected, each.found) for each in result.mismatches] == [
        ("2026-03-05T11:00:00+00:00", "code-reviewer", "recent_reviews_count", 2, 1),
        ("2026-03-05T11:00:00+00:00", "code-reviewer", "last_rejection_at", "2026-03-05T10:00:00+00:00", None),
        ("2026-03-05T11:00:00+00:00", "code-reviewer", "rejection_rate", 0.5, None),
    ]


def test_before_the_first_row_all_is_null(tmp_path: Path) -> None:
    assert not only(written(tmp_path, expect="{at: 2026-03-05 09:00, values: {recent_reviews_count: null}}")).mismatches
    assert only(written(tmp_path, expect="{at: 2026-03-05 09:00, values: {recent_reviews_count: 0}}")).mismatches


def test_without_events_all_is_null(tmp_path: Path) -> None:
    assert not only(written(tmp_path, event="", expect="{at: 2026-03-05 09:00, values: {recent_reviews_count: null}}")).mismatches


def test_instants_may_be_written_any_way_and_nulls_stand_for_absent_values(tmp_path: Path) -> None:
    event = '{at: 2026-03-05T12:00:00+02:00, operation: review, verdict: rejected, project: null, issues_found: null, event_id: "7"}'
    expect = '{at: "2026-03-05T11:00:00Z", values: {last_rejection_at: 2026-03-05T10:00:00Z, avg_issues_per_review: null}}'

    assert not only(written(tmp_path, event=event, expect=expect)).mismatches


def test_events_of_one_instant_are_in_the_order_of_their_event_id() -> None:
    view = view_named("content_features")
    events = [
        {"at": "2026-03-05 10:00", "operation": "feedback", "score_milli": 1, "event_id": "b"},
        {"at": "2026-03-05 10:00", "operation": "feedback", "score_milli": 2, "event_id": "a"},
    ]
    case = {"events": events, "expect": [{"at": "2026-03-05 10:00", "values": {"last_feedback_score_milli": 1}}]}

    assert not run_case(view, case, "here").mismatches


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ("{at: 2026-03-05 10:00, operation: review, issues: 3}", "unknown: issues; an event takes action, at, "),
        ("{at: 2026-03-05 10:00, operation: reviewing}", "operation 'reviewing' is not one of review, deploy"),
        ("{at: 2026-03-05 10:00}", "an event wants at and operation"),
        ("{operation: review}", "an event wants at and operation"),
        ("review", "an event wants at and operation"),
        ("{at: yesterday, operation: review}", "'yesterday' is not a timestamp"),
        ("{at: 2026-03-05 10:00, known_at: 5 pm, operation: review}", "'5 pm' is not a timestamp"),
        (
            "{at: 2026-03-05 10:00, operation: review, issues_found: 10001}",
            "10001 is not a value of review (whole numbers from 0 to 10000)",
        ),
        ("{at: 2026-03-05 10:00, operation: review, issues_found: -1}", "-1 is not a value of review (whole numbers from 0 to 10000)"),
        ("{at: 2026-03-05 10:00, operation: review, issues_found: many}", "'many' is not a value of review"),
        ("{at: 2026-03-05 10:00, operation: review, issues_found: 1.5}", "1.5 is not a value of review"),
        ("{at: 2026-03-05 10:00, operation: review, issues_found: true}", "True is not a value of review"),
        ("{at: 2026-03-05 10:00, operation: review, lead_time_ms: 5}", "lead_time_ms: 5 is not a value of review"),
        ("{at: 2026-03-05 10:00, operation: review, verdict: maybe}", "'maybe' is not a value of review (approved, rejected)"),
        ("{at: 2026-03-05 10:00, operation: review, verdict: no}", "verdict: False is not a value of review"),
        ("{at: 2026-03-05 10:00, operation: review, tool_name: Read}", "tool_name: 'Read' is not a value of review"),
        ("{at: 2026-03-05 10:00, operation: review, project: 7}", "project: 7 is not text; put it in quotes"),
    ],
)
def test_a_wrong_event_is_named(tmp_path: Path, event: str, said: str) -> None:
    text = mistake(written(tmp_path, event=f"{EVENT}, {event}"))

    assert said in text
    assert "case 1, event 2" in text


@pytest.mark.parametrize(
    ("expect", "said"),
    [
        ("{at: 2026-03-05 11:00, values: {reviews: 1}}", "has no feature 'reviews'; it has recent_reviews_count, "),
        ("{at: 2026-03-05 11:00}", "an expectation wants at and values"),
        ("{at: 2026-03-05 11:00, values: {}}", "an expectation wants at and values"),
        ("{values: {recent_reviews_count: 1}}", "an expectation wants at and values"),
        ("{at: noon, values: {recent_reviews_count: 1}}", "'noon' is not a timestamp"),
        (
            "{at: 2026-03-05 11:00, know_at: 2026-03-05, values: {recent_reviews_count: 1}}",
            "unknown: know_at; an expectation takes agent_id",
        ),
        (
            "{at: 2026-03-05 11:00, agent_id: debugger, values: {recent_reviews_count: 1}}",
            "is neither code-reviewer nor code-reviewer@PROJECT",
        ),
        ("{at: 2026-03-05 11:00, values: {last_rejection_at: soon}}", "'soon' is not a timestamp"),
    ],
)
def test_a_wrong_expectation_is_named(tmp_path: Path, expect: str, said: str) -> None:
    assert said in mistake(written(tmp_path, expect=expect))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("view: code_review_features\ncases:\n  - name: torn\n    events: [{at: 2026", "cannot be read"),
        ("view: code_review_features\ncases: [{events: [{at: 2026-13-45, operation: review}], expect: []}]", "cannot be read"),
        ("nothing of the kind", "it wants the keys view and cases"),
        ("", "it wants the keys view and cases"),
        ("view: code_review_features\ncases: 5", "it wants the keys view and cases"),
        ("view: reviews\ncases: []", "there is no feature view 'reviews'; there are code_review_features, "),
        ("view: code_review_features\ncases: [one]", "a case wants the lists events and expect"),
        ("view: code_review_features\ncases: [{events: []}]", "a case wants the lists events and expect"),
        ("view: code_review_features\ncases: [{events: 5, expect: []}]", "a case wants the lists events and expect"),
        (
            "view: code_review_features\ncases: [{events: [], expected: [], expect: []}]",
            "unknown: expected; a case takes events, expect, name",
        ),
    ],
)
def test_a_file_that_is_no_such_yaml_is_named(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "cases.yaml"
    path.write_text(content, encoding="utf-8")

    assert said in mistake(path)


def test_a_file_that_is_no_text_or_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cases.yaml"
    assert "cannot be read" in mistake(path)
    path.write_bytes(b"view: \xff\xfe\x00")
    assert "cannot be read" in mistake(path)


def test_the_documentation_shows_cases_that_hold(tmp_path: Path) -> None:
    text = (REPOSITORY / "docs/feature-tests.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)
    assert blocks
    for number, block in enumerate(blocks):
        path = tmp_path / f"{number}.yaml"
        path.write_text(block, encoding="utf-8")
        for result in run_file(path):
            assert result.checked
            assert not result.mismatches


def test_the_module_shows_cases_that_hold() -> None:
    import detektor_pipelines.engine.cases as module

    block = re.search(r"\n\n( {4}view:.*?)\n\n\S", module.__doc__ or "", flags=re.DOTALL)
    assert block
    content = yaml.safe_load(re.sub(r"^ {4}", "", block[1], flags=re.MULTILINE))
    for case in content["cases"]:
        assert not run_case(view_named(content["view"]), case, case["name"]).mismatches


def test_texts_are_compared_and_a_list_is_written_as_one() -> None:
    view = view_of(verdict=(first(event.verdict), days(1)), issues=(last_k(event.issues_found, 3), days(1)))
    events = [
        {"at": "2026-03-05 10:00", "operation": "review", "issues_found": 3, "verdict": "approved"},
        {"at": "2026-03-05 10:10", "operation": "review", "issues_found": 0},
    ]
    values = {"verdict": "approved", "issues": [0, 3]}
    right = run_case(view, {"events": events, "expect": [{"at": "2026-03-05 11:00", "values": values}]}, "here")
    wrong = run_case(view, {"events": events, "expect": [{"at": "2026-03-05 11:00", "values": {**values, "issues": [3, 0]}}]}, "here")
    assert (right.checked, right.mismatches) == (2, ())
    assert [(each.feature, each.expected, each.found) for each in wrong.mismatches] == [("issues", "[3,0]", "[0,3]")]
