"""A container engine for tests: its command, our images, and stand-ins for those of others where none can be pulled."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

from detektor_pipelines import __version__

ROOT: Final = Path(__file__).resolve().parents[2]
STANDINS: Final = ROOT / "tests/integration/docker/standins"
BASE: Final = "python:3.11.11-slim-bookworm"
OF_OTHERS: Final = {
    "postgres:18.1-bookworm": "postgres",
    "redis:7.2.6-bookworm": "redis",
    "prom/prometheus:v3.1.0": "prometheus",
    "prom/alertmanager:v0.28.0": "alertmanager",
}
"""Names in the compose files, and the recipe of each. Grafana has none."""


def docker(*words: str, check: bool = True, cwd: Path = ROOT) -> str:
    """Run `docker …` and return what it wrote; the empty string when it failed and need not be checked."""
    done = subprocess.run(
        ["docker", *words], capture_output=True, text=True, check=False, cwd=cwd, env=os.environ | {"DOCKER_BUILDKIT": "1"}
    )
    assert not check or done.returncode == 0, f"docker {' '.join(words[:4])}: {done.stdout[-500:]}{done.stderr[-3_000:]}"
    return done.stdout.strip() if done.returncode == 0 else ""


def standins_wanted() -> bool:
    """Tell whether images of others are made here instead of pulled: DETEKTOR_TEST_STANDINS=1."""
    return os.environ.get("DETEKTOR_TEST_STANDINS") == "1"


def build() -> None:
    """Build our two images; with stand-ins, on a base made here if it is not there yet. DETEKTOR_TEST_BASE names another base."""
    if standins_wanted() and not docker("image", "inspect", BASE, check=False):
        subprocess.run(["sh", STANDINS / "base.sh", BASE], check=True)
    base = [f"--build-arg=BASE={name}"] if (name := os.environ.get("DETEKTOR_TEST_BASE")) else []
    for target, name in (("serving", "detektor-features-serving"), ("full", "detektor-features")):
        docker("build", "--network=host", *base, "-f", "docker/Dockerfile", "--target", target, "-t", f"{name}:{__version__}", ".")


def build_standins() -> None:
    """Make images of others under their names, where they are wanted and not there."""
    for name, recipe in OF_OTHERS.items():
        if standins_wanted() and not docker("image", "inspect", name, check=False):
            ours = [f"--build-arg=OURS=detektor-features:{__version__}"] if recipe == "postgres" else []
            docker("build", "--network=host", *ours, "-f", str(STANDINS / f"{recipe}.Dockerfile"), "-t", name, str(STANDINS))
