"""`detektor status` and `detektor restart` after the definitions have changed under running programs, which are asked all the while."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.package_copy import PackageCopy
from support.serving_client import Server
from support.serving_load import load

from detektor_pipelines import clock, stack
from detektor_pipelines.catalog import view_named
from detektor_pipelines.compile.loaded import combined_hash
from detektor_pipelines.language.records import AgentEvent
from detektor_pipelines.stores.raw_log.bulk import append
from detektor_pipelines.stores.schema import migrate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stack import StackStatus

pytestmark = pytest.mark.slow

DETEKTOR = Path(sys.executable).with_name("detektor")
VIEW = view_named("code_review_features")
_ENDS_AT_ONCE = """
def register(app):
    app.command("serve")(serve)


def serve(port: int = 0):
    raise SystemExit(3)
"""
OLD, NEW = f"{VIEW.name}:recent_reviews_count", f"{VIEW.name}:reviews_of_three_days"


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PackageCopy:
    """The package that every program of this test loads, and every command."""
    made = PackageCopy(tmp_path / "code")
    monkeypatch.setenv("PYTHONPATH", made.environment["PYTHONPATH"])
    return made


@pytest.fixture
def running(settings: Settings, copy: PackageCopy) -> Iterator[StackStatus]:
    """A stream worker and a feature server over stores of their own."""
    del copy  # first: what is started loads it
    try:
        begun = stack.up(settings, ("postgres", "redis"), free_ports=True)
        migrate(begun.settings)
        yield stack.up(begun.settings, ("stream", "serve"), free_ports=True)
    finally:
        stack.down(settings)


def review(settings: Settings, number: int) -> None:
    """Add one review of now to the log."""
    at = clock.now_us()
    append(settings, [AgentEvent(f"r{number}", VIEW.agent, "r", "review", at, "test", known_at=at)])


def detektor(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([DETEKTOR, *words], capture_output=True, text=True, check=False)


def values(server: Server, *features: str) -> list[Any]:
    answer = server.read(list(features), [VIEW.agent])
    return [each["values"][0] for each in answer.json["results"][1:]] if answer.status == 200 else [answer.json["detail"]]


def until(server: Server, wanted: list[Any], *features: str) -> None:
    deadline = time.monotonic() + 60
    while (found := values(server, *features)) != wanted:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def present(answer: Any) -> None:
    """Require that a value is there: also of the version that has just taken over."""
    (status,), (value,) = answer["results"][1]["statuses"], answer["results"][1]["values"]
    assert (status, value is not None and value >= 3) == ("PRESENT", True), answer


def pids(settings: Settings) -> dict[str, int]:
    return {each.name: each.pid for each in stack.status(settings).services if each.pid}


@pytest.mark.long
def test_programs_are_brought_to_the_definitions_on_disk(copy: PackageCopy, running: StackStatus) -> None:
    settings = running.settings
    server = Server(settings.serve_port, None, Path())
    for number in range(3):
        review(settings, number)
    until(server, [3], OLD)
    assert json.loads(detektor("status", "--json").stdout)["definitions"]["same"]

    copy.add_a_feature()
    with load(settings.serve_port, [OLD], [VIEW.agent], look=present) as asking:
        asking.awaits(20)
        said = json.loads(detektor("status", "--json").stdout)["definitions"]
        assert {each["name"]: (each["differs"], each["hash"]) for each in said["processes"]} == {
            "serve": (True, combined_hash()),
            "stream": (True, combined_hash()),
        }
        assert all(
            each["words"].startswith(f"{VIEW.name} {VIEW.version} (") and ", here 2.0.0 (" in each["words"] for each in said["processes"]
        )
        assert "detektor restart" in detektor("status").stdout
        assert "detektor restart" in detektor("doctor").stdout
        assert f"Loaded here is code_review_features {VIEW.version}" in values(server, NEW)[0]

        whole, before = copy.read(), pids(settings)
        copy.write(whole[:1500])
        refused = detektor("restart")
        assert refused.returncode == 1
        assert "code_reviewer.py, line " in refused.stderr
        copy.write(whole)
        assert pids(settings) == before, "what ran goes on"

        over = threading.Event()

        def work() -> None:
            number = 3
            while not over.wait(0.2):
                review(settings, number)
                number += 1
            counted.append(number)

        counted: list[int] = []
        worker = threading.Thread(target=work)
        worker.start()
        done = detektor("restart", "--json")
        over.set()
        worker.join()
        assert done.returncode == 0, done.stdout + done.stderr
        asking.awaits(20)
    assert asking.failures == []
    restarted = json.loads(done.stdout)
    assert [(each["name"], each["problem"]) for each in restarted["restarted"]] == [("stream", None), ("serve", None)]
    assert (restarted["problems"], restarted["definitions"]["views"][VIEW.name]["version"]) == ([], "2.0.0")
    until(server, [counted[0], counted[0]], OLD, NEW)
    assert json.loads(detektor("status", "--json").stdout)["definitions"]["same"]

    copy.write(_ENDS_AT_ONCE, Path("cli_commands") / "serve.py")
    broken = detektor("restart", "serve", "--json")
    assert broken.returncode == 1
    (problem,) = json.loads(broken.stdout)["problems"]
    assert problem.startswith("Feature server: it does not answer")
