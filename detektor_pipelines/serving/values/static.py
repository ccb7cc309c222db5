"""Whether somebody has switched serving to the values kept last: the file `serve-static.json` in the home directory.

`detektor rollback --static` writes it, `--live` takes it away. Servers look at it many times a second, so neither needs a restart. While it
is there Redis is not asked for values, and what was kept last stays as it was: it may be Redis that is wrong.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Final

from detektor_pipelines import clock
from detektor_pipelines.files import replace_file

if TYPE_CHECKING:
    from pathlib import Path

    from detektor_pipelines.settings import Settings

FILE: Final = "serve-static.json"
_LOOK_S: Final = 0.1


class StaticSwitch:
    """Says whether it is on, as of a tenth of a second ago."""

    def __init__(self, settings: Settings) -> None:
        self._file = settings.home / FILE
        self._looked, self._on = float("-inf"), False

    @property
    def on(self) -> bool:
        """Whether serving is switched to the values kept last."""
        now = time.monotonic()
        if now - self._looked > _LOOK_S:
            self._looked, self._on = now, self._file.exists()
        return self._on

    @property
    def since(self) -> str | None:
        """When it was switched on, ISO 8601; None while it is off, or when nobody knows."""
        return since(self._file)


def since(file: Path) -> str | None:
    """Return what a switch's file says of when it was made, None without one."""
    try:
        return str(json.loads(file.read_bytes())["since"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def switch(settings: Settings, *, on: bool) -> bool:
    """Switch serving to the values kept last, or back to Redis; returns whether that changed anything."""
    file = settings.home / FILE
    if on == file.exists():
        return False
    if on:
        replace_file(file, json.dumps({"since": clock.to_text(clock.now_us())}) + "\n")
    else:
        file.unlink(missing_ok=True)
    return True
