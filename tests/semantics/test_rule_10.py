"""Rule 10: an event counts under the agent in its project and under the agent; one without a project under the agent only."""

from __future__ import annotations

from support.rule_views import happened, instants_of, read, rows_of, view_of

from detektor_pipelines.language import count, days, distinct, event, last, maximum, std

VIEW = view_of(
    number=(count(), days(1)),
    tasks=(distinct(event.task_id), days(1)),
    latest=(last(event.issues_found), days(1)),
    greatest=(maximum(event.issues_found), days(1)),
    spread=(std(event.issues_found), days(1)),
)
EVENTS = [
    happened("2026-03-05 09:10", event_id="1", project="shop", task_id="a", issues_found=2),
    happened("2026-03-05 09:20", event_id="2", project="bank", task_id="a", issues_found=4),
    happened("2026-03-05 09:30", event_id="3", task_id="b", issues_found=6),
]
ROWS = rows_of(VIEW, EVENTS)


def test_10_keys_are_the_agent_and_the_agent_in_each_project() -> None:
    assert {row["agent_id"] for row in ROWS} == {"code-reviewer", "code-reviewer@shop", "code-reviewer@bank"}


def test_10_each_key_aggregates_its_own_events() -> None:
    read_at = ("number", "tasks", "latest", "greatest")
    found = {
        agent: tuple(read(ROWS, "03-05 10:00", name, agent_id=agent) for name in read_at)
        for agent in sorted({row["agent_id"] for row in ROWS})
    }

    assert found == {
        "code-reviewer": (3, 2, 6, 6),
        "code-reviewer@bank": (1, 1, 4, 4),
        "code-reviewer@shop": (1, 1, 2, 2),
    }


def test_10_the_event_is_rolled_up_not_its_delta() -> None:
    """The task of both projects is one task, and the spread is that of all three values: no sum of the projects' numbers."""
    assert read(ROWS, "03-05 10:00", "tasks") == 2
    assert read(ROWS, "03-05 10:00", "spread") == 2.0
    assert read(ROWS, "03-05 10:00", "spread", agent_id="code-reviewer@shop") is None


def test_10_an_event_of_a_project_moves_no_other_project() -> None:
    alone = rows_of(VIEW, [EVENTS[0]])

    assert [row for row in ROWS if row["agent_id"] == "code-reviewer@shop"] == [
        row for row in alone if row["agent_id"] == "code-reviewer@shop"
    ]
    assert instants_of(ROWS, "code-reviewer@bank") == ["03-05 10:00", "03-06 10:00"]
