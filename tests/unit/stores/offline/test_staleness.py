"""When a day was over: the instant that ends it is the last one it owns."""

from __future__ import annotations

from datetime import date

import pytest

from detektor_pipelines.clock import parse_instant
from detektor_pipelines.stores.offline.staleness import _was_over


@pytest.mark.parametrize(("instant", "over"), [("2026-05-01T23:59:59.999999Z", False), ("2026-05-02T00:00:00Z", True)])
def test_a_day_is_over_at_midnight(instant: str, over: bool) -> None:  # noqa: FBT001
    assert _was_over(date(2026, 5, 1), parse_instant(instant)) is over
