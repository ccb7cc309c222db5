"""Feast's own tests of online stores, run in place against ours. Nothing of them is copied here.

They stand in Feast's repository and in no release of it, so they are taken from a clone: `DETEKTOR_FEAST_SOURCE` names one (any git
directory), else the tag of the installed version is fetched from GitHub into the cache, once. Without both they are skipped.

Each test runs on a real Redis, once as Feast wrote it (views of any types: `feast_other_views`), and once with each view of numbers and
instants handed in as one of our own, so that it goes through the packed values.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tempfile
from contextlib import suppress
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.redis_servers import redis_cluster

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings

HERE = Path(__file__).parent
SOURCE = os.environ.get("DETEKTOR_FEAST_SOURCE")
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "detektor"
GITHUB = "https://github.com/feast-dev/feast.git"
TESTS = "sdk/python/tests"

UNIVERSAL = (
    "test_entity_ttl_online_store",
    "test_write_to_online_store_event_check",
    "test_write_to_online_store",
    "test_online_retrieval_with_shared_batch_source",
    "test_online_retrieval_with_event_timestamps",
    "test_async_online_retrieval_with_event_timestamps",
    "test_online_list_retrieval",
    "test_online_store_cleanup",
    "test_online_retrieval_success",
    "test_push_features_and_read",
    "test_push_features_and_read_async",
)
SHORT = (
    *UNIVERSAL,
    "test_write_read_without_versioning",
    "test_write_read_with_versioning_v1",
    "test_version_isolation",
    "test_projection_version_tag_routes_to_correct_table",
    "test_teardown_cleans_up",
    "test_delete_table_versioned",
)
LONG = (*SHORT, "test_e2e_consistency", "test_feature_get_online_features_types_match")
FILES = (
    "test_universal_online.py",
    "test_universal_online_types.py",
    "test_universal_e2e.py",
    "test_push_features_to_online_store.py",
    "test_redis_versioning.py",
)


@pytest.fixture(scope="session")
def feast_tests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpack Feast's tests, and nothing else of it: the installed Feast is under test. Returns the directory that `tests` stands in."""
    repository, revision = _repository()
    packed = subprocess.run(["git", "-C", repository, "archive", revision, TESTS], capture_output=True, check=True, timeout=120).stdout
    directory = tmp_path_factory.mktemp("feast")
    with tarfile.open(fileobj=BytesIO(packed)) as archive:
        archive.extractall(directory, filter="data")
    return directory / Path(TESTS).parent


@pytest.mark.slow
@pytest.mark.parametrize("as_ours", [False, True], ids=["as Feast wrote them", "as views of ours"])
def test_feasts_own_tests_pass(feast_tests: Path, redis_db: Settings, tmp_path: Path, as_ours: bool) -> None:  # noqa: FBT001
    found = _run(feast_tests, redis_db.redis_url, tmp_path, SHORT, as_ours=as_ours)
    assert _names(found) == set(SHORT)
    assert bool(found["as_ours"]) == as_ours


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("as_ours", [False, True], ids=["as Feast wrote them", "as views of ours"])
def test_all_of_feasts_own_tests_pass(feast_tests: Path, redis_db: Settings, tmp_path: Path, as_ours: bool) -> None:  # noqa: FBT001
    found = _run(feast_tests, redis_db.redis_url, tmp_path, LONG, as_ours=as_ours)
    assert _names(found) == set(LONG)
    assert bool(found["as_ours"]) == as_ours


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_feasts_own_tests_pass_on_a_cluster(feast_tests: Path, tmp_path: Path) -> None:
    with redis_cluster(tmp_path / "cluster") as cluster:
        found = _run(feast_tests, cluster.url, tmp_path, UNIVERSAL, as_ours=False)
    assert _names(found) == set(UNIVERSAL)


def _repository() -> tuple[str, str]:
    """Return a clone of Feast and what of it to take: the installed version where the clone has it, else its newest commit."""
    tag = f"v{version('feast')}"
    if SOURCE:
        words = ["git", "-C", SOURCE, "rev-parse", "--verify", "--quiet", f"refs/tags/{tag}"]
        known = subprocess.run(words, check=False, capture_output=True)
        return SOURCE, tag if known.returncode == 0 else "HEAD"
    clone = CACHE / f"feast-{tag}"
    if not clone.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as directory:
            words = ["git", "clone", "--quiet", "--bare", "--depth", "1", "--branch", tag, GITHUB, f"{directory}/clone"]
            try:
                subprocess.run(words, check=True, capture_output=True, timeout=180, env=os.environ | {"GIT_TERMINAL_PROMPT": "0"})
            except (OSError, subprocess.SubprocessError) as error:
                said = (getattr(error, "stderr", None) or b"").decode(errors="replace").strip()[-200:]
                pytest.skip(f"Feast's tests cannot be fetched ({said or error}); DETEKTOR_FEAST_SOURCE may name a clone of its repository")
            with suppress(OSError):  # another process was quicker
                Path(f"{directory}/clone").rename(clone)
    return str(clone), tag


def _run(feast_tests: Path, redis_url: str, directory: Path, tests: tuple[str, ...], *, as_ours: bool) -> dict[str, object]:
    files = [str(path) for name in FILES for path in sorted(feast_tests.rglob(name))]
    results = directory / "results.json"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DETEKTOR_", "PYTEST_"))} | {
        "PYTHONPATH": str(HERE / "conformance"),
        "FULL_REPO_CONFIGS_MODULE": "detektor_stores",
        "DETEKTOR_CONFORMANCE_REDIS": redis_url,
        "DETEKTOR_CONFORMANCE_TESTS": " ".join(tests),
        "DETEKTOR_CONFORMANCE_RESULTS": str(results),
        "DETEKTOR_CONFORMANCE_AS_OURS": "1" if as_ours else "",
        "FEAST_USAGE": "False",
        "IS_TEST": "True",
        "TMPDIR": str(directory),
    }
    words = [sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", str(feast_tests), "-p", "detektor_plugin"]
    words += ["-p", "no:cacheprovider", "--integration", "-q", "--tb=short", *files]
    done = subprocess.run(words, cwd=feast_tests, env=environment, capture_output=True, text=True, check=False)
    assert results.exists(), done.stdout[-4000:] + done.stderr[-4000:]
    found: dict[str, object] = json.loads(results.read_text())
    assert done.returncode == 0, done.stdout[-60_000:]
    assert set(found["outcomes"].values()) == {"passed"}, found["outcomes"]
    return found


def _names(found: dict[str, object]) -> set[str]:
    return {name.rpartition("::")[2].partition("[")[0] for name in found["outcomes"]}
