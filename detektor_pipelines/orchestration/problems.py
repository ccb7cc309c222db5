"""Why a step failed, as a person reads it: in an alert, and at the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import dagster as dg
    from dagster_shared.error import SerializableErrorInfo


def reason(event: dg.DagsterEvent) -> str:
    """Return the words of a failed step: those written for people, else `Type: message` of the first cause, its first line.

    What follows that line is for a developer (PostgreSQL's drivers add the statement), and is on the run's page.
    """
    data = event.step_failure_data
    if data.user_failure_data and data.user_failure_data.description:
        return data.user_failure_data.description
    return first_line(_innermost(data.error))


def first_line(text: str | None) -> str:
    """Return the first line that says something."""
    return next((line.strip() for line in (text or "").splitlines() if line.strip()), "No reason was recorded.")


def _innermost(error: SerializableErrorInfo | None) -> str | None:
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message if error else None
