"""A fake engine, which is also the platform that is asked: what comes out is made up, what fails is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from detektor_pipelines.engine.online import OnlinePublication
from detektor_pipelines.quality.findings import BESIDE_THE_GATE, DRIFT, FRESH, VERSION, Finding
from detektor_pipelines.stores.raw_log.volume import AgentVolume, CommittedTotals, LogVolume

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.quality.findings import Severity


@dataclass
class FakeEngine:
    """Publishes nothing; days in `bad` fail the gate, days in `kept` are not computed in a resumed run, views in `raising` raise.

    Checks pass but for those in `findings`, and raise `blind`; views and the log (`) in `late` are not fresh.
    """

    bad: set[date] = field(default_factory=set)
    raising: dict[str, Exception] = field(default_factory=dict)
    computed: list[tuple[str, list[date]]] = field(default_factory=list)
    published: list[str] = field(default_factory=list)
    runs: list[str | None] = field(default_factory=list)
    publication: OnlinePublication = field(default_factory=lambda: OnlinePublication(3, 3, datetime(2026, 5, 9, tzinfo=UTC), 0.1))
    kept: set[date] = field(default_factory=set)
    resumed: list[bool] = field(default_factory=list)
    chunk: int = 1_000
    asked: list[CommittedTotals | None] = field(default_factory=list)
    examined: list[tuple[str, list[date]]] = field(default_factory=list)
    findings: dict[str, Finding] = field(default_factory=dict)
    blind: Exception | None = None
    late: dict[str, Severity] = field(default_factory=dict)

    def materialize(self, view: FeatureView, days: Sequence[date], *, resume: bool = False, on_part: Any = None) -> SimpleNamespace:
        if view.name in self.raising:
            raise self.raising[view.name]
        self.resumed.append(resume)
        kept = [day for day in days if resume and day in self.kept]
        due = [day for day in days if day not in kept]
        parts = [self._part([self._kept(day) for day in kept])] if kept else []
        parts += [self._part([self._day(view, day) for day in due[start : start + self.chunk]]) for start in range(0, len(due), self.chunk)]
        self.computed.append((view.name, due))
        for part in parts if on_part else ():
            on_part(part)
        return self._part(sorted((day for part in parts for day in part.days), key=lambda each: each.day))

    def _part(self, days: list[SimpleNamespace]) -> SimpleNamespace:
        return SimpleNamespace(
            days=tuple(days),
            failed=any(each.status == "failed" for each in days),
            snapshot="771:771:",
            event_count=10 * len(days),
            event_range=(datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 5, 9, tzinfo=UTC)),
            seconds=0.25,
        )

    def publish_online(self, view: FeatureView, run_id: str | None = None) -> OnlinePublication:
        self.published.append(view.name)
        self.runs.append(run_id)
        return self.publication

    def ask(self, question: Callable[..., Any], *given: Any, **named: Any) -> Any:
        """Answer with the method that has the question's name."""
        return getattr(self, question.__name__)(*given, **named)

    def newest_rows(self, view: FeatureView, day: date, *, limit: int) -> tuple[list[str], list[tuple[object, ...]]]:
        return ["agent_id", view.features[0].name], [(view.agent, 4), (f"{view.agent}@{day}", None)][:limit]

    def log_volume(self, known: CommittedTotals | None = None) -> LogVolume:
        self.asked.append(known)
        now = datetime(2026, 5, 9, 12, tzinfo=UTC)
        agents = (
            AgentVolume("code-reviewer", 1_234, 5, 60, now - timedelta(minutes=40), now - timedelta(minutes=30)),
            AgentVolume("pisarz", 0, 0, 0, None, None),
        )
        return LogVolume(
            now,
            "771-1234",
            agents,
            now - timedelta(minutes=30),
            3,
            CommittedTotals("1/7711498557084967289/1", 771, {"code-reviewer": 1_234}),
        )

    def examine(self, view: FeatureView, days: Sequence[date]) -> list[Finding]:
        if self.blind:
            raise self.blind
        self.examined.append((view.name, list(days)))
        usual = {check.name: Finding(check.name, passed=True, summary="As it should be.") for check in BESIDE_THE_GATE}
        return list((usual | self.findings).values())

    def drift(self, view: FeatureView) -> Finding:
        return self.findings.get(DRIFT.name) or Finding(DRIFT.name, passed=True, summary=f"{view.name} is as it was.")

    def views_freshness(self, views: Sequence[FeatureView]) -> dict[str, Finding]:
        if self.blind:
            raise self.blind
        return {view.name: self._fresh(view.name) for view in views}

    def views_versions(self, views: Sequence[FeatureView]) -> dict[str, Finding]:
        usual = Finding(VERSION.name, passed=True, summary="All of this version.", figures={"data_hash": "new"})
        return {view.name: self.findings.get(VERSION.name, usual) for view in views}

    def log_freshness(self) -> Finding:
        if self.blind:
            raise self.blind
        return self._fresh("")

    def _fresh(self, name: str) -> Finding:
        late = self.late.get(name)
        return Finding(FRESH.name, passed=late is None, summary="Late." if late else "Fresh.", severity=late or "warn")

    def _kept(self, day: date) -> SimpleNamespace:
        return SimpleNamespace(
            day=day, status="kept", rows=24, hash=f"hash-of-{day}", written=0, null_rates=None, failures=None, events=0, event_range=None
        )

    def _day(self, view: FeatureView, day: date) -> SimpleNamespace:
        bad = day in self.bad
        return SimpleNamespace(
            day=day,
            status="failed" if bad else "published",
            rows=24,
            hash=f"hash-of-{day}",
            written=0 if bad else 24,
            null_rates={each.name: 0.25 for each in view.features if each.nullable},
            events=10,
            event_range=(datetime(day.year, day.month, day.day, 8, tzinfo=UTC), datetime(day.year, day.month, day.day, 17, tzinfo=UTC)),
            failures=[{"agent_id": view.agent, "column": view.features[0].name, "value": "-1", "check": "at least 0"}] if bad else None,
        )


@pytest.fixture(scope="session")
def dg() -> ModuleType:
    """Return Dagster, imported when a test first asks: collecting the tests must not cost its two seconds."""
    import dagster

    return dagster


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()
