"""The run that takes logs to the store: files → readers → checks → raw log, with counts of what became of everything.

Reading, checking and storing happen at once: while PostgreSQL takes one batch, the next is checked and laid out; a command that runs alone
reads in a process of its own (`ingest.reading`).
"""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from detektor_pipelines.clock import now_us
from detektor_pipelines.ingest import cycles
from detektor_pipelines.ingest.checks import problem
from detektor_pipelines.ingest.last_run import remember
from detektor_pipelines.ingest.masking import Masker, excerpt
from detektor_pipelines.ingest.readers.interface import context_of
from detektor_pipelines.ingest.reading import Found, Here, Records
from detektor_pipelines.ingest.summary import IngestReport
from detektor_pipelines.language.records import AgentEvent, Rejection
from detektor_pipelines.stores.raw_log.writer import EventWriter, IngestCounts, chunks_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path
    from types import TracebackType

    from detektor_pipelines.ingest.readers.formats import ReaderName
    from detektor_pipelines.ingest.readers.names import AgentNames
    from detektor_pipelines.ingest.reading import LogReading
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


def ingest(
    settings: Settings, paths: Sequence[str | Path], options: IngestOptions | None = None, *, reading: LogReading | None = None
) -> IngestReport:
    """Read logs into `ml_learning.agent_events`; harmless when repeated.

    Args:
        settings: Which database.
        paths: Files, directories, `-` for standard input.
        options: How.
        reading: A reading of these paths that has begun; None reads them in this process.

    Raises:
        UserError: A path cannot be read or holds no logs; the database is down or full; simulated beside real without `mix`.

    """
    options = options if options is not None else IngestOptions()
    reading = reading if reading is not None else Here(paths, context_of(paths, options.project, options.names))
    report = IngestReport()
    with (
        cycles.looked_for_rarely(),
        EventWriter(settings, mix=options.mix, reingest=options.reingest) as writer,
        _BackgroundWriter(writer) as background,
    ):
        _store(reading, options, report, background, Masker.of(settings))
    report.counts = background.counts
    report.seconds = time.perf_counter() - reading.started
    remember(settings.home, report.as_kept(paths))
    return report


def _store(reading: LogReading, options: IngestOptions, report: IngestReport, background: _BackgroundWriter, masker: Masker) -> None:
    batch = _Batch(report, masker)
    for message in reading.messages(options.on_bytes):
        if isinstance(message, Found):
            options.on_start(message.size)
            report.note_files(message.size, message.files, message.skipped, message.others)
            continue
        for rejection in message.rejections:
            batch.refuse(masker.rejection(rejection))
        if isinstance(message, Records):
            batch.take(message.events, message.reader)
        else:
            report.note_end(message.lines, message.unread)
        if len(batch.events) >= BATCH_EVENTS or len(batch.rejections) >= BATCH_EVENTS:
            background.write(batch.events, batch.rejections)
            batch = _Batch(report, masker)
    background.write(batch.events, batch.rejections)


class _Batch:
    """What is stored together: events that passed the checks, and what was rejected; each is counted in the report."""

    def __init__(self, report: IngestReport, masker: Masker) -> None:
        self.events: list[AgentEvent] = []
        self.rejections: list[Rejection] = []
        self._report = report
        self._masker = masker

    def take(self, events: Iterable[AgentEvent], reader: ReaderName) -> None:
        now = now_us()
        passed = []
        for event in map(self._masker.event, events):
            found = problem(event, now)
            if found is not None and (found := problem(event, now := now_us())) is not None:  # it may be past by now
                self.refuse(_rejection(event, *found))
            else:
                passed.append(event)
        self.events += passed
        self._report.note(passed, reader)

    def refuse(self, rejection: Rejection) -> None:
        self.rejections.append(rejection)
        self._report.rejected[rejection.reason] += 1


def _rejection(event: AgentEvent, reason: str, value: str) -> Rejection:
    said = excerpt(f"{value[:80]} in {event.operation} of {event.raw_name}, {dict(event.measures)} {dict(event.categories)}")
    return Rejection(str(event.source), None, reason, said, str(event.event_id)[:200])


class _BackgroundWriter:
    """Stores one batch in a thread while the next is made ready; a context manager that waits for the last one.

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
        """Lay this batch out while the one before is stored, wait for that, then store this one."""
        chunks = list(chunks_of(events))
        self._settle()
        if self._pool is not None and (chunks or rejections):
            self._pending = self._pool.submit(self._writer.write_chunks, chunks, rejections)

    def _settle(self) -> None:
        pending, self._pending = self._pending, None
        if pending is not None:
            self.counts += pending.result()
