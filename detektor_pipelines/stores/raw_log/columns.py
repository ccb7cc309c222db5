"""The columns of events as SQL reads them from `agent_events`: under their own name, measures and categories of one's own out of `extra`.

Every SELECT that hands events to an engine, to the stream or to a label takes its columns from here, so that all of them read the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from detektor_pipelines.language.events import extra_name, is_integer

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

EXTRA: Final = "extra"
"""The column that holds them: a JSON object, name → integer or text, null where an event has none."""


def selected(columns: Sequence[str], table: str) -> str:
    """Return the end of a select list, each column under its name: `, e.verdict, CASE … END AS extra_measure_tickets`."""
    return "".join(f", {_source(name, table)}" for name in columns)


def arrow_type(name: str) -> pa.DataType:
    """Return the type in which engines take a measure, category or identity."""
    import pyarrow as pa

    return pa.int64() if is_integer(name) else pa.string()


def _source(name: str, table: str) -> str:
    declared = extra_name(name)
    if declared is None:
        return f"{table}.{name}"
    # It may have been of the other kind when the event was stored: then it is unknown, as where the event lacks it. Names are identifiers.
    kind, cast = ("number", "::bigint") if is_integer(name) else ("string", "")
    place = f"{table}.{EXTRA}"
    return f"CASE WHEN jsonb_typeof({place} -> '{declared}') = '{kind}' THEN ({place} ->> '{declared}'){cast} END AS {name}"
