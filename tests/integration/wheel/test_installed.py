"""The wheel in environments of its own, with the packages that its extras bring from the registry. Minutes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from detektor_pipelines import __version__

ROOT = Path(__file__).resolve().parents[3]
UV = Path(sys.executable).parent / "uv"

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("built")
    for name in ("pyproject.toml", "README.md", "LICENSE", "detektor_pipelines", "dagster_home", "feature_repo"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, directory / name)
    words = [
        UV,
        "build",
        "--quiet",
        "--wheel",
        "--no-build-isolation",
        "--python",
        sys.executable,
        "--out-dir",
        directory / "dist",
        directory,
    ]
    subprocess.run(words, check=True)
    (built,) = (directory / "dist").glob("*.whl")
    return built


class Installed:
    """An environment with the wheel and some extras; commands stand in an empty directory."""

    def __init__(self, directory: Path, wheel: Path, extras: str) -> None:
        self.directory = directory
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", directory / "venv"], check=True)
        asked = f"detektor-features{extras} @ {wheel.as_uri()}"
        subprocess.run([UV, "pip", "install", "--quiet", "--python", directory / "venv/bin/python", asked], check=True, cwd=directory)

    def run(self, program: str, *words: str) -> subprocess.CompletedProcess[str]:
        given = {key: value for key, value in os.environ.items() if not key.startswith(("DETEKTOR_", "PYTHON"))}
        environment = {**given, "DETEKTOR_HOME": str(self.directory / "state")}
        return subprocess.run(
            [self.directory / "venv/bin" / program, *words],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.directory,
            env=environment,
        )


def test_without_an_extra_the_client_works_and_commands_say_what_they_want(wheel: Path, tmp_path: Path) -> None:
    bare = Installed(tmp_path, wheel, "")
    assert bare.run("detektor", "--version").stdout == f"{__version__}\n"
    assert bare.run("detektor", "features", "list").returncode == 0
    assert bare.run("python", "-c", "from detektor_pipelines import AgentFeatures; AgentFeatures('pisarz')").returncode == 0
    for command, extra in (("up", "platform"), ("serve", "serve"), ("stream", "platform"), ("status", "platform")):
        done = bare.run("detektor", command)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert f"pip install 'detektor-features[{extra}]'" in done.stderr


def test_with_everything_servers_start_and_are_well(wheel: Path, tmp_path: Path) -> None:
    whole = Installed(tmp_path, wheel, "[all]")
    assert whole.run("detektor", "--version").stdout == f"{__version__}\n"
    try:
        started = whole.run("detektor", "up", "--free-ports")
        assert started.returncode == 0, started.stderr
        found = whole.run("detektor", "doctor")
        assert "all that the platform asks for" in found.stdout
        simulated = whole.run("detektor", "simulate", "--days", "3")
        assert simulated.returncode == 0, simulated.stderr
    finally:
        whole.run("detektor", "down")
