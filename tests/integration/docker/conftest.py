"""What the tests with a container engine share."""

from __future__ import annotations

import shutil

import pytest
from support.container_engine import build, docker


@pytest.fixture(scope="session")
def images() -> None:
    """Build both images, or skip where no engine answers."""
    if shutil.which("docker") is None or not docker("info", "--format", "{{.ServerVersion}}", check=False):
        pytest.skip("no container engine answers here")
    build()
