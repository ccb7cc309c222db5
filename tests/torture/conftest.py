"""Which histories to play: `--seeds 17`, `--seeds 100-150,9`, or `--history FILE` with one as `Failure.told` prints it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seeds", help="histories to play, for example 17 or 100-150,9")
    parser.addoption("--history", type=Path, help="a file with histories as data, one a line")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Play only what is asked for, if something is."""
    wanted = {name for option, name in (("--seeds", "seed"), ("--history", "line")) if config.getoption(option)}
    if wanted:
        left_out = [item for item in items if not wanted.intersection(getattr(item, "fixturenames", ()))]
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)
