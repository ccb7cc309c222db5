"""An answer of which only what has changed is made again says what one made anew says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detektor_pipelines import clock
from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.serving import plans
from detektor_pipelines.serving.online_request import answer, check_others, parse
from detektor_pipelines.serving.plans import Plans
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.stores.online.packing import Unpacked, pack
from detektor_pipelines.web.problems import ProblemError

NOW = 1_772_712_000_000_000  # 2026-03-05 12:00 UTC
HOUR = 3_600_000_000
AGENTS = [f"{view.agent}{project}" for view in VIEWS[:3] for project in ("", "@shop", "@all")] + ["nobody", "somebody@shop"]


def body(features: list[str], agents: list[str], **more: Any) -> bytes:
    return json.dumps({"features": features, "entities": {"agent_id": agents}} | more).encode()


def packed(view: Any, number: int, as_of: int, *, snapshot: bool) -> bytes:
    """Return a value of a view; of several numbers several, some of them null."""
    values = {each.name: None if (number + place) % 3 == 0 else number + place for place, each in enumerate(view.features)}
    return pack(online.stored_view(view).layout, Unpacked(as_of, as_of, as_of - HOUR, "1:1:" if snapshot else None, values))


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return what the clock says, to be changed."""
    now = [NOW]
    monkeypatch.setattr(clock, "now_us", lambda: now[0])
    return now


_references = st.lists(
    st.tuples(st.sampled_from(VIEWS[:3]), st.integers(0, 11), st.sampled_from(["", "@all"])), min_size=1, max_size=5
).map(lambda some: list(dict.fromkeys(f"{view.name}{row}:{view.features[at % len(view.features)].name}" for view, at, row in some)))


@st.composite
def _stores(draw: st.DrawFn) -> dict[str, bytes]:
    """Return what Redis holds: values of some agents, old, new and broken ones, and marks of completeness."""
    held: dict[str, bytes] = {}
    for view in VIEWS[:3]:
        for agent in draw(st.lists(st.sampled_from(AGENTS), max_size=6, unique=True)):
            as_of = NOW - draw(st.sampled_from([-1, 0, 1, 30, 100])) * HOUR
            value = packed(view, draw(st.integers(0, 5)), as_of, snapshot=draw(st.booleans()))
            held[online.value_key("detektor", view, agent)] = draw(st.sampled_from([value, value, value, b"broken"]))
        if draw(st.booleans()):
            through = draw(st.lists(st.sampled_from([0, 1, NOW, NOW - 40 * HOUR]), min_size=8, max_size=8))
            held[online.valid_through_key("detektor", view)] = ",".join(map(str, through)).encode()
    return held


def anew(asked: bytes, held: dict[str, bytes]) -> tuple[bytes, float | None] | None:
    """Return the answer by the long way, None when it is a refusal."""
    request = parse(asked, 100)
    lookups = request.lookups("detektor")
    rows = online.rows_of(lookups, [held.get(key) for key in online.keys_of(lookups)])
    try:
        check_others(request, rows)
    except ProblemError:
        return None
    return answer(request, rows)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # each step sets the clock
@given(
    features=_references,
    agents=st.lists(st.sampled_from(AGENTS), min_size=1, max_size=6),
    stores=st.lists(_stores(), min_size=1, max_size=3),
    order=st.lists(st.tuples(st.integers(0, 2), st.sampled_from([0, 1, 2 * HOUR, 26 * HOUR, -HOUR])), min_size=1, max_size=6),
)
def test_it_is_the_answer_of_the_long_way(
    time: list[int], features: list[str], agents: list[str], stores: list[dict[str, bytes]], order: list[tuple[int, int]]
) -> None:
    """Again and again, with the same values and with others, now and later."""
    known, asked = Plans("detektor", 100), body(features, agents, full_feature_names=True)
    for number, later in order:
        time[0] = NOW + later
        held = stores[number % len(stores)]
        plan = known.of(asked)
        assert plan is not None
        assert len(set(plan.keys)) == len(plan.keys)
        found, expected = plan.answer([held.get(key.decode()) for key in plan.keys]), anew(asked, held)
        if found is None:  # it is left to the long way, which may say that they are nobody's rows
            assert expected is None or "rows_of" in json.loads(expected[0])["metadata"]
        else:
            assert found == expected


def test_a_value_grows_old_although_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    view = VIEWS[0]
    plan = Plans("detektor", 100).of(body([f"{view.name}:{view.features[0].name}"], [view.agent]))
    assert plan is not None
    held = [packed(view, 1, NOW, snapshot=False), None]
    told = []
    for hours in (0, 1, 1_000):
        monkeypatch.setattr(clock, "now_us", lambda hours=hours: NOW + hours * HOUR)
        content, age = plan.answer(held) or (b"", None)
        told.append((json.loads(content)["results"][1]["statuses"], age))
    assert told == [(["PRESENT"], 0.0), (["PRESENT"], 3_600.0), (["OUTSIDE_MAX_AGE"], 3_600_000.0)]


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "KEPT_VALUES", 1_000)
    view, known = VIEWS[0], Plans("detektor", 10_000)
    for number in range(200):
        assert known.of(body([view.name], [f"agent-{number}"])) is not None
    assert 10 < len(known) < 20
    first = known.of(body([view.name], ["agent-199"]))
    assert known.of(body([view.name], ["agent-199"])) is first, "the newest ones stay"


@pytest.mark.parametrize(
    "asked",
    [
        b"no JSON",
        body(["no_view:x"], ["a"]),
        body([f"{VIEWS[0].name}@v1:{VIEWS[0].features[0].name}"], ["a"]),
        body([VIEWS[0].name], ["a"], why=True),
        body([VIEWS[0].name], [f"agent-{number}" for number in range(1_000)]),
        json.dumps({"feature_service": "of_the_registry", "entities": {"agent_id": ["a"]}}).encode(),
    ],
    ids=["no JSON", "unknown view", "a version", "why", "large", "a service"],
)
def test_what_is_not_usual_goes_the_long_way(asked: bytes) -> None:
    assert Plans("detektor", 10_000).of(asked) is None
