"""What `detektor ingest` says at its end, and `demo` and `status` of it later: what was read, by whom, and everything that was not.

Lines that a person copies (an entry for agents.toml, a path) are printed whole, however long they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from detektor_pipelines.cli_commands.output import print_table, say

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from detektor_pipelines.ingest.summary import IngestReport, Nulls

LISTED: Final = 10
"""Names, reasons and kinds that are printed; `--json` has all."""

REREAD: Final = "read differently now (`detektor reingest` repairs them)"
_FILES_NAMED: Final = 3


def print_report(report: IngestReport, home: Path, *, nulls: bool = False) -> None:
    """Print all that a run has to say, its counts in the last line.

    Args:
        report: The run.
        home: Where agents.toml is.
        nulls: Say also what each source leaves open.

    """
    print_events(report)
    if nulls:
        print_nulls(report.nulls)
    print_unmapped(report.unmapped, home)
    print_not_read(report)
    say(sentence(report))


def print_events(report: IngestReport) -> None:
    """Print the events that were read, by agent and operation."""
    if report.events:
        rows = ((agent, f"{sum(operations.values()):,}", _listed(operations)) for agent, operations in report.by_agent.items())
        print_table(("agent", "events", "operations"), rows)


def print_unmapped(unmapped: Counter[str], home: Path) -> None:
    """Print the names that map to none of the agents, each as the line that would map it."""
    from detektor_pipelines.ingest.readers.names import FILE_NAME
    from detektor_pipelines.ingest.summary import line_that_maps

    if not unmapped:
        return
    say(f"Names that map to no agent. A line below [agents] in {home / FILE_NAME}")
    say("maps one (which agent is a guess), then `detektor reingest` with the same paths.")
    _numbered((number, line_that_maps(name)) for name, number in unmapped.most_common(LISTED))
    _and_more(len(unmapped), "names")


def print_not_read(report: IngestReport) -> None:
    """Print what made no event: rejected lines, records of unknown kinds, files that are no logs."""
    if report.rejected:
        say("Rejected lines; each with its file: SELECT * FROM ml_learning.rejected_events ORDER BY id DESC")
        _numbered((number, reason) for reason, number in report.rejected.most_common(LISTED))
        _and_more(len(report.rejected), "reasons")
    if report.strange:
        say("Records not understood, by format and kind; they made no event:")
        _numbered((number, f"{reader}: {kind}") for (reader, kind), number in report.strange.most_common(LISTED))
        _and_more(len(report.strange), "kinds")
    if report.orphan_results:
        say("Results whose call stands in none of the files; they made no event:")
        _numbered((number, reader) for reader, number in report.orphan_results.most_common())
    if report.skipped:
        say("Files that are not read, by reason:")
        for reason, files in list(report.skipped_because.items())[:LISTED]:
            _numbered([(len(files), reason)])
            for file in files[:_FILES_NAMED]:
                say(f"            {file}")
            if len(files) > _FILES_NAMED:
                say(f"            and {len(files) - _FILES_NAMED:,} more")
        _and_more(len(report.skipped_because), "reasons")
    if report.others:
        kinds = ", ".join(f"{suffix} {number:,}" for suffix, number in report.others.most_common(5))
        say(f"{report.others.total():,} further files are not called as logs are and were not opened ({kinds}).")


def print_nulls(nulls: Iterable[Nulls]) -> None:
    """Print which measures and categories each source leaves open."""
    rows = []
    for each in nulls:
        never = [name for name, share in each.shares.items() if share == 1]
        sometimes = [f"{name} {share:.0%}" for name, share in each.shares.items() if 0 < share < 1]
        rows.append((each.source, each.operation, f"{each.events:,}", ", ".join(sometimes), ", ".join(never)))
    if rows:
        print_table(("source", "operation", "events", "null in", "never there"), rows, title="What each source leaves open")


def sentence(report: IngestReport) -> str:
    """Say in one sentence what became of the events, and how fast."""
    counts = report.counts
    parts = [f"{counts.added:,} events added", f"already known {counts.known:,}"]
    further = {
        "also seen": counts.also_seen,
        "repaired": counts.repaired,
        REREAD: counts.reread,
        "contradicting a stored event, kept as rejected": counts.conflicts,
        "newly rejected": counts.rejected,
        "rejected before": counts.rejected_known,
        "left out, for they belong to what was erased": counts.erased,
    }
    parts += [f"{label} {number:,}" for label, number in further.items() if number]
    files = sum(report.files.values())
    by_reader = f" ({', '.join(f'{number:,} {name}' for name, number in report.files.most_common())})" if len(report.files) > 1 else ""
    read = f"{report.lines:,} lines of {files:,} {'file' if files == 1 else 'files'}{by_reader} in {report.seconds:.1f} s"
    skipped = f"; {len(report.skipped):,} files are not agent logs" if report.skipped else ""
    return f"{', '.join(parts)}; {read} ({report.lines / max(report.seconds, 1e-9):,.0f} lines/s){skipped}."


def _numbered(lines: Iterable[tuple[int, str]]) -> None:
    for number, line in lines:
        say(f"{number:>9,}  {line}")


def _and_more(number: int, what: str) -> None:
    if number > LISTED:
        say(f"           and {number - LISTED:,} more {what}, all with --json")


def _listed(operations: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {operation}" for operation, number in sorted(operations.items(), key=lambda item: -item[1]))
