"""What a reader saw, beside the events it yields: filled in while it reads, shown in the summary of `detektor ingest`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class ReadStats:
    """Counts of one reading.

    Attributes:
        lines: Lines that held a readable record, copies of the same record included.
        records: Different records (a record that stands in two files counts once).
        sessions: Ids of the sessions seen.
        types: Different records by type, known or not.
        strange: Different records whose type the reader does not know; they are counted, not rejected.
        rejected: Lines that could not be read.
        orphan_results: Tool results whose call stands in none of the files; they become no event.

    """

    lines: int = 0
    records: int = 0
    sessions: set[str] = field(default_factory=set)
    types: Counter[str] = field(default_factory=Counter)
    strange: Counter[str] = field(default_factory=Counter)
    rejected: int = 0
    orphan_results: int = 0
