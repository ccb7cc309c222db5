"""What the last ingest on this machine read and did not read, for who asks later: the log holds events, not the files that held none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines.clock import from_us, now_us
from detektor_pipelines.files import replace_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from detektor_pipelines.ingest.run import IngestReport

FILE: Final = "last-ingest.json"
_SKIPPED: Final = 50
"""Files that are named; the count is of all."""


def remember(home: Path, paths: Sequence[str | Path], report: IngestReport) -> None:
    """Keep what a run read; that it cannot be kept is no reason to fail."""
    counts = report.counts
    said = {
        "at": from_us(now_us()).isoformat(),
        "paths": [str(path) for path in paths],
        "files": dict(report.files),
        "skipped_files": len(report.skipped),
        "skipped": report.skipped[:_SKIPPED],
        "lines": report.lines,
        "bytes": report.size,
        "added": counts.added,
        "known": counts.known + counts.also_seen,
        "rejected": sum(report.rejected.values()),
    }
    try:
        home.mkdir(parents=True, exist_ok=True)
        replace_file(home / FILE, json.dumps(said, indent=1))
    except OSError:
        return


def last_run(home: Path) -> dict[str, Any] | None:
    """Return what `remember` kept; None when nothing was, or it cannot be read."""
    try:
        found = json.loads((home / FILE).read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and "files" in found else None
