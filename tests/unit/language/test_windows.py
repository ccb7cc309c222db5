"""Windows: hops by size, and the instant at which an event leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detektor_pipelines.clock import parse_instant
from detektor_pipelines.language import DefinitionError, Window, days, hours, minutes
from detektor_pipelines.language.windows import DAY, HOUR, MINUTE, ceil_to, floor_to

if TYPE_CHECKING:
    from collections.abc import Callable

instants = st.integers(0, 2**53)
steps = st.sampled_from((5 * MINUTE, HOUR, DAY))
windows = st.one_of(
    st.integers(1, 143).map(lambda n: minutes(5 * n)),
    st.integers(12, 287).map(hours),
    st.integers(12, 400).map(days),
)


@pytest.mark.parametrize(
    ("window", "hop", "label"),
    [
        (minutes(5), 5 * MINUTE, "5m"),
        (minutes(45), 5 * MINUTE, "45m"),
        (hours(1), 5 * MINUTE, "1h"),
        (minutes(715), 5 * MINUTE, "715m"),
        (hours(12), HOUR, "12h"),
        (days(1), HOUR, "1d"),
        (hours(36), HOUR, "36h"),
        (hours(287), HOUR, "287h"),
        (days(12), DAY, "12d"),
        (days(30), DAY, "30d"),
    ],
    ids=lambda value: value.label if isinstance(value, Window) else None,
)
def test_the_hop_follows_from_the_size(window: Window, hop: int, label: str) -> None:
    assert (window.hop, window.label) == (hop, label)


@pytest.mark.parametrize(
    ("occurred", "window", "leaves"),
    [
        ("2026-03-05T10:00", minutes(45), "2026-03-05T10:45"),
        ("2026-03-05T10:00:00.000001", minutes(45), "2026-03-05T10:50"),
        ("2026-03-05T10:04:59.999999", minutes(45), "2026-03-05T10:50"),
        ("2026-03-05T10:59:59.999999", hours(12), "2026-03-05T23:00"),
        ("2026-02-28T23:59:59.999999", days(30), "2026-03-31T00:00"),
        ("2028-02-28T12:00", days(12), "2028-03-12T00:00"),  # a leap year
    ],
)
def test_an_event_leaves_at_the_next_hop_and_the_size_after(occurred: str, window: Window, leaves: str) -> None:
    assert window.leave(parse_instant(occurred)) == parse_instant(leaves)


@pytest.mark.parametrize(
    "make",
    [
        lambda: minutes(7),
        lambda: minutes(0),
        lambda: minutes(-5),
        lambda: Window(12 * HOUR + 5 * MINUTE),
        lambda: Window(12 * DAY + HOUR),
        lambda: Window(1.5 * DAY),  # type: ignore[arg-type]
    ],
)
def test_a_size_that_is_no_multiple_of_its_hop_is_refused(make: Callable[[], Window]) -> None:
    with pytest.raises(DefinitionError, match=r"a window of [-\d.]+ µs is not a positive multiple of its hop \(\d+ µs\)"):
        make()


def test_windows_order_by_size() -> None:
    assert sorted((days(30), minutes(45), days(1))) == [minutes(45), days(1), days(30)]
    assert hours(24) == days(1)


@given(instants, steps)
def test_rounding_keeps_to_the_step_and_moves_less_than_one(instant: int, step: int) -> None:
    assert floor_to(instant, step) % step == ceil_to(instant, step) % step == 0
    assert instant - step < floor_to(instant, step) <= instant <= ceil_to(instant, step) < instant + step


@given(instants, instants, windows)
def test_leaves_lie_on_hops_and_keep_the_order_of_events(one: int, other: int, window: Window) -> None:
    first, second = sorted((one, other))
    assert window.leave(first) % window.hop == 0
    assert first + window.size <= window.leave(first) < first + window.size + window.hop
    assert window.leave(first) <= window.leave(second)
