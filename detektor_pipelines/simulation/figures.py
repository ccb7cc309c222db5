"""The figures that a simulated history and real logs are compared by, from a table of events, whichever they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from detektor_pipelines.simulation.calendar import DAY_US, weekday

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TOOLS: Final = ("Bash", "Read", "Edit", "Grep")
_MINUTE_US: Final = 60_000_000
_WEEKEND: Final = 5


@dataclass(frozen=True)
class Figure:
    """One line of the comparison; `value` is None where the events do not hold it."""

    name: str
    unit: str
    value: float | None


def figures(events: pa.Table) -> tuple[Figure, ...]:
    """Figures of events in the layout of `ml_learning.agent_events`; always the same ones, in the same order."""
    calls = _of(events, "tool_call")
    return (
        Figure("tool calls that end in an error", "share", _share(calls["outcome"], "failure")),
        *_tool_figures(calls),
        *_rhythm(calls),
        *_messages(_of(events, "chat"), calls.num_rows),
        *_runs("review", _of(events, "review")),
        *_runs("coding run", _of(events, "implement")),
        *_decisions(events),
    )


def _tool_figures(calls: pa.Table) -> list[Figure]:
    found = []
    for tool in _TOOLS:
        of_tool = calls.filter(pc.equal(calls["tool_name"], tool))
        found.append(Figure(f"{tool}: errors", "share", _share(of_tool["outcome"], "failure")))
        found += _quantiles(f"{tool}: duration", "ms", of_tool["duration_ms"])
    return found


def _rhythm(calls: pa.Table) -> list[Figure]:
    """Sessions, gaps, bursts, days and the week, of tool calls."""
    if not calls.num_rows:
        return []
    occurred = _micros(calls)
    session = calls["session_id"].combine_chunks().dictionary_encode().indices.to_numpy(zero_copy_only=False)
    order = np.lexsort((occurred, session))
    gaps = np.diff(occurred[order])[np.diff(session[order]) == 0] / 1_000_000
    minutes = np.sort(np.unique(_pairs(calls["project"], occurred // _MINUTE_US), return_counts=True)[1])[::-1]
    days = np.unique(_pairs(calls["project"], occurred // DAY_US), return_counts=True)[1]
    return [
        *_quantiles("calls in a session", "calls", np.unique(session, return_counts=True)[1]),
        *_quantiles("gap between calls of a session", "s", gaps),
        Figure("calls in the busiest tenth of active minutes", "share", float(minutes[: len(minutes) // 10].sum() / minutes.sum())),
        *_quantiles("calls of a project on an active day", "calls", days),
        Figure("a weekend day against a weekday", "ratio", _weekend(occurred)),
    ]


def _messages(chat: pa.Table, calls: int) -> list[Figure]:
    return [
        Figure("model answers for each tool call", "ratio", chat.num_rows / calls if calls else None),
        *_quantiles("output tokens of an answer", "tokens", chat["output_tokens"]),
        *_quantiles("cached tokens read for an answer", "tokens", chat["cache_read_tokens"]),
    ]


def _runs(name: str, runs: pa.Table) -> list[Figure]:
    return [*_quantiles(f"{name}: duration", "ms", runs["duration_ms"]), *_quantiles(f"{name}: tool calls", "calls", runs["tool_calls"])]


def _decisions(events: pa.Table) -> list[Figure]:
    reviews, deploys = _of(events, "review"), _of(events, "deploy")
    tests = _of(events, "test_run")
    verdict = reviews["verdict"]
    return [
        Figure("reviews with a readable verdict", "share", 1 - verdict.null_count / len(verdict) if len(verdict) else None),
        Figure("of these, sent back", "share", _share(verdict, "rejected")),
        Figure("test runs that fail", "share", _share(tests["outcome"], "failure")),
        Figure("deployments (real: git pushes) that fail", "share", _share(deploys["outcome"], "failure")),
    ]


def _of(events: pa.Table, operation: str) -> pa.Table:
    return events.filter(pc.equal(events["operation"], operation))


def _share(column: pa.ChunkedArray, value: str) -> float | None:
    known = len(column) - column.null_count
    return pc.sum(pc.equal(column, value)).as_py() / known if known else None


def _quantiles(name: str, unit: str, values: pa.ChunkedArray | NDArray[np.int64] | NDArray[np.float64]) -> list[Figure]:
    known = values if isinstance(values, np.ndarray) else values.drop_null().to_numpy()
    return [
        Figure(f"{name}, {label}", unit, float(np.quantile(known, share)) if len(known) else None)
        for label, share in (("median", 0.5), ("p90", 0.9))
    ]


def _weekend(occurred: NDArray[np.int64]) -> float | None:
    """Calls on a Saturday or Sunday against those on a weekday, over whole calendar weeks."""
    day = weekday(occurred // DAY_US)
    weekdays = int(np.sum(day < _WEEKEND))
    return float((len(day) - weekdays) / 2 / (weekdays / _WEEKEND)) if weekdays else None


def _micros(table: pa.Table) -> NDArray[np.int64]:
    return np.asarray(table["occurred_at"].cast(pa.int64()).to_numpy(), dtype=np.int64)


def _pairs(project: pa.ChunkedArray, number: NDArray[np.int64]) -> NDArray[np.int64]:
    codes = project.combine_chunks().dictionary_encode().indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return np.asarray((codes.astype(np.int64) + 1) * 2**40 + number, dtype=np.int64)
