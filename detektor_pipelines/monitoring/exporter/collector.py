"""Asks the questions, each at its pace, and keeps the answers for whoever scrapes."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines import clock
from detektor_pipelines.compile import loaded
from detektor_pipelines.monitoring import metrics
from detektor_pipelines.monitoring.exporter import drift, log, online, published, registry, runs, servers
from detektor_pipelines.monitoring.exporter.question import Answer, Question, Stores

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Sequence

    from detektor_pipelines.metric import Metric
    from detektor_pipelines.settings import Settings

QUESTIONS: Final = (
    Question("redis", 1, online.memory),
    Question("log", 1, log.arrivals),
    Question("servers", 2, servers.servers),
    Question("days", 2, published.days),
    Question("backfills", 2, runs.backfills),
    Question("checks", 4, runs.checks),
    Question("keys", 4, online.keys),
    Question("registry", 4, registry.registry),
    Question("drift", 4, drift.drift),
    Question("events", 20, log.events),
    Question("projects", 20, log.projects),
    Question("nulls", 20, published.nulls),
)
"""Turns are DETEKTOR_EXPORTER_SECONDS long, 15 s by default: the first ones are asked four times a minute, the last every five minutes."""

_SECOND: Final = 1_000_000

_logger = logging.getLogger(__name__)


class Collector:
    """A collector of prometheus_client, and the thread's work behind it.

    Args:
        settings: Where everything is.
        questions: What is asked.

    """

    def __init__(self, settings: Settings, questions: Sequence[Question] = QUESTIONS) -> None:
        self._stores = Stores(settings)
        self._questions = questions
        self._answers: dict[str, Answer] = {}
        self._ages: dict[Metric, dict[tuple[str, ...], float]] = {}
        self._seconds: dict[str, float] = {}
        self._failed: dict[str, str] = {}
        self._turn = 0
        self.beat = time.monotonic()
        """When the last turn ended; the program hangs when that is long ago."""

    def run(self, stop: threading.Event, seconds: float) -> None:
        """Ask until `stop` is set; the first turn asks everything."""
        while not stop.is_set():
            began = time.monotonic()
            self.turn()
            stop.wait(max(0.0, seconds - (time.monotonic() - began)))
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._stores.forget()

    def turn(self) -> None:
        """Ask what is due."""
        for question in self._questions:
            if self._turn % question.every == 0:
                self._ask(question)
        self._turn += 1
        self.beat = time.monotonic()

    def _ask(self, question: Question) -> None:
        """Ask one; a fault is told once, what was known goes, but for instants: an age grows on."""
        began = time.perf_counter()
        try:
            answer = question.ask(self._stores)
        except Exception as error:  # noqa: BLE001 - whatever it is: the others are asked all the same
            text = f"{type(error).__name__}: {error}"
            if self._failed.get(question.name) != text:
                _logger.warning("Not answered: %s. %s", question.name, text)
            self._failed[question.name] = text
            self._answers.pop(question.name, None)
            self._stores.forget()
        else:
            if self._failed.pop(question.name, None) is not None:
                _logger.info("Answered again: %s", question.name)
            self._answers[question.name] = answer
            for metric, instants in answer.instants.items():
                self._ages[metric] = dict(instants)
        self._seconds[question.name] = time.perf_counter() - began

    def collect(self) -> Iterator[Any]:
        """Yield every metric of the exporter, those without an answer without samples."""
        now = clock.now_us()
        values = {metric: samples for answer in tuple(self._answers.values()) for metric, samples in answer.values.items()}
        values |= {
            metric: {labels: (now - at) / _SECOND for labels, at in instants.items()} for metric, instants in tuple(self._ages.items())
        }
        values[metrics.QUERY_UP] = {(name,): float(name not in self._failed) for name in tuple(self._seconds)}
        values[metrics.QUERY_SECONDS] = {(name,): seconds for name, seconds in tuple(self._seconds.items())}
        for metric in metrics.EXPORTER:
            if metric not in loaded.METRICS:
                yield metric.family(values.get(metric, {}).items())
        yield from loaded.families()
