"""The run that takes logs to the store: files → readers → checks → raw log, with counts of what became of everything.

Reading and storing happen at once: while PostgreSQL takes one batch, the next is parsed.
"""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from detektor_pipelines.clock import now_us
from detektor_pipelines.ingest.checks import problem
from detektor_pipelines.ingest.dispatch import Reading
from detektor_pipelines.ingest.files import STANDARD_INPUT, Journal, find_logs
from detektor_pipelines.ingest.last_run import remember
from detektor_pipelines.ingest.masking import Masker, excerpt
from detektor_pipelines.ingest.readers.interface import ReadContext
from detektor_pipelines.ingest.summary import IngestReport
from detektor_pipelines.language.records import AgentEvent, Rejection
from detektor_pipelines.stores.raw_log.writer import EventWriter, IngestCounts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from detektor_pipelines.ingest.readers.names import AgentNames
    from detektor_pipelines.settings import Settings

BATCH_EVENTS: Final = 5_000
"""Events or rejections that are stored together: enough for bulk speed, and little memory."""


@dataclass(frozen=True, slots=True)
class IngestOptions:
    """How to read and store.

    Attributes:
        project: Project of all events; None takes it from the logs.
        names: Table of agent names.
        mix: Let simulated and real events share the database.
        reingest: Write events that are read differently now as a higher revision.
        on_start: Called once with the bytes to be read.
        on_bytes: Called with each number of bytes read.

    """

    project: str | None = None
    names: AgentNames | None = None
    mix: bool = False
    reingest: bool = False
    on_start: Callable[[int], None] = lambda _: None
    on_bytes: Callable[[int], None] = lambda _: None


def ingest(settings: Settings, paths: Sequence[str | Path], options: IngestOptions | None = None) -> IngestReport:
    """Read logs into `ml_learning.agent_events`; harmless when repeated.

    Args:
        settings: Which database.
        paths: Files, directories, `-` for standard input.
        options: How.

    Raises:
        UserError: A path cannot be read or holds no logs; the database is down or full; simulated beside real without `mix`.

    """
    options = options if options is not None else IngestOptions()
    started = time.perf_counter()
    with (
        closing(Journal()) as journal,
        EventWriter(settings, mix=options.mix, reingest=options.reingest) as writer,
        _BackgroundWriter(writer) as background,
    ):
        logs = find_logs(paths, journal)
        journal.on_bytes = options.on_bytes
        options.on_start(logs.size)
        report = IngestReport(size=logs.size, skipped=logs.skipped, others=logs.others)
        report.files.update({name: len(files) for name, files in logs.by_reader.items()})
        _store(Reading(logs, journal, _context(paths, options)), journal, report, background, Masker.of(settings))
        report.lines = journal.lines
    report.counts = background.counts
    report.seconds = time.perf_counter() - started
    remember(settings.home, report.as_kept(paths))
    return report


def _context(paths: Sequence[str | Path], options: IngestOptions) -> ReadContext:
    path = Path(paths[0]).expanduser() if len(paths) == 1 and str(paths[0]) != STANDARD_INPUT else None
    return ReadContext(project=options.project, names=options.names, path=path)


def _store(reading: Reading, journal: Journal, report: IngestReport, background: _BackgroundWriter, masker: Masker) -> None:
    events: list[AgentEvent] = []
    rejections: list[Rejection] = []
    now = now_us()
    for record in map(masker.record, reading.records()):
        if isinstance(record, Rejection):
            rejections.append(record)
            report.rejected[record.reason] += 1
        elif (found := problem(record, now)) is not None and (
            found := problem(record, now := now_us())
        ) is not None:  # it may be past by now
            rejections.append(_rejection(record, *found))
            report.rejected[found[0]] += 1
        else:
            events.append(record)
            report.note(record, reading.reader)
        if len(events) >= BATCH_EVENTS or len(rejections) >= BATCH_EVENTS:
            background.write(events, rejections)
            events, rejections, now = [], [], now_us()
    for rejection in map(masker.rejection, journal.take_rejections()):
        rejections.append(rejection)
        report.rejected[rejection.reason] += 1
    background.write(events, rejections)
    for name, stats in reading.stats.items():
        report.note_reading(name, stats)


def _rejection(event: AgentEvent, reason: str, value: str) -> Rejection:
    said = excerpt(f"{value[:80]} in {event.operation} of {event.raw_name}, {dict(event.measures)} {dict(event.categories)}")
    return Rejection(str(event.source), None, reason, said, str(event.event_id)[:200])


class _BackgroundWriter:
    """Stores one batch in a thread while the next is read; a context manager that waits for the last one.

    An error of the store is raised by the next `write` or at the end.
    """

    def __init__(self, writer: EventWriter) -> None:
        self._writer = writer
        self._stack = ExitStack()
        self._pool: ThreadPoolExecutor | None = None
        self._pending: Future[IngestCounts] | None = None
        self.counts = IngestCounts()

    def __enter__(self) -> Self:
        self._pool = self._stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="detektor-store"))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._stack:
            if kind is None:
                self._settle()

    def write(self, events: Sequence[AgentEvent], rejections: Sequence[Rejection]) -> None:
        """Wait for the batch before, then store this one."""
        self._settle()
        if self._pool is not None and (events or rejections):
            self._pending = self._pool.submit(self._writer.write, events, rejections)

    def _settle(self) -> None:
        pending, self._pending = self._pending, None
        if pending is not None:
            self.counts += pending.result()
