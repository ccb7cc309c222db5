"""Values in Redis, bent: a value is read, or said to be damaged; the feature server answers whatever stands there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples
from support.mangled import bent, not_for_ever, written

from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.clock import now_us
from detektor_pipelines.serving.online_request import VersionsNeededError, answer, parse
from detektor_pipelines.stores.online.packing import CorruptValueError, Layout, Unpacked, pack, seal, tail, unpack, unseal, writer_of
from detektor_pipelines.stores.online.values import instants_of, rows_of
from detektor_pipelines.web.problems import ProblemError

if TYPE_CHECKING:
    from detektor_pipelines.language.views import FeatureView

NOW: Final = now_us()
TEXTS: Final = Layout.of((("a", "text"), ("b", "int64"), ("c", "text"), ("d", "float64"), ("e", "instant")))


def packed(view: FeatureView) -> bytes:
    values = {each.name: 1 for each in view.features if each.value_type != "text"}
    return pack(Layout.of_view(view), Unpacked(NOW, NOW, NOW, "7:9:8", values, 2, "stream host-1"))


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """Draw a value with bytes changed, cut, or with more behind it."""
    value = bytearray(whole)
    for _ in range(draw(st.integers(0, 4))):
        where = draw(st.integers(0, len(value) - 1) | st.integers(0, 28))
        value[where : where + draw(st.sampled_from((1, 1, 8)))] = draw(
            st.sampled_from((b"\x00", b"\xff" * 8, b"\x7f" + b"\xff" * 7, b"\n", b" "))
        )
    cut = draw(st.none() | st.integers(0, len(value)))
    return bytes(value[:cut]) + draw(st.sampled_from((b"", b"", b"/", b" ", b"9" * 5_000 + b"/1", b"x" * 100_000, b"\n\xff\xff\xff\xff")))


@settings(max_examples=examples(40))
@given(st.data())
def test_a_value_is_read_or_damaged(data: st.DataObject) -> None:
    row = Unpacked(NOW, NOW, NOW, "7:9:8", {"a": "ż", "b": 1, "c": None, "d": 0.5, "e": NOW}, 2, "stream host-1")
    layout, whole = data.draw(st.sampled_from([(TEXTS, pack(TEXTS, row)), *((Layout.of_view(view), packed(view)) for view in VIEWS)]))
    value = data.draw(damaged(whole))
    with not_for_ever():
        writer_of(value)
        for read in (lambda: unpack(layout, value), lambda: unseal(value), lambda: unseal(seal(1, 1, 1, value))):
            try:
                read()
            except CorruptValueError as error:
                assert str(error)  # noqa: PT017  any other would be the fault


@settings(max_examples=examples(40))
@given(st.data())
def test_the_feature_server_answers_whatever_stands_there(data: st.DataObject) -> None:
    view = data.draw(st.sampled_from(VIEWS))
    features = [f"{view.name}:{each.name}" for each in view.features]
    asked = parse(json.dumps({"features": features, "entities": {"agent_id": [view.agent, "nobody"]}, "why": True}).encode(), 10)
    instants = b",".join(data.draw(st.lists(st.sampled_from((b"", b"x", b"%d" % NOW, b"9" * 30, b"9" * 5_000, b"-1")), max_size=3)))
    found = [data.draw(st.none() | damaged(packed(view))) for _ in range(2)]
    with not_for_ever():
        content, _ = answer(asked, rows_of(asked.lookups("detektor"), [*found, instants]))
    assert len(json.loads(content)["results"]) == len(features) + 1


@settings(max_examples=examples(40))
@given(
    bent(
        {"features": ["code_review_features:recent_reviews_count"], "entities": {"agent_id": ["code-reviewer"]}, "full_feature_names": True}
    )
)
def test_a_request_is_parsed_or_refused(body: object) -> None:
    with not_for_ever():
        try:
            asked = parse(written(body), 10)
        except ProblemError as problem:
            assert json.loads(problem.body())["detail"]  # noqa: PT017  any other would be the fault
            return
        except VersionsNeededError:
            return
        answer(asked, [[None] * len(rows) for rows in asked.rows])


def test_damaged_instants_are_none() -> None:
    assert instants_of(b"9" * 5_000 + b"," + b"%d" % NOW) == {1: NOW}
    assert instants_of(b"9" * 30) == {}
    assert tail(None) == b""
