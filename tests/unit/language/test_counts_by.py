"""Counts by category are counts: one for each named value, and one for all others that are known."""

from __future__ import annotations

from support.engine_cases import ORIGIN
from support.oracle import Event, values

from detektor_pipelines.language import Feature, FeatureView, count, counts_by, data_hash, days, event
from detektor_pipelines.language.canonical import from_canonical, to_canonical


def view(*features: Feature) -> FeatureView:
    return FeatureView("some_features", "code-reviewer", "1.0.0", "x", "Text.", features)


def calls(**more: object) -> tuple[Feature, ...]:
    named = {"values": ("Bash", "mcp__web-search__find"), **more}
    return counts_by("calls", event.tool_name, over=days(1), description="Calls by tool.", unit="calls", **named)  # type: ignore[arg-type]


def test_a_value_is_a_feature_named_in_lower_case() -> None:
    assert [each.name for each in calls()] == ["calls_bash", "calls_mcp_web_search_find", "calls_other"]
    assert calls()[0].description == "Calls by tool: tool_name is Bash."
    assert calls()[0].within == (0, None)


def test_a_closed_vocabulary_has_all_its_values_and_no_other() -> None:
    verdicts = counts_by("reviews", event.verdict, over=days(1), description="Reviews", unit="reviews")
    assert [each.name for each in verdicts] == ["reviews_approved", "reviews_rejected"]
    some = counts_by("reviews", event.verdict, values=["approved"], over=days(1), description="Reviews", unit="reviews")
    assert [each.name for each in some] == ["reviews_approved", "reviews_other"]


def test_its_numbers_are_those_of_the_count_written_by_hand() -> None:
    ours = counts_by("reviews", event.verdict, over=days(1), where=event.operation == "review", description="Reviews", unit="reviews")
    by_hand = [
        Feature(
            f"reviews_{value}",
            count(),
            over=days(1),
            where=(event.operation == "review") & (event.verdict == value),
            description="Another text.",
            unit="reviews",
        )
        for value in ("approved", "rejected")
    ]
    assert data_hash(view(*ours)) == data_hash(view(*by_hand))
    assert data_hash(from_canonical(to_canonical(view(*ours)))) == data_hash(view(*ours))


def test_they_add_up_to_the_events_that_know_the_column() -> None:
    tools = ("Bash", "mcp__web-search__find", "Edit", "bash", None, "")
    events = [Event(str(n), ORIGIN + n, ORIGIN + n, "p", values={"tool_name": tool}) for n, tool in enumerate(tools)]
    assert values(view(*calls()), events, ORIGIN + 100, as_served=False) == (1, 1, 3)
