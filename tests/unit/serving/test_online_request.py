from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detektor_pipelines import clock
from detektor_pipelines.catalog import VIEWS, labels_of, view_named
from detektor_pipelines.compile.feast import SERVICES
from detektor_pipelines.serving import online_request, requested
from detektor_pipelines.serving.online_request import (
    ServiceNeededError,
    VersionsNeededError,
    answer,
    check_others,
    parse,
)
from detektor_pipelines.serving.requested import Pin, Version
from detektor_pipelines.stores.online.packing import Layout
from detektor_pipelines.stores.online.values import OnlineRow, StoredView, keys_of, stored_view
from detektor_pipelines.web.problems import TITLES, ProblemError

VIEW = view_named("code_review_features")
COUNT, AVERAGE, REJECTED = (f"{VIEW.name}:{name}" for name in ("recent_reviews_count", "avg_issues_per_review", "last_rejection_at"))
DEPLOYED = "deployment_features:deployment_success_rate"
NOW = 1_772_712_000_000_000  # 2026-03-05 12:00 UTC


@pytest.fixture(autouse=True)
def at_noon(isolated_environment: object, monkeypatch: pytest.MonkeyPatch) -> None:
    del isolated_environment
    monkeypatch.setenv(clock.VARIABLE, "2026-03-05T12:00:00Z")


def body(*features: str, agents: Any = ("code-reviewer",), **more: Any) -> bytes:
    return json.dumps({"features": features, "entities": {"agent_id": agents}} | more).encode()


def row(agent_id: str = "code-reviewer", **values: float | None) -> OnlineRow:
    known = {each.name: values.get(each.name) for each in VIEW.features}
    return OnlineRow(agent_id, NOW - 5_000_000, NOW, NOW - 3_600_000_001, "1:1:", known, NOW - 2_000_000)


def refusal(content: bytes, limit: int = 10) -> ProblemError:
    with pytest.raises(ProblemError) as found:
        parse(content, limit)
    assert json.loads(found.value.body())["detail"]
    return found.value


def test_views_are_one_round_trip_and_grouped() -> None:
    request = parse(body(COUNT, DEPLOYED, AVERAGE, agents=["code-reviewer", "nobody"]), 10)
    assert [(part.view.name, part.features) for part in request.parts] == [
        (VIEW.name, ("recent_reviews_count", "avg_issues_per_review")),
        ("deployment_features", ("deployment_success_rate",)),
    ]
    assert len(keys_of(request.lookups("detektor"))) == 2 * (2 + 1)


def test_why_is_answered_when_asked_for_only() -> None:
    found = replace(row(recent_reviews_count=4), epoch=2, writer="stream host-7")
    asked = parse(body(COUNT, agents=["code-reviewer", "nobody"], why=True), 10)
    content, _ = answer(asked, [[found, None]], [[b"3,1772712000000000,batch a, b", None]])
    assert json.loads(content)["metadata"]["why"] == {
        VIEW.name: [
            {
                "true_up_to": "2026-03-05T11:59:58Z",
                "as_of": "2026-03-05T11:59:55Z",
                "event_timestamp": "2026-03-05T10:59:59.999999Z",
                "created_at": "2026-03-05T12:00:00Z",
                "snapshot": "1:1:",
                "epoch": 2,
                "writer": "stream host-7",
                "refused": {"count": 3, "last": "2026-03-05T12:00:00Z", "writer": "batch a, b"},
            },
            None,
        ]
    }
    assert "why" not in json.loads(answer(parse(body(COUNT), 10), [[found]])[0])["metadata"]
    assert json.loads(answer(asked, [[found, None]])[0])["metadata"]["why"][VIEW.name][0]["refused"] is None
    assert refusal(body(COUNT, why="yes")).status == 422


def test_an_answer_is_feasts() -> None:
    request = parse(body(COUNT, AVERAGE, REJECTED, agents=["code-reviewer", "nobody"]), 10)
    found = row(recent_reviews_count=4, last_rejection_at=NOW - 1_500_000)
    content, age = answer(request, [[found, None]])
    assert age == 2.0
    assert json.loads(content) == {
        "metadata": {
            "feature_names": ["agent_id", "recent_reviews_count", "avg_issues_per_review", "last_rejection_at"],
            "value_age_seconds": {VIEW.name: [2.0, None]},
        },
        "results": [
            {
                "values": ["code-reviewer", "nobody"],
                "statuses": ["PRESENT", "PRESENT"],
                "event_timestamps": ["1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"],
            },
            *(
                {
                    "values": [value, None],
                    "statuses": [status, "NOT_FOUND"],
                    "event_timestamps": ["2026-03-05T10:59:59.999999Z", "1970-01-01T00:00:00Z"],
                }
                for value, status in ((4, "PRESENT"), (None, "NULL_VALUE"), (NOW // 1_000_000 - 2, "PRESENT"))
            ),
        ],
    }


def test_a_float_stays_one() -> None:
    """Feast's client takes the type from the JSON."""
    content, _ = answer(parse(body(AVERAGE), 10), [[row(avg_issues_per_review=2.0)]])
    assert b'"values":[2.0]' in content


def test_a_value_that_is_too_old_says_so() -> None:
    old = replace(row(recent_reviews_count=4), status="OUTSIDE_MAX_AGE")
    content, _ = answer(parse(body(COUNT), 10), [[old]])
    assert json.loads(content)["results"][1] | {"event_timestamps": 0} == {
        "values": [4],
        "statuses": ["OUTSIDE_MAX_AGE"],
        "event_timestamps": 0,
    }


def test_nothing_found_has_no_age() -> None:
    assert answer(parse(body(COUNT), 10), [[None]])[1] is None


def test_full_names_and_versions() -> None:
    content, current = body(COUNT, full_feature_names=True, include_feature_view_version_metadata=True), Pin(VIEW.name, None)
    with pytest.raises(VersionsNeededError) as needed:
        parse(content, 10)
    assert needed.value.pins == (current,)
    for number, said in ((3, {"name": VIEW.name, "version": 3}), (None, {"name": VIEW.name})):
        request = parse(content, 10, {current: Version(stored_view(VIEW), number)})
        metadata = json.loads(answer(request, [[None]])[0])["metadata"]
        assert metadata["feature_names"] == ["agent_id", f"{VIEW.name}__recent_reviews_count"]
        assert metadata["feature_view_metadata"] == [said]


def test_a_version_beside_the_current_one() -> None:
    content = body(COUNT, f"{VIEW.name}@v2:old_at", f"{VIEW.name}@V2:recent_reviews_count", full_feature_names=True)
    with pytest.raises(VersionsNeededError) as needed:
        parse(content, 10)
    (pin,) = needed.value.pins
    assert pin == (VIEW.name, 2)
    old = StoredView(VIEW.name, "0" * 12, Layout.of([("old_at", "instant"), ("recent_reviews_count", "int64")]), None)
    request = parse(content, 10, {pin: Version(old, 2)})
    assert request.pinned
    assert [each.view.hash for each in request.lookups("detektor")] == [stored_view(VIEW).hash, old.hash]
    found = OnlineRow("code-reviewer", NOW, NOW, NOW, None, {"old_at": NOW, "recent_reviews_count": 7})
    content, _ = answer(request, [[row(recent_reviews_count=4)], [found]])
    said = json.loads(content)
    names = [f"{VIEW.name}__recent_reviews_count", f"{VIEW.name}@v2__old_at", f"{VIEW.name}@v2__recent_reviews_count"]
    assert said["metadata"]["feature_names"] == ["agent_id", *names]
    assert [each["values"] for each in said["results"][1:]] == [[4], [NOW // 1_000_000], [7]]
    assert list(said["metadata"]["value_age_seconds"]) == [VIEW.name, f"{VIEW.name}@v2"]
    current = parse(body(f"{VIEW.name}@v2:recent_reviews_count"), 10, {pin: Version(stored_view(VIEW), 2)})
    assert not current.pinned, "the number may be that of the current version"


def test_the_current_version_by_its_name() -> None:
    assert parse(body(f"{VIEW.name}@latest:recent_reviews_count"), 10).parts == parse(body(COUNT), 10).parts


def test_another_agents_features_are_of_the_same_project() -> None:
    asked = ["code-reviewer@shop", "code-reviewer", "detektor-coder@shop", "nobody@shop"]
    request = parse(body(COUNT, "coding_features:rework_rate", agents=asked), 10)
    own, coder = request.lookups("detektor")
    assert own.agent_ids == ["code-reviewer@shop", "code-reviewer", "code-reviewer@shop", "nobody@shop"]
    assert coder.agent_ids == ["detektor-coder@shop", "detektor-coder", "detektor-coder@shop", "nobody@shop"]
    metadata = json.loads(answer(request, [[None] * 4, [None] * 4])[0])["metadata"]
    assert metadata["rows_of"] == {VIEW.name: own.agent_ids, "coding_features": coder.agent_ids}


def test_the_row_over_all_projects_whatever_is_asked_about() -> None:
    asked = ["code-reviewer@shop", "code-reviewer"]
    request = parse(body(COUNT, f"{VIEW.name}@all:recent_reviews_count", "coding_features@all", agents=asked, full_feature_names=True), 10)
    assert [each.agent_ids for each in request.lookups("detektor")] == [asked, ["code-reviewer"] * 2, ["detektor-coder"] * 2]
    content, _ = answer(request, [[None] * 2, [row(recent_reviews_count=9)] * 2, [None] * 2])
    metadata = json.loads(content)["metadata"]
    coding = [f"coding_features@all__{each.name}" for each in view_named("coding_features").features]
    assert metadata["feature_names"][1:3] == [f"{VIEW.name}__recent_reviews_count", f"{VIEW.name}@all__recent_reviews_count"]
    assert metadata["feature_names"][3:] == coding
    assert metadata["rows_of"].keys() == {f"{VIEW.name}@all", "coding_features@all"}


def test_ones_own_features_are_read_as_before() -> None:
    request = parse(body(COUNT, agents=["code-reviewer@shop", "code-reviewer", "nobody"]), 10)
    assert request.of_others() == []
    assert request.lookups("detektor")[0].agent_ids is request.agent_ids
    assert "rows_of" not in json.loads(answer(request, [[None] * 3])[0])["metadata"]


def test_no_agents_name_begins_with_anothers() -> None:
    """The quick way to see that one's own features are asked for rests on it."""
    names = [view.agent for view in VIEWS]
    assert [(one, other) for one in names for other in names if one != other and other.startswith(one)] == []


def test_a_whole_view_is_each_of_its_features_once() -> None:
    names = [each.name for each in VIEW.features]
    assert parse(body(VIEW.name), 10).parts[0].features == tuple(names)
    (part,) = parse(body(AVERAGE, VIEW.name), 10).parts
    assert part.features[0] == "avg_issues_per_review"
    assert sorted(part.features) == sorted(names)


def test_what_can_only_be_null_is_refused_and_says_why() -> None:
    request = parse(body(COUNT, "coding_features:rework_rate", agents=["code-reviewer@shop"]), 10)
    with pytest.raises(ProblemError) as found:
        check_others(request, [[row()], [None]])
    assert found.value.status == 422
    assert found.value.detail.startswith("coding_features can only be null here")
    assert "detektor-coder@shop" in found.value.detail
    assert "coding_features@all" in found.value.detail
    check_others(request, [[None], [row()]])  # one's own row that is not there is NOT_FOUND
    roll_up = parse(body("coding_features@all:rework_rate", agents=["code-reviewer@shop"]), 10)
    with pytest.raises(ProblemError, match="can only be null"):
        check_others(roll_up, [[None]])
    two = parse(body("coding_features:rework_rate", agents=["code-reviewer@shop", "code-reviewer@bank"]), 10)
    check_others(two, [[None, row()]])  # it can be something
    strangers = parse(body("coding_features:rework_rate", agents=["nobody@shop", "detektor-coder@new"]), 10)
    check_others(strangers, [[None, None]])


def test_a_service_of_the_definitions_is_its_agents_view() -> None:
    content = json.dumps({"feature_service": "code_reviewer_rejected", "entities": {"agent_id": ["code-reviewer"]}}).encode()
    assert parse(content, 10).parts == parse(body(VIEW.name), 10).parts
    assert {name for name in SERVICES if name.startswith("code_reviewer_")} == {
        f"code_reviewer_{label.name}" for label in labels_of("code-reviewer")
    }


def test_another_service_must_be_known_first() -> None:
    content = json.dumps({"features": [], "feature_service": "mine", "entities": {"agent_id": ["code-reviewer"]}}).encode()
    with pytest.raises(ServiceNeededError) as needed:
        parse(content, 10)
    assert needed.value.name == "mine"
    assert parse(content, 10, services={"mine": (AVERAGE, COUNT)}).parts == parse(body(AVERAGE, COUNT), 10).parts
    with pytest.raises(ProblemError, match="no feature view"):
        parse(content, 10, services={"mine": ("trips:rating",)})


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (b"", 400, "not JSON"),
        (b"{", 400, "not JSON"),
        (b'"\xff"', 400, "not JSON"),
        (b"[]", 400, "not a JSON object"),
        (b"{}", 422, "No agent"),
        (b'{"entities": []}', 422, "No agent"),
        (body(COUNT, agents=[]), 422, "No agent"),
        (body(COUNT, agents="code-reviewer"), 422, "No agent"),
        (body(COUNT, agents=["a", 5]), 422, "not a text"),
        (body(COUNT, agents=[None]), 422, "not a text"),
        (body(COUNT, agents=["a"] * 11), 413, "11 agents"),
        (body(), 422, "No features"),
        (body(features=COUNT), 422, "No features"),
        (body(features=[1]), 422, "No features"),
        (body("recent_reviews_count"), 422, "names no feature view"),
        (body("nope:recent_reviews_count"), 404, "no feature view"),
        (body(f"{VIEW.name}:nope"), 422, "no feature 'nope'"),
        (body(f"{VIEW.name}@two:recent_reviews_count"), 422, "neither all nor a version"),
        (body(f"{VIEW.name}@v1234567890:recent_reviews_count"), 422, "neither all nor a version"),
        (body("nope@v1:recent_reviews_count"), 404, "no feature view"),
        (body(COUNT, full_feature_names="yes"), 422, "neither true nor false"),
        (body(COUNT, include_feature_view_version_metadata=None), 422, "neither true nor false"),
        (body(f"{VIEW.name}@shop:recent_reviews_count"), 422, "neither all nor a version"),
        (body(f"{VIEW.name}@all@v1:recent_reviews_count"), 422, "neither all nor a version"),
        (body(f"{VIEW.name}:"), 422, "names no feature view"),
        (body("code-reviewer:recent_reviews_count"), 422, "names a view, not an agent"),
        (body("code-reviewer"), 422, "names a view, not an agent"),
        (body("code-reviewer/recent_reviews_count"), 422, "no feature reference"),
        (body("code_review_features/recent_reviews_count"), 422, "no feature reference"),
        (body(COUNT, f"{VIEW.name}@all:recent_reviews_count"), 422, "one name"),
        (body(COUNT, f"{VIEW.name}@all:max_review_round"), 422, "two rows of one view"),
        (body(VIEW.name, VIEW.name), 422, "one name"),
        (body(feature_service=5), 422, "is named by a text"),
        (body(COUNT, feature_service={}), 422, "is named by a text"),
        (body(COUNT, feature_service="code_reviewer_rejected"), 422, "Features and a feature service"),
        (body(COUNT, COUNT), 422, "one name"),
    ],
)
def test_what_cannot_be_answered(content: bytes, status: int, words: str) -> None:
    problem = refusal(content)
    assert (problem.status, problem.title, words in problem.detail) == (status, TITLES[status], True), problem.detail


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(), lambda each: st.lists(each, max_size=3)
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "features": st.lists(
                st.sampled_from(
                    [
                        COUNT,
                        DEPLOYED,
                        VIEW.name,
                        f"{VIEW.name}@all",
                        "coding_features@all:rework_rate",
                        "a:b",
                        ":",
                        "@:x",
                        f"{VIEW.name}@v2:x",
                    ]
                )
                | st.text(),
                max_size=4,
            )
            | _json,
            "entities": st.dictionaries(st.sampled_from(["agent_id", "other"]), st.lists(st.text() | _json, max_size=12) | _json),
            "full_feature_names": _json,
            "feature_service": _json,
        },
    )
)
def test_any_json_is_answered_or_refused_in_words(content: dict[str, Any]) -> None:
    problem = None
    try:
        request = parse(json.dumps(content).encode(), 10)
    except ProblemError as error:
        problem = error
    except (VersionsNeededError, ServiceNeededError):
        return
    if problem is not None:
        assert problem.status in {400, 404, 413, 422}
        assert json.loads(problem.body())["status"] == problem.status
    else:
        assert request.parts
        assert {part.view.name for part in request.parts} <= {view.name for view in VIEWS}


def test_what_a_request_may_cost_is_known_before_it_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(online_request, "_plan", lambda *_: pytest.fail("the features were looked at"))
    many = refusal(body(*[COUNT] * 32_000))
    assert (many.status, "32,000" in many.detail, len(many.detail) < 200) == (413, True, True)
    with pytest.raises(ProblemError, match="1,001 features"):
        parse(json.dumps({"feature_service": "wide", "entities": {"agent_id": ["a"]}}).encode(), 10, {}, {"wide": (COUNT,) * 1_001})


def test_an_answer_of_too_many_values_is_refused_before_anything_is_read() -> None:
    every = [view.name for view in VIEWS for _ in (1,)]
    features = sum(len(view.features) for view in VIEWS)
    agents = ["nobody"] * (online_request.VALUES_LIMIT // features + 1)
    found = refusal(body(*every, agents=agents, full_feature_names=True), len(agents))
    assert (found.status, "values" in found.detail) == (413, True)
    assert parse(body(*every, agents=agents[1:], full_feature_names=True), len(agents))


def test_names_are_counted_once_however_many_there_are() -> None:
    """Each is looked at a fixed number of times: a text that counts says so."""

    class Counting(str):
        __slots__ = ()
        looks = 0

        def __eq__(self, other: object) -> bool:
            type(self).looks += 1
            return str(self) == str(other)

        __hash__ = str.__hash__

    names = [Counting(f"a{number % 400}") for number in range(800)]
    with pytest.raises(ProblemError, match="one name"):
        requested._check_names(list(names))
    assert Counting.looks <= 10 * len(names)


def test_depth_of_nesting_is_bounded() -> None:
    for depth in (2_000, 200_000):
        assert refusal(b"[" * depth + b"]" * depth).status == 400
