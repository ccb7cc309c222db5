"""What an ingest read and what became of it: every line, record and file is counted somewhere, so that nothing is lost in silence."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from glob import escape
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines.language.events import AGENT_TYPES, OPERATIONS, UNMAPPED
from detektor_pipelines.stores.raw_log.writer import IngestCounts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from detektor_pipelines.ingest.readers.formats import ReaderName
    from detektor_pipelines.language.records import AgentEvent

_KEPT: Final = 50
"""Skipped files and kinds of records that are named later; the counts are of all."""

_GUESSES: Final = (
    ("code-reviewer", ("review", "critic", "audit", "security", "qa")),
    ("debugger", ("debug", "diagnos", "troubleshoot", "incident", "investigat")),
    ("documentation-keeper", ("doc", "readme", "writer", "changelog")),
    ("deployment-specialist", ("deploy", "release", "devops", "ship")),
    ("architecture-advisor", ("architect", "plan", "design", "strateg")),
)
_USUAL_GUESS: Final = "detektor-coder"
_agent_and_operation: Final = attrgetter("agent_type", "operation")


@dataclass(frozen=True, slots=True)
class Nulls:
    """What one source leaves open in the events of one operation.

    Attributes:
        source: The format's name.
        operation: The operation.
        events: Its events.
        shares: Measure or category → the share of events without it, 0 to 1; those that are always there have 0.

    """

    source: ReaderName
    operation: str
    events: int
    shares: dict[str, float]


@dataclass(slots=True)
class IngestReport:
    """What a run read and what became of it.

    Attributes:
        counts: What the store did.
        events: Events read by (agent_type, operation), whether new or known.
        unmapped: Events read by the raw name of those agents that map to none of the eight, the main session's among them.
        rejected: Rejections by reason, whether new or known; conflicts with stored events are in `counts` only.
        strange: Records that their reader does not know, by (format, kind); they make no event.
        orphan_results: Tool results whose call stands in none of the files, by format; they make no event.
        files: Files read, by reader.
        skipped: Files that are not read: path → why.
        others: Files of directories that are not called as logs are, by suffix; nobody looked into them.
        lines: Lines read, those that make no event included.
        size: Bytes of all files on disk.
        seconds: Wall time.
        first_at: Instant of the oldest event in µs, None without events.
        last_at: Instant of the newest.

    """

    counts: IngestCounts = field(default_factory=IngestCounts)
    events: Counter[tuple[str, str]] = field(default_factory=Counter)
    unmapped: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    strange: Counter[tuple[ReaderName, str]] = field(default_factory=Counter)
    orphan_results: Counter[ReaderName] = field(default_factory=Counter)
    files: Counter[ReaderName] = field(default_factory=Counter)
    skipped: dict[str, str] = field(default_factory=dict)
    others: Counter[str] = field(default_factory=Counter)
    lines: int = 0
    size: int = 0
    seconds: float = 0.0
    first_at: int | None = None
    last_at: int | None = None
    _shapes: Counter[tuple[ReaderName, str, tuple[str, ...], tuple[str, ...]]] = field(default_factory=Counter)

    def note(self, events: Sequence[AgentEvent], reader: ReaderName) -> None:
        """Count events that a reader read."""
        self.events.update(map(_agent_and_operation, events))
        self._shapes.update((reader, event.operation, tuple(event.measures), tuple(event.categories)) for event in events)
        self.unmapped.update(event.raw_name for event in events if event.agent_type == UNMAPPED)
        instants = [event.occurred_at for event in events]
        self.first_at = min((*instants, self.first_at) if self.first_at is not None else instants, default=None)
        self.last_at = max((*instants, self.last_at) if self.last_at is not None else instants, default=None)

    def note_files(self, size: int, files: Mapping[ReaderName, int], skipped: Mapping[str, str], others: Mapping[str, int]) -> None:
        """Take what was found, before it is read."""
        self.size = size
        self.files.update(files)
        self.skipped |= skipped
        self.others.update(others)

    def note_end(self, lines: int, unread: Mapping[ReaderName, tuple[Mapping[str, int], int]]) -> None:
        """Take the lines that were read, and what readers saw and made no event of: kinds of records, results without a call."""
        self.lines = lines
        for reader, (strange, orphan_results) in unread.items():
            self.strange.update({(reader, kind): number for kind, number in strange.items()})
            if orphan_results:
                self.orphan_results[reader] += orphan_results

    @property
    def by_agent(self) -> dict[str, Counter[str]]:
        """The operations of each agent, in the order of the declarations, `unmapped` last."""
        found: dict[str, Counter[str]] = {agent: Counter() for agent in (*AGENT_TYPES, UNMAPPED)}
        for (agent, operation), number in self.events.items():
            found.setdefault(agent, Counter())[operation] += number
        return {agent: operations for agent, operations in found.items() if operations}

    @property
    def skipped_because(self) -> dict[str, list[str]]:
        """The files that are not read, by reason, the commonest first."""
        found: dict[str, list[str]] = {}
        for path, reason in self.skipped.items():
            found.setdefault(reason, []).append(path)
        return dict(sorted(found.items(), key=lambda item: (-len(item[1]), item[0])))

    @property
    def nulls(self) -> list[Nulls]:
        """What each source leaves open, by operation: which features can have a value at all from these logs."""
        events: Counter[tuple[ReaderName, str]] = Counter()
        present: dict[tuple[ReaderName, str], Counter[str]] = {}
        for (reader, operation, measures, categories), number in self._shapes.items():
            events[reader, operation] += number
            present.setdefault((reader, operation), Counter()).update(dict.fromkeys((*measures, *categories), number))
        found = []
        for (reader, operation), number in sorted(events.items()):
            declared = OPERATIONS[operation]
            columns = (*declared.measures, *declared.categories)
            shares = {name: round(1 - present[reader, operation][name] / number, 4) for name in columns}
            found.append(Nulls(reader, operation, number, shares))
        return found

    def as_kept(self, paths: Sequence[str | Path]) -> dict[str, object]:
        """Return what is told of the run later (`last_run`)."""
        return {
            "paths": [str(path) for path in paths],
            "files": dict(self.files),
            "skipped_files": len(self.skipped),
            "skipped": list(self.skipped)[:_KEPT],
            "skipped_because": {reason: len(files) for reason, files in self.skipped_because.items()},
            "other_files": self.others.total(),
            "lines": self.lines,
            "bytes": self.size,
            "events": sum(self.events.values()),
            "by_agent": {agent: dict(operations) for agent, operations in self.by_agent.items()},
            "unmapped_names": dict(self.unmapped.most_common(_KEPT)),
            "not_understood": {f"{reader}: {kind}": number for (reader, kind), number in self.strange.most_common(_KEPT)},
            "added": self.counts.added,
            "known": self.counts.known + self.counts.also_seen,
            "rejected": sum(self.rejected.values()),
            "rejected_by_reason": dict(self.rejected.most_common(_KEPT)),
        }


def line_that_maps(raw_name: str) -> str:
    """Write the line of agents.toml that would map a name; which agent it is can only be guessed from the name."""
    name = raw_name.strip().lower()
    agent = next((agent for agent, words in _GUESSES if any(word in name for word in words)), _USUAL_GUESS)
    return f'{json.dumps(escape(raw_name.strip()), ensure_ascii=False)} = "{agent}"'


def as_data(report: IngestReport) -> dict[str, Any]:
    """Return what a run did as data, for `--json`."""
    from detektor_pipelines.clock import from_us

    return {
        **asdict(report.counts),
        "events": sum(report.events.values()),
        "by_agent": {agent: dict(operations) for agent, operations in report.by_agent.items()},
        "unmapped_names": dict(report.unmapped.most_common()),
        "agents_toml": {name: line_that_maps(name) for name, _ in report.unmapped.most_common()},
        "rejected_by_reason": dict(report.rejected.most_common()),
        "not_understood": [{"format": reader, "kind": kind, "records": number} for (reader, kind), number in report.strange.most_common()],
        "results_without_call": dict(report.orphan_results),
        "files": dict(report.files),
        "skipped_files": len(report.skipped),
        "skipped": [{"file": file, "reason": reason} for file, reason in report.skipped.items()],
        "other_files": dict(report.others.most_common()),
        "nulls": [
            {"source": each.source, "operation": each.operation, "events": each.events, "null_share": each.shares} for each in report.nulls
        ],
        "lines": report.lines,
        "bytes": report.size,
        "first_at": from_us(report.first_at).isoformat() if report.first_at is not None else None,
        "last_at": from_us(report.last_at).isoformat() if report.last_at is not None else None,
        "seconds": round(report.seconds, 3),
        "lines_per_second": round(report.lines / report.seconds) if report.seconds else None,
    }
