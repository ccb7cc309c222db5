"""The feature server runs with the packages of its small image alone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from packaging.requirements import Requirement

from detektor_pipelines.stack import ports

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detektor_pipelines.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
_START = "import sys; sys.path += sys.argv[1:3]; del sys.argv[1:3]; from detektor_pipelines.cli import main; main()"


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def listed() -> set[str]:
    """Return the packages of the small image, without those that only the first releases of its Python need."""
    return names("docker/serving.txt") - (names("requirements.txt") - of_the_lock())


def of_the_lock() -> set[str]:
    """Return what of the lock this Python takes."""
    return {normal(each.name) for each in requirements("requirements.txt") if each.marker is None or each.marker.evaluate()}


def names(lock: str) -> set[str]:
    return {normal(each.name) for each in requirements(lock)}


def requirements(lock: str) -> list[Requirement]:
    lines = (ROOT / lock).read_text().splitlines()
    return [Requirement(line.rstrip(" \\")) for line in lines if re.match(r"[a-z0-9]", line)]


def size(packages: list[Distribution]) -> int:
    """Return the bytes of some packages on disk."""
    paths = (Path(str(package.locate_file(file))) for package in packages for file in package.files or ())
    return sum(path.stat().st_blocks * 512 for path in paths if path.is_file())


@pytest.fixture(scope="module")
def installed() -> dict[str, Distribution]:
    return {normal(each.metadata["Name"]): each for each in distributions()}


@pytest.fixture(scope="module")
def alone(installed: dict[str, Distribution], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory that holds the listed packages, by links, and nothing else."""
    directory = tmp_path_factory.mktemp("packages")
    for name in listed():
        package = installed[name]
        for top in {file.parts[0] for file in package.files or () if file.parts[0] not in {"..", "__pycache__"}}:
            if not (directory / top).exists():
                (directory / top).symlink_to(Path(str(package.locate_file(top))))
    return directory


@pytest.fixture
def server(alone: Path, servers: Settings, isolated_environment: Path) -> Iterator[str]:
    """Return the address of a feature server that has only these packages."""
    port = ports.free_port()
    isolated_environment.mkdir(exist_ok=True)
    words = [sys.executable, "-S", "-c", _START, str(alone), str(ROOT), "serve", "--port", str(port)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    process = subprocess.Popen(words, env=environment, cwd=isolated_environment, stderr=subprocess.PIPE, text=True)
    try:
        ends = time.monotonic() + 60
        while not ports.http_answers(port, "/health"):
            assert process.poll() is None, process.stderr.read() if process.stderr else ""
            assert time.monotonic() < ends
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.communicate()


def ask(url: str, body: object) -> tuple[int, dict[str, object]]:
    request = urllib.request.Request(f"{url}/get-online-features", json.dumps(body).encode(), {"content-type": "application/json"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_it_answers(server: str) -> None:
    status, answer = ask(server, {"features": ["code_review_features:recent_reviews_count"], "entities": {"agent_id": ["code-reviewer"]}})
    assert (status, answer["results"][1]["statuses"]) == (200, ["NOT_FOUND"])  # type: ignore[index]
    for path in ("/health/live", "/metrics", "/openapi.json"):
        with urllib.request.urlopen(server + path, timeout=30) as found:  # noqa: S310
            assert found.status == 200


def test_it_reads_the_registry_without_feast(server: str) -> None:
    status, answer = ask(
        server, {"features": ["code_review_features@v7:recent_reviews_count"], "entities": {"agent_id": ["code-reviewer"]}}
    )
    assert (status, "no version v7" in str(answer["detail"])) == (404, True)
    status, answer = ask(server, {"feature_service": "of_nobody", "entities": {"agent_id": ["code-reviewer"]}})
    assert status == 404, answer


def test_it_is_a_third_of_the_whole_or_less(installed: dict[str, Distribution]) -> None:
    small, whole = (size([installed[name] for name in names if name in installed]) for names in (listed(), of_the_lock()))
    assert small * 3 <= whole
