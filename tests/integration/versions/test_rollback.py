"""Back to the version before and forward again, under load, on real servers; the end of a version; serving from static values.

The drill says how long each step took, for the page about versions: `pytest -s` shows it.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.serving_client import Server
from support.serving_load import load

from detektor_pipelines import clock, stack
from detektor_pipelines.catalog import DECLARED, view_named
from detektor_pipelines.language.hashes import data_hash, short_hash
from detektor_pipelines.language.records import AgentEvent
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.connections_redis import redis_client
from detektor_pipelines.stores.feast import registered
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.stores.online import versions as online_versions
from detektor_pipelines.stores.raw_log.bulk import append
from detektor_pipelines.stream.run import workers
from detektor_pipelines.versions import choice

if TYPE_CHECKING:
    from conftest import Installation

    from detektor_pipelines.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_200)]

VIEW = view_named("code_review_features", DECLARED)
OLD, NEW = f"{VIEW.name}:recent_reviews_count", f"{VIEW.name}:reviews_of_three_days"
SHOWN = f"SELECT count(*) FROM information_schema.columns WHERE table_schema = 'feast' AND table_name = '{VIEW.name}'"


def review(settings: Settings, number: int) -> None:
    """Add one review of now to the log."""
    at = clock.now_us()
    append(settings, [AgentEvent(f"drill{number}", VIEW.agent, "r", "review", at, "test", known_at=at, simulated=True)])


def value(server: Server, feature: str) -> Any:
    """Return a feature's value, or the title of why there is none."""
    answer = server.read([feature], [VIEW.agent])
    return answer.json["results"][1]["values"][0] if answer.status == 200 else answer.json["title"]


def until(server: Server, wanted: Any, feature: str) -> None:
    deadline = time.monotonic() + 60
    while (found := value(server, feature)) != wanted:
        assert time.monotonic() < deadline, (feature, found, wanted)
        time.sleep(0.05)


def present(answer: Any) -> None:
    """Require that a value is there, whichever version has just taken over."""
    (status,), (found,) = answer["results"][1]["statuses"], answer["results"][1]["values"]
    assert (status, found is not None) == ("PRESENT", True), answer


def loaded(server: Server) -> str:
    version: str = server.get("/health").json["definitions"]["views"][VIEW.name]["version"]
    return version


@pytest.mark.long
def test_drill(installation: Installation) -> None:
    settings, took = installation.settings, {}

    def timed(name: str, *words: str) -> str:
        started = time.monotonic()
        said = installation.done(*words)
        took[name] = time.monotonic() - started
        return said

    timed("apply, first", "apply", "--yes")
    settings = stack.up(settings, ("stream", "serve"), free_ports=True).settings
    server = Server(settings.serve_port, None, Path())
    until(server, "OK", OLD) if value(server, OLD) is None else None
    base = value(server, OLD)
    review(settings, 1)
    until(server, base + 1, OLD)

    installation.copy.add_a_feature()
    with load(settings.serve_port, [OLD], [VIEW.agent], look=present) as asking:
        asking.awaits(20)
        timed("apply, one view", "apply", "--yes")
        assert loaded(server) == "2.0.0"
        three_days = value(server, NEW)
        review(settings, 2)
        until(server, base + 2, OLD)
        until(server, three_days + 1, NEW)
        until(server, base + 2, f"{VIEW.name}@v0:recent_reviews_count")  # the version before is kept fresh beside

        said = json.loads(timed("rollback", "rollback", VIEW.name, "--to", VIEW.version, "--json"))
        assert (said["version"], said["pinned"], said["everywhere"], said["failed_days"]) == (VIEW.version, True, True, [])
        assert said["days_computed"] <= 2, "what was published stands; the day that is not over is computed anew"
        assert loaded(server) == VIEW.version
        assert value(server, NEW) == f"{VIEW.name} has no feature 'reviews_of_three_days'"
        assert registered.present(settings)[VIEW.name].data_hash == data_hash(VIEW)
        assert [each["definitions"]["views"][VIEW.name]["version"] for each in workers(settings)] == [VIEW.version]
        with connect(settings) as connection:
            assert connection.execute(SHOWN).fetchone() == (len(VIEW.features) + 4,), "the plain name shows the version in force"
        assert json.loads(installation.done("features", "list", VIEW.name, "--json"))[0]["version"] == VIEW.version, "batch computes it too"
        assert json.loads(installation.done("status", "--json"))["definitions"]["same"]
        (held,) = [view for view in installation.plan(0)["views"] if view["held_instead_of"]]
        assert (held["view"], held["held_instead_of"]) == (VIEW.name, "2.0.0")
        review(settings, 3)
        until(server, base + 3, OLD)

        timed("forward", "rollback", VIEW.name, "--forward")
        assert loaded(server) == "2.0.0"
        until(server, base + 3, OLD)
        until(server, three_days + 2, NEW)
        assert not (settings.home / "versions.json").read_text().count('"pinned": {\n')
        asking.awaits(20)
    assert asking.failures == []

    _retire(installation, settings, server)
    for name, seconds in took.items():
        sys.stdout.write(f"{name}: {seconds:.1f} s\n")


def _retire(installation: Installation, settings: Settings, server: Server) -> None:
    for version, why in (("2.0.0", "has no version 2.0.0"), (VIEW.version, "MLflow does not answer")):
        refused = installation.call("retire", VIEW.name, "--version", version, "--yes")
        assert (refused.returncode, why in refused.stderr) == (1, True), refused.stderr
    new = registered.present(settings)[VIEW.name].data_hash[:12]
    refused = installation.call("retire", VIEW.name, "--version", new, "--force", "--yes")
    assert (refused.returncode, "is in force" in refused.stderr) == (1, True), refused.stderr
    asked = installation.call("retire", VIEW.name, "--version", VIEW.version, "--force")
    assert (asked.returncode, "Delete" in asked.stdout) == (1, True), asked.stderr

    gone = json.loads(installation.done("retire", VIEW.name, "--version", VIEW.version, "--force", "--yes", "--json"))
    assert min(gone["rows"], gone["days"], gone["online_values"]) > 0
    with redis_client(settings) as client:
        assert {each.hash for each in online_versions.held(client, settings.project) if each.view == VIEW.name} == {new}
        time.sleep(2)
        assert online.read(client, settings.project, VIEW, [VIEW.agent]) == [None], "nobody writes it again"
    with connect(settings) as connection:
        assert connection.execute(f"SELECT to_regclass('feast.{VIEW.name}__{short_hash(VIEW)}')").fetchone() == (None,)
    assert {digest for view, digest, _ in installation.published() if view == VIEW.name} == {new}
    assert value(server, NEW) is not None
    again = json.loads(installation.done("retire", VIEW.name, "--version", VIEW.version, "--force", "--yes", "--json"))
    assert (again["rows"], again["days"], again["online_values"]) == (0, 0, 0), "what is gone is no error"


@pytest.mark.long
def test_killed_after_the_pin_the_same_command_goes_on(installation: Installation) -> None:
    installation.done("apply", "--yes")
    installation.copy.add_a_feature()
    installation.done("apply", "--yes")
    choice.pin(installation.settings, VIEW)  # what a command that was killed then leaves behind

    (due,) = [view for view in installation.plan(2)["views"] if view["due"]]
    assert (due["version"], due["register"], due["days"], due["held_instead_of"]) == (VIEW.version, True, 0, "2.0.0")
    said = installation.done("rollback", VIEW.name, "--to", VIEW.version)
    assert f"{VIEW.name} {VIEW.version} is in force" in said
    assert registered.present(installation.settings)[VIEW.name].data_hash == data_hash(VIEW)
    assert not installation.plan(0)["due"]
    unclear = installation.call("rollback", VIEW.name)
    assert (unclear.returncode, "What to go back to is not clear" in unclear.stderr) == (1, True)
    unknown = installation.call("rollback", VIEW.name, "--to", "0.0.1")
    assert (unknown.returncode, "has no version 0.0.1" in unknown.stderr) == (1, True)


def test_static_values_and_back(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = installation.call("rollback", "--static")
    assert (nothing.returncode, "No values were kept" in nothing.stderr) == (1, True)
    monkeypatch.setenv("DETEKTOR_SERVE_FALLBACK_SECONDS", "0.2")
    settings = stack.up(installation.settings, ("stream", "serve"), free_ports=True).settings
    server = Server(settings.serve_port, None, Path())
    review(settings, 1)
    until(server, 1, OLD) if value(server, OLD) is None else None
    kept, deadline = settings.home / "static-features.json", time.monotonic() + 30
    known = value(server, OLD)
    review(settings, 2)
    until(server, known + 1, OLD)
    while not kept.exists() or kept.stat().st_mtime_ns < time.time_ns() - 10**9:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(1)

    with load(settings.serve_port, [OLD], [VIEW.agent], look=present) as asking:
        asking.awaits(20)
        said = json.loads(installation.done("rollback", "--static", "--json"))
        assert (said["static"], said["server"]) == (True, True)
        asking.awaits(20, "fallback")
        review(settings, 3)
        time.sleep(1)
        assert value(server, OLD) == known + 1, "it is what was kept"
        assert kept.stat().st_mtime_ns < time.time_ns() - 10**9, "and that is kept as it is"
        assert server.get("/health").json["status"] == "STATIC"
        assert not json.loads(installation.done("rollback", "--static", "--json"))["changed"]

        assert json.loads(installation.done("rollback", "--live", "--json"))["server"]
        until(server, known + 2, OLD)
        assert server.get("/health").json["status"] == "OK"
    assert asking.failures == []
