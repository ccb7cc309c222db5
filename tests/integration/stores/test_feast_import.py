"""Feast is imported as it is written, and nobody else's type checks are lost by that."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from detektor_pipelines.settings import Settings

CHECKED = """
import typeguard
from detektor_pipelines.settings import get_settings
from detektor_pipelines.stores.feast.registry import apply, closing_store

with closing_store(get_settings()) as store:
    from feast import Entity, FeatureView

    print(any("check_argument" in name for each in (Entity, FeatureView) for name in each.__init__.__code__.co_names))
    print(store.list_feature_views())


@typeguard.typechecked
def number(given: int) -> int:
    return given


try:
    number("a")
except typeguard.TypeCheckError:
    print("checked")
"""


@pytest.mark.slow
def test_its_classes_are_not_compiled_twice(database: Settings, tmp_path: Path) -> None:
    del database
    script = tmp_path / "checked.py"
    script.write_text(CHECKED)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["False", "[]", "checked"], done.stderr[-2000:]
