"""A text and a list have no bins: their drift is not watched, that of the other features of their view is."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
from support.engine_cases import ORIGIN
from support.rule_views import view_of

from detektor_pipelines.language import count, days, event, last, last_k
from detektor_pipelines.language.windows import DAY, HOUR
from detektor_pipelines.quality.drift.judgement import judge
from detektor_pipelines.quality.drift.samples import sampled, watched

VIEW = view_of(calls=(count(), days(1)), tool=(last(event.tool_name), days(1)), tools=(last_k(event.tool_name, 3), days(1)))


def test_numbers_beside_texts_are_watched() -> None:
    stamps = pa.array([ORIGIN + HOUR], pa.int64()).cast(pa.timestamp("us", tz="UTC"))
    rows = pa.table({"agent_id": [VIEW.agent], "event_timestamp": stamps, "calls": pa.array([3], pa.int64())})
    sample = sampled(VIEW, rows, ORIGIN, ORIGIN + DAY)
    assert [each.name for each in watched(VIEW)] == list(sample.values) == ["calls"]
    assert judge(VIEW, 1, [VIEW.agent], {}, sample, date(2024, 10, 5)) == []
