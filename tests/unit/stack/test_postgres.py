from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from detektor_pipelines.stack.servers import postgres

if TYPE_CHECKING:
    from pathlib import Path

GIGABYTE = 1024**3


@pytest.mark.parametrize(
    ("gigabytes", "expected"),
    [(1, "512MB"), (4, "512MB"), (16, "2048MB"), (24, "3072MB"), (256, "4096MB")],
)
def test_the_cache_grows_with_the_memory_within_bounds(gigabytes: int, expected: str) -> None:
    assert postgres.shared_buffers(gigabytes * GIGABYTE) == expected


def test_the_memory_is_no_more_than_the_machine_has() -> None:
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert GIGABYTE // 8 < postgres.memory() <= machine


@pytest.mark.parametrize(
    ("limit", "expected"),
    [("max\n", 24 * GIGABYTE), (f"{8 * GIGABYTE}\n", 8 * GIGABYTE), (f"{2**62}\n", 24 * GIGABYTE), (None, 24 * GIGABYTE)],
)
def test_a_container_has_no_more_than_its_limit(limit: str | None, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 24 * GIGABYTE // 4096}.__getitem__)
    if limit is not None:
        (tmp_path / "memory.max").write_text(limit)
    assert postgres.memory(tmp_path / "memory.max") == expected
