"""How often Python looks for cycles of objects while logs are read and stored.

Belongs here: that alone. Both halves of a run need it, and they may be two processes (`ingest.reading`).
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_THRESHOLDS: Final = (50_000, 20, 100)


@contextmanager
def looked_for_rarely() -> Iterator[None]:
    """Let Python look for cycles less often: a record is many small objects and no cycle.

    The usual search costs a tenth of reading and a fifth of storing.
    """
    before = gc.get_threshold()
    gc.set_threshold(*_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
