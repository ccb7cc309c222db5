"""What a wheel holds and asks for, and what works of it without any extra."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from detektor_pipelines import __version__, installation

ROOT = Path(__file__).resolve().parents[3]
BASE = ("typer", "rich", "pydantic-settings", "pyyaml")
WITHOUT_SITE = (sys.executable, "-I", "-S", "-c")


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def requirements(text: str) -> dict[str, Requirement]:
    lines = [re.split(r"\s#", line)[0] for line in text.splitlines() if line and not line.startswith("#")]
    return {each.name: each for each in map(Requirement, lines)}


def asked_for(*extras: str) -> dict[str, Requirement]:
    """Return what extras ask for, with those that they are made of."""
    found: dict[str, Requirement] = {}
    for extra in extras:
        for each in map(Requirement, project()["optional-dependencies"][extra]):
            found |= asked_for(*each.extras) if each.name == project()["name"] else {each.name: each}
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a copy of the source: a build writes into its tree."""
    directory = tmp_path_factory.mktemp("wheel")
    files = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True
    )
    copied = [
        name for name in files.stdout.decode().split("\0") if re.match(r"(detektor_pipelines|dagster_home|feature_repo)/|[^/]+$", name)
    ]
    for name in copied:
        if (ROOT / name).is_file():
            (directory / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / "source" / name).write_bytes((ROOT / name).read_bytes())
    build = "import sys, setuptools.build_meta as backend; print(backend.build_wheel(sys.argv[1]))"
    words = [sys.executable, "-W", "ignore", "-c", build, str(directory)]
    subprocess.run(words, cwd=directory / "source", check=True, capture_output=True)
    (built,) = directory.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("unpacked")
    zipfile.ZipFile(wheel).extractall(directory)
    return directory


def test_bounds_are_those_of_the_lock() -> None:
    reasons = requirements((ROOT / "requirements.in").read_text())
    platform = requirements((ROOT / "requirements.in").read_text().partition("\n# Development")[0])
    base = {each.name: each for each in map(Requirement, project()["dependencies"])}
    asked = asked_for("platform") | base
    assert set(base) == set(BASE)
    assert {name: str(each) for name, each in asked.items()} == {name: str(each) for name, each in platform.items()}
    assert {name: str(each) for name, each in asked.items()}.items() <= {name: str(each) for name, each in reasons.items()}.items()


def test_serving_asks_for_what_its_image_has() -> None:
    image = requirements((ROOT / "docker/serving.in").read_text())
    assert set(asked_for("serve")) | set(BASE) == set(image)
    assert asked_for("all") == asked_for("platform")
    assert asked_for("train").keys() <= asked_for("platform").keys()
    assert asked_for("spark").keys() == {"pyspark"}
    assert asked_for("kafka").keys() == {"confluent-kafka"}


def test_every_python_that_the_lock_is_for_is_named() -> None:
    named = {each.rpartition(" ")[2] for each in project()["classifiers"] if "Python :: 3." in each}
    assert named == {"3.11", "3.12", "3.13"}
    assert project()["requires-python"] == ">=3.11,<3.14"


def test_the_wheel_holds_every_file_of_the_package_and_what_dagster_and_feast_read(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    source = {
        str(file.relative_to(ROOT))
        for file in (ROOT / "detektor_pipelines").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert source - names == set()
    assert {"guard.lua", "agents.toml", "page.html", "py.typed", "0001_raw_log.py"} <= {name.rpartition("/")[2] for name in names}
    data = {name.partition("/data/")[2] for name in names if ".data/data/" in name}
    shared = [
        f"{directory}/{file.name}"
        for directory in ("dagster_home", "feature_repo")
        for file in sorted((ROOT / directory).glob("*.*"))
        if file.is_file()  # Dagster's pages make a directory there
    ]
    assert {f"share/detektor-features/{each}" for each in shared if not each.endswith("pyc")} == data
    assert not [name for name in names if name.startswith(("tests", "docs", "docker"))]


def test_the_client_needs_no_package(unpacked: Path) -> None:
    """Python without site-packages: an import of anything but the standard library fails."""
    code = (
        f"import sys; sys.path.insert(0, {str(unpacked)!r}); from detektor_pipelines import AgentFeatures, __version__; print(__version__)"
    )
    done = subprocess.run([*WITHOUT_SITE, f"{code}; AgentFeatures('code-reviewer')"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{__version__}\n", "")


def test_a_package_that_is_absent_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(installation, "ROOT", tmp_path)
    with pytest.raises(ModuleNotFoundError) as caught:
        __import__("uvicorn_that_is_not_there.config")
    told = installation.absent_package(caught.value, "serve")
    assert told is not None
    assert told.what == "`detektor serve` needs the package uvicorn_that_is_not_there, which is not installed."
    assert told.fix == "pip install 'detektor-features[serve]'"
    assert (installation.absent_package(caught.value, "up") or told).fix == "pip install 'detektor-features[platform]'"
    assert installation.absent_package(ModuleNotFoundError("no", name="detektor_pipelines.nothing"), "up") is None
    assert installation.absent_package(ImportError("no"), "up") is None


def test_without_a_clone_dagsters_and_feasts_files_are_in_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    packages = tmp_path / "lib/python3.11/site-packages"
    monkeypatch.setattr(installation, "ROOT", packages)
    assert installation.beside("dagster_home") == tmp_path / "share/detektor-features/dagster_home"
    (packages / "dagster_home").mkdir(parents=True)
    assert installation.beside("dagster_home") == packages / "dagster_home"
    assert not installation.in_clone()
