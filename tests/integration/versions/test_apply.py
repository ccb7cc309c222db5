"""`detektor plan` and `detektor apply` on real servers: what is due, beside the version in use, and after a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from detektor_pipelines.catalog import DECLARED, view_named
from detektor_pipelines.language.hashes import short_hash
from detektor_pipelines.stores.connections_redis import redis_client
from detektor_pipelines.stores.feast import registered
from detektor_pipelines.stores.online import versions as online_versions

if TYPE_CHECKING:
    from conftest import Installation

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_200)]

VIEW = view_named("code_review_features", DECLARED)
ADDED = "reviews_of_three_days"


def test_a_new_version_is_planned_computed_beside_the_old_one_and_registered(installation: Installation) -> None:
    first = installation.plan(2)
    assert [view["due"] for view in first["views"]] == [True] * len(DECLARED)
    assert {(view["days"], view["before"], view["register"]) for view in first["views"]} == {(21, None, True)}
    asked = installation.call("apply")
    assert (asked.returncode, "Carry it out?" in asked.stdout, installation.published()) == (1, True, {}), asked.stdout + asked.stderr

    installation.done("apply", "--yes")
    before = installation.published()
    assert len(before) == 21 * len(DECLARED)
    assert not installation.plan(0)["due"]
    assert "Nothing to do" in installation.done("apply", "--yes")

    installation.copy.add_a_feature()
    planned = installation.plan(2)
    (view,) = [each for each in planned["views"] if each["due"]]
    assert (view["view"], view["version"], view["bump"], view["days"]) == (VIEW.name, "2.0.0", "minor", 21)
    assert view["changes"] == [{"feature": ADDED, "kind": "added", "detail": ""}]
    assert (view["before"]["version"], view["before"]["registered"], view["told_from"]) == (VIEW.version, True, "the number of rows")
    assert view["rows"] > 100
    assert view["models"] is None, "MLflow does not answer"
    assert f"{ADDED}: added" in installation.call("plan").stdout

    said = installation.done("apply", "--yes")
    assert f"detektor retire {VIEW.name} --version {VIEW.version}" in said
    after = installation.published()
    assert {key: rows for key, rows in after.items() if key in before} == before, "what was there stands as it was"
    assert len(after) == len(before) + 21
    assert registered.present(installation.settings)[VIEW.name].version == "2.0.0"
    with redis_client(installation.settings) as client:
        held = {each.hash for each in online_versions.held(client, installation.settings.project) if each.view == VIEW.name}
    assert held == {short_hash(VIEW), view["data_hash"][:12]}
    assert not installation.plan(0)["due"]


def test_an_unbumped_change_is_not_carried_out(installation: Installation) -> None:
    installation.copy.write(installation.copy.read().replace("over=days(1)", "over=days(2)", 1))

    (view,) = [each for each in installation.plan(2)["views"] if each["problem"]]
    assert "recent_reviews_count: numbers change (window 1d → 2d)" in view["problem"]
    refused = installation.call("apply", "--yes")
    assert refused.returncode == 1
    assert "needs a major bump: 2.0.0" in refused.stderr
    assert installation.published() == {}


def test_a_half_written_file_is_not_carried_out(installation: Installation) -> None:
    installation.copy.write(installation.copy.read()[:1500])

    refused = installation.call("apply", "--yes")
    assert refused.returncode == 1
    assert "code_reviewer.py, line" in refused.stderr


@pytest.mark.long
def test_killed_in_the_middle_the_same_command_goes_on(installation: Installation) -> None:
    with subprocess.Popen(installation.words("apply", "--yes"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as begun:
        deadline = time.monotonic() + 120
        while not (stands := installation.published()):
            assert time.monotonic() < deadline
            assert begun.poll() is None, "it was over before it could be killed"
            time.sleep(0.02)
        os.kill(begun.pid, signal.SIGKILL)
    stands = installation.published()
    assert 0 < len(stands) < 21 * len(DECLARED)
    assert registered.present(installation.settings) == {}, "nothing is switched before all of it is there"

    installation.done("apply", "--yes")
    whole = installation.published()
    assert len(whole) == 21 * len(DECLARED)
    closed = {key: rows for key, rows in stands.items() if key[2] != max(day for _, _, day in stands)}
    assert {key: rows for key, rows in whole.items() if key in closed} == closed
    assert not installation.plan(0)["due"]


@pytest.mark.long
def test_killed_after_the_computation_it_is_switched_by_the_same_command(installation: Installation) -> None:
    installation.done("apply", "--yes")
    installation.copy.add_a_feature()
    installation.done("backfill", "--view", VIEW.name)

    (view,) = [each for each in installation.plan(2)["views"] if each["due"]]
    assert (view["days"], view["register"]) == (0, True)
    installation.done("apply", "--yes")
    assert registered.present(installation.settings)[VIEW.name].version == "2.0.0"
    assert not installation.plan(0)["due"]
