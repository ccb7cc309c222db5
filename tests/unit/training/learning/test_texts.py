"""A model learns from numbers and instants; texts of a training set are left out, and a set of nothing else is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from support.rule_views import view_of

from detektor_pipelines.errors import UserError
from detektor_pipelines.language import count, days, event, last, last_k
from detektor_pipelines.training.learning.inputs import examples

VIEW = view_of(calls=(count(), days(1)), tool=(last(event.tool_name), days(1)), tools=(last_k(event.tool_name, 3), days(1)))


def training_set(*names: str) -> Any:
    at = pa.array([datetime(2026, 3, 5, tzinfo=UTC)], pa.timestamp("us", tz="UTC"))
    columns = {"calls": pa.array([3], pa.int64()), "tool": pa.array(["Bash"]), "tools": pa.array(['["Bash"]'])}
    table = {"agent_id": [VIEW.agent], "decided_at": at, "label_known_at": at, "label": [True], **{name: columns[name] for name in names}}
    return SimpleNamespace(table=pa.table(table), references=tuple(f"{VIEW.name}:{name}" for name in names), label_name="rejected")


def test_texts_are_no_inputs() -> None:
    found = examples(training_set("tool", "calls", "tools"), [VIEW])
    assert [each["column"] for each in found.inputs] == ["calls"]
    assert found.matrix.tolist() == [[3.0]]


def test_nothing_but_texts_is_refused() -> None:
    with pytest.raises(UserError, match="texts and lists only"):
        examples(training_set("tool", "tools"), [VIEW])
