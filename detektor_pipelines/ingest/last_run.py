"""What the last ingest on this machine read and did not read, for who asks later: the log holds events, not the files that held none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines.clock import from_us, now_us
from detektor_pipelines.files import replace_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FILE: Final = "last-ingest.json"


def remember(home: Path, said: Mapping[str, Any]) -> None:
    """Keep what a run said of itself; that it cannot be kept, as where no state directory is, is no reason to fail."""
    try:
        replace_file(home / FILE, json.dumps({"at": from_us(now_us()).isoformat(), **said}, indent=1))
    except OSError:
        return


def last_run(home: Path) -> dict[str, Any] | None:
    """Return what `remember` kept; None when nothing was, or it cannot be read."""
    try:
        found = json.loads((home / FILE).read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and "files" in found else None
