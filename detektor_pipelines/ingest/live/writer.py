"""Live events into the raw log: `detektor emit`, the HTTP endpoint, OpenTelemetry and the hooks' spool all end here.

Every event passes the checks that a file's events pass, is stored once however often it comes, and is known from when it was stored: what a
live source says of `known_at` does not count. What cannot be stored is kept in `rejected_events` with its reason. What lies ahead of the
platform's clock, because its sender's is ahead, is held until its instant (`live.held`).
"""

from __future__ import annotations

from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Final, Self

from detektor_pipelines.clock import now_us
from detektor_pipelines.ingest.checks import FUTURE_TOLERANCE_US, HELD_US, problem
from detektor_pipelines.ingest.live import held
from detektor_pipelines.ingest.masking import Masker, excerpt
from detektor_pipelines.language.records import AgentEvent, Rejection
from detektor_pipelines.stores.cluster import MOVED, settled
from detektor_pipelines.stores.connections import postgres_errors
from detektor_pipelines.stores.raw_log.live import LiveLog, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from detektor_pipelines.settings import Settings

_CONNECT_TIMEOUT_S: Final = 5
_EXCERPT_OF_VALUE: Final = 80


class LiveWriter:
    """One connection, opened when it is first needed and again when it was lost; may be shared by threads, which wait for each other.

    Args:
        settings: Which database.
        mix: Let simulated and real events share the database.

    """

    def __init__(self, settings: Settings, *, mix: bool = False) -> None:
        self._settings = settings
        self._mix = mix
        self._log: LiveLog | None = None
        self._close: Callable[[], None] = _nothing
        self._held = held.Held(settings.home)
        self._lock = Lock()
        self._masker = Masker.of(settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next `write` opens one."""
        with self._lock:
            self._disconnect()

    def write(self, records: Sequence[AgentEvent | Rejection]) -> list[Outcome]:
        """Store events, and rejections beside them; all is committed when this returns.

        Args:
            records: In any mixture; events need not be checked yet.

        Returns:
            One outcome a record, in order; `held` is one that lies ahead of the clock.

        Raises:
            UserError: PostgreSQL does not answer or refuses; repeating the same records is harmless.

        """
        now = now_us()
        self.release(now)
        outcomes: list[Outcome | None] = []
        events: list[AgentEvent] = []
        early: list[AgentEvent] = []
        rejections: list[Rejection] = []
        for record in self._masked(records):
            rejection = record if isinstance(record, Rejection) else _rejection_of(record, now)
            if rejection is not None:
                rejections.append(rejection)
                outcomes.append(Outcome(rejection.event_id, "rejected", rejection.reason))
            elif isinstance(record, AgentEvent) and record.occurred_at > now + FUTURE_TOLERANCE_US:
                early.append(replace(record, known_at=None))
                outcomes.append(Outcome(record.event_id, "held", "occurred_at is in the future: it counts when its instant has come"))
            elif isinstance(record, AgentEvent):
                events.append(replace(record, known_at=None))
                outcomes.append(None)
        if early:
            self._held.hold(early)
        with self._lock, postgres_errors(self._settings):
            stored = iter(self._store(events, rejections))
        return [next(stored) if outcome is None else outcome for outcome in outcomes]

    def _masked(self, records: Sequence[AgentEvent | Rejection]) -> list[AgentEvent | Rejection]:
        with self._lock:
            return [self._masker.record(record) for record in records]

    def release(self, now: int | None = None) -> int:
        """Store the held events whose instant has come, and return how many those were; cheap when there are none.

        Raises:
            UserError: PostgreSQL does not answer or refuses; they stay held.

        """
        number = 0
        for file in self._held.due(now_us() if now is None else now):
            records = held.read(file)
            events = [each for each in records if isinstance(each, AgentEvent)]
            rejections = [each for each in records if isinstance(each, Rejection)]
            with self._lock, postgres_errors(self._settings):
                self._store(events, rejections)
            held.done(file)
            number += len(records)
        return number

    def holds_simulated_events_only(self) -> bool:
        """Whether the log is one of simulated events, into which no real one may come.

        Raises:
            UserError: PostgreSQL does not answer.

        """
        with self._lock, postgres_errors(self._settings):
            return self._connected().holds_simulated_events_only()

    def retract(self, event_ids: Sequence[str]) -> int:
        """Take events back, so that they count no more; returns how many counted until now.

        Raises:
            UserError: PostgreSQL does not answer or refuses.

        """
        with self._lock, postgres_errors(self._settings):
            return self._connected().retract(event_ids)

    def _store(self, events: Sequence[AgentEvent], rejections: Sequence[Rejection]) -> list[Outcome]:
        try:
            return self._append(events, rejections)
        except Exception as error:
            if not _is_lost_connection(error):
                self._disconnect()
                raise
        # The server was restarted, closed an idle connection, or became another one. What was committed before is found known.
        self._disconnect()
        try:
            return self._append(events, rejections)
        except Exception:
            self._disconnect()
            raise

    def _append(self, events: Sequence[AgentEvent], rejections: Sequence[Rejection]) -> list[Outcome]:
        import psycopg

        log = self._connected()
        log.keep(rejections)
        try:
            return log.append(events) if events else []
        except (psycopg.DataError, psycopg.IntegrityError):
            return [self._append_alone(log, event) for event in events]

    def _append_alone(self, log: LiveLog, event: AgentEvent) -> Outcome:
        """Store one event of a batch in which PostgreSQL refuses one: the others must not wait for it for ever."""
        import psycopg

        try:
            return log.append([event])[0]
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            said = str(error).partition("\n")[0][:150]
            rejection = _rejection(event, f"PostgreSQL refuses it ({error.sqlstate})", said)
            log.keep([rejection])
            return Outcome(event.event_id, "rejected", rejection.reason)

    def _connected(self) -> LiveLog:
        if self._log is None:
            import psycopg

            connection = psycopg.connect(
                self._settings.postgres_dsn,
                autocommit=True,
                connect_timeout=_CONNECT_TIMEOUT_S,
                application_name="detektor live",
            )
            self._log, self._close = LiveLog(settled(connection), mix=self._mix), connection.close
        return self._log

    def _disconnect(self) -> None:
        self._close()
        self._log, self._close = None, _nothing


def _rejection_of(event: AgentEvent, now: int) -> Rejection | None:
    found = problem(event, now + HELD_US)
    return _rejection(event, *found) if found else None


def _rejection(event: AgentEvent, reason: str, value: str) -> Rejection:
    said = f"{value[:_EXCERPT_OF_VALUE]} in " if value else ""
    whole = f"{said}{event.operation} of {event.raw_name}, {dict(event.measures)} {dict(event.categories)}"
    return Rejection(str(event.source), None, reason, excerpt(whole), str(event.event_id)[:200])


def _is_lost_connection(error: Exception) -> bool:
    import psycopg

    if not isinstance(error, psycopg.Error):
        return False
    lost = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return error.sqlstate == MOVED or (lost and (error.sqlstate is None or error.sqlstate.startswith(("08", "57P"))))


def _nothing() -> None:
    """Close nothing: there is no connection."""
