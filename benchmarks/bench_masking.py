"""What masking adds to ingest: the same logs into the same tables with it and without it, in turn.

    .venv/bin/python benchmarks/bench_masking.py [PATH] [--turns 5] [--json]

Without PATH it reads `context-evaluator/events.slim.jsonl.gz` of DETEKTOR_SHARED_DATA (default: `../shared/data` beside the repository).
Every turn starts with empty tables; figures are medians of the turns. Processor time is this process's, for other programs disturb it less.

- with, without: `ingest` of the logs into PostgreSQL.
"""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import measuring

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings

REAL_LOG = "context-evaluator/events.slim.jsonl.gz"


def main() -> None:
    """Measure and print."""
    parser = measuring.options(__doc__)
    data = Path(os.environ.get("DETEKTOR_SHARED_DATA") or measuring.REPOSITORY.parent / "shared" / "data")
    parser.add_argument("path", nargs="?", type=Path, default=data / REAL_LOG)
    parser.add_argument("--turns", type=int, default=5)
    arguments = parser.parse_args()
    figures = measuring.machine()
    if not arguments.path.exists():
        measuring.say(f"{arguments.path} is not there: nothing is measured (DETEKTOR_SHARED_DATA names the directory real logs are in)")
        measuring.show(figures, as_json=arguments.json)
        return
    measured: dict[str, list[float]] = {}
    with measuring.servers() as (settings,):
        for turn in range(arguments.turns + 1):
            for name in ("with", "without") if turn % 2 else ("without", "with"):
                wall, busy, events = _ingest(settings, arguments.path, masked=name == "with")
                if turn:
                    measured.setdefault(f"{name}_s", []).append(wall)
                    measured.setdefault(f"{name}_processor_s", []).append(busy)
                figures["events"] = events
    figures |= {name: statistics.median(values) for name, values in measured.items()}
    figures["with_over_without"] = figures["with_processor_s"] / figures["without_processor_s"]
    figures["microseconds_an_event"] = (figures["with_processor_s"] - figures["without_processor_s"]) * 1e6 / figures["events"]
    measuring.show(figures, as_json=arguments.json)


def _ingest(settings: Settings, path: Path, *, masked: bool) -> tuple[float, float, int]:
    from detektor_pipelines.ingest.masking import Masker
    from detektor_pipelines.ingest.run import ingest
    from detektor_pipelines.stores.connections import connect

    with connect(settings) as connection:
        connection.execute("TRUNCATE ml_learning.agent_events, ml_learning.event_ids, ml_learning.rejected_events, ml_learning.log_origin")
    event, rejection = Masker.event, Masker.rejection
    if not masked:
        setattr(Masker, "event", _as_it_is)  # noqa: B010  what is compared
        setattr(Masker, "rejection", _as_it_is)  # noqa: B010
    try:
        started, busy = time.perf_counter(), time.process_time()
        report = ingest(settings, [path])
        return time.perf_counter() - started, time.process_time() - busy, report.counts.added
    finally:
        setattr(Masker, "event", event)  # noqa: B010
        setattr(Masker, "rejection", rejection)  # noqa: B010


def _as_it_is(_masker: Any, record: Any) -> Any:
    return record


if __name__ == "__main__":
    main()
