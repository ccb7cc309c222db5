"""Rule 8: the platform has one clock, the real one unless DETEKTOR_NOW fixes or shifts it."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.log_rows import insert
from support.rule_log import run, stored
from support.rule_views import happened, instants_of, view_of

import detektor_pipelines
from detektor_pipelines.clock import now_us, parse_instant
from detektor_pipelines.errors import UserError
from detektor_pipelines.language import count, days

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings

SECOND = 1_000_000


def test_08_by_default_it_is_the_real_time() -> None:
    assert abs(now_us() - time.time_ns() // 1000) < 60 * SECOND


def test_08_it_can_be_fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-05T10:00:00Z")

    assert now_us() == now_us() == parse_instant("2026-03-05 10:00")


@pytest.mark.parametrize(("offset", "seconds"), [("+3d", 259_200), ("-36h", -129_600), ("+1d12h", 129_600)])
def test_08_it_can_be_shifted(monkeypatch: pytest.MonkeyPatch, offset: str, seconds: int) -> None:
    monkeypatch.setenv("DETEKTOR_NOW", offset)

    assert abs(now_us() - time.time_ns() // 1000 - seconds * SECOND) < 60 * SECOND


def test_08_nonsense_is_named_with_what_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETEKTOR_NOW", "tomorrow")

    with pytest.raises(UserError, match="DETEKTOR_NOW=tomorrow is neither a timestamp nor an offset"):
        now_us()


def test_08_a_run_ends_at_the_clock(log: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    insert(log, [happened("2026-03-05 09:30"), happened("2026-03-05 10:30", event_id="ahead")])
    view = view_of(number=(count(), days(1)))
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-05T10:00:00Z")
    run(log, view, "2026-03-05", "2026-03-06")

    assert instants_of(stored(log, view)) == ["03-05 10:00"]


def test_08_nothing_that_makes_numbers_asks_another_clock() -> None:
    """The real one's are MLflow's runs, a hook's stamps, a file's age, when Feast reads its registry again, since when a process runs.

    No value depends on them.
    """
    asking = re.compile(r"\btime\.time(_ns)?\(|datetime\.(now|utcnow|today)\(|date\.today\(")
    package = Path(detektor_pipelines.__file__).parent
    files = [path for layer in ("language", "catalog", "compile", "stores", "engine", "ingest") for path in (package / layer).rglob("*.py")]
    asked = {path.relative_to(package).as_posix() for path in files if asking.search(path.read_text(encoding="utf-8"))}

    assert len(files) > 50
    assert asked <= {
        "compile/loaded.py",
        "ingest/live/hook_records.py",
        "ingest/live/spool.py",
        "stores/feast/read.py",
        "stores/mlflow/tracking.py",
    }
