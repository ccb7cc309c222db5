"""The feature server for a quarter of a minute, and for half an hour, as `benchmarks/soak_serving.py` does it."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SOAK = Path(__file__).parents[3] / "benchmarks" / "soak_serving.py"
GROWTH_MB = 8
"""What the allocator may still take after the first tenth of so short a time. Whether something leaks, `test_memory` knows better."""


def soaked(minutes: float, share: float) -> dict[str, Any]:
    command = [sys.executable, str(SOAK), "--minutes", str(minutes), "--share", str(share), "--json"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3_000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert (found["errors"], found["first_errors"]) == (0, [])
    assert found["requests"] >= 0.5 * found["rate"] * minutes * 60, "others may need the machine meanwhile, but it went on"
    return found


@pytest.mark.slow
def test_some_seconds() -> None:
    found = soaked(0.1, 0.5)
    sizes = [part["memory_mb"] for part in found["over_time"] if not math.isnan(part["memory_mb"])]
    assert max(sizes) - sizes[0] < GROWTH_MB


@pytest.mark.long
@pytest.mark.timeout(2_400)
def test_half_an_hour() -> None:
    found = soaked(30, 0.7)
    assert found["memory_mb_an_hour"] - found["memory_mb_an_hour_plus_minus"] < 1
