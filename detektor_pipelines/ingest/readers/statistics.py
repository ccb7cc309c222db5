"""What a reader saw, beside the events it yields: filled in while it reads, shown in the summary of `detektor ingest`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from detektor_pipelines.ingest.readers.formats import UNKNOWN, detect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from detektor_pipelines.ingest.readers.formats import ReaderName


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
        elsewhere: Files in which records of another format were met: that format's name → the files' `source`. The run gives them
            to its reader too.

    """

    lines: int = 0
    records: int = 0
    sessions: set[str] = field(default_factory=set)
    types: Counter[str] = field(default_factory=Counter)
    strange: Counter[str] = field(default_factory=Counter)
    rejected: int = 0
    orphan_results: int = 0
    elsewhere: dict[ReaderName, set[str]] = field(default_factory=dict)

    def is_of_another(self, record: Mapping[str, Any], source: str, mine: ReaderName) -> bool:
        """Whether a record that a reader does not know is of another format; its file is then noted for that one.

        A reader asks only where a record's own keys do not settle that it is its own: the question costs more than reading most records.
        """
        name = detect(record)
        if name in {mine, UNKNOWN}:
            return False
        self.elsewhere.setdefault(name, set()).add(source)
        return True
