"""On a disk that is full already, commands say what is full, where, and what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ON_A_FULL_DISK = """
mount -t tmpfs -o size=64k,mode=700 none {disk} || exit 77
cp {disk}.log {disk}/a.jsonl
dd if=/dev/zero of={disk}/ballast 2>/dev/null
TMPDIR={disk} DETEKTOR_HOME={disk}/home {detektor} {words}
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("words", ["up postgres", "ingest {disk}/a.jsonl", "clock --at 2026-03-05", "demo --logs {disk}"])
def test_a_disk_that_is_full_from_the_start_is_said(tmp_path: Path, words: str) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    Path(f"{disk}.log").write_text('{"agent":"a","operation":"review","occurred_at":"2026-03-05T10:00:00Z"}\n')
    script = ON_A_FULL_DISK.format(disk=disk, detektor=f"{sys.executable} -m detektor_pipelines", words=words.format(disk=disk))
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, check=False, timeout=60)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("this machine lets nobody mount")
    if words.startswith("ingest") and done.returncode == 0:
        return  # it needed none
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    for part in ("Error", "space", "where:", str(disk), "what to do:"):
        assert part in done.stderr
