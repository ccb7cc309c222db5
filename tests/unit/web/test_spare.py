"""The spare process, as the server makes it."""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING

import pytest

from detektor_pipelines.web import spare

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is no spare")


def test_neither_process_looks_for_garbage_in_what_both_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The collection before a server answers would take the spare longer than all the rest, and copy the memory that the two share."""
    frozen: list[int] = []

    def fork() -> int:
        frozen.append(gc.get_freeze_count())
        return os.getpid()

    monkeypatch.setattr(os, "fork", fork)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    gc.unfreeze()
    tracked = len(gc.get_objects())
    try:
        with socket.socket() as listener:
            beside = spare.leave_one(spare.name_of(tmp_path, 1), listener)
        assert beside is not None
        assert beside.pipe is not None
        os.close(beside.pipe)
        assert frozen[0] > tracked / 2
    finally:
        gc.unfreeze()
