"""Makes Feast's own tests run where only Feast and a Redis are: chooses them, and stands in for what they import and do not use.

    DETEKTOR_CONFORMANCE_REDIS      URL of the Redis to use
    DETEKTOR_CONFORMANCE_TESTS      names of the test functions to run, separated by spaces
    DETEKTOR_CONFORMANCE_RESULTS    file for the outcomes, JSON
    DETEKTOR_CONFORMANCE_AS_OURS    1: hand in every view of numbers and instants as one of our own, of which 32 bits become 64

Feast's conftest files import clients of clouds and containers. One that is not installed is an empty module here; a test that used it
would fail, not pass. `testcontainers.redis` gives the Redis that runs already, and the class under test is ours.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.abc
import importlib.machinery
import inspect
import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    import types

ABSENT = ("testcontainers", "minio", "botocore", "boto3", "aiobotocore", "keycloak", "deltalake", "kubernetes", "moto", "google.cloud")
LOCAL = "FEAST_IS_LOCAL_TEST"

outcomes: dict[str, str] = {}
as_ours: set[str] = set()


class Absent(Exception):  # noqa: N818 - stands for classes of any kind
    """Any name of a module that is not installed."""


class RunningRedis:
    """What `testcontainers.redis.RedisContainer` is to the tests."""

    def __init__(self, image: str) -> None:
        del image

    def with_exposed_ports(self, port: int) -> RunningRedis:
        del port
        return self

    def start(self) -> None:
        """It runs."""

    def stop(self) -> None:
        """Whoever started it ends it."""

    def get_exposed_port(self, port: int) -> str:
        """Return the port, and the password behind it: the tests put both into one connection string."""
        del port
        parts = urlsplit(os.environ["DETEKTOR_CONFORMANCE_REDIS"])
        return f"{parts.port},password={parts.password}"


class EmptyModules(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds what nobody else found."""

    def find_spec(self, name: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if name.startswith(ABSENT) else None

    def create_module(self, _: importlib.machinery.ModuleSpec) -> None:
        """Let Python make it."""

    def exec_module(self, module: types.ModuleType) -> None:
        def absent(name: str) -> type:
            if name.startswith("__"):
                raise AttributeError(name)
            return RunningRedis if name == "RedisContainer" else Absent

        module.__getattr__ = absent


# Conftest files are read before any hook is called.
sys.meta_path.append(EmptyModules())
os.environ[LOCAL] = "True"  # else collecting imports the clients of the clouds
which = shutil.which
shutil.which = lambda name, *args, **kwargs: "there" if name == "docker" else which(name, *args, **kwargs)


def pytest_configure() -> None:
    """Put our class in the place of Feast's, for the tests that name it."""
    from feast.infra.online_stores import redis

    from detektor_pipelines.stores.feast.online_store import DetektorOnlineStore

    redis.RedisOnlineStore = DetektorOnlineStore
    if os.environ.get("DETEKTOR_CONFORMANCE_AS_OURS"):
        hand_in_as_ours()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep what is to run."""
    wanted = set(os.environ["DETEKTOR_CONFORMANCE_TESTS"].split())
    gone = [item for item in items if item.originalname not in wanted]
    items[:] = [item for item in items if item.originalname in wanted]
    config.hook.pytest_deselected(items=gone)


def pytest_collection_finish() -> None:
    """Have the tests do all they do in Feast's own CI: some return at once when they are told that they are local."""
    os.environ.pop(LOCAL, None)


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a coroutine."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames  # as pytest itself does it
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note how each test ended."""
    name = report.nodeid.rpartition("/")[2]
    if report.when == "call" or report.outcome != "passed":
        outcomes[name] = report.outcome if outcomes.get(name, "passed") == "passed" else outcomes[name]


def pytest_sessionfinish() -> None:
    """Write it down."""
    Path(os.environ["DETEKTOR_CONFORMANCE_RESULTS"]).write_text(json.dumps({"outcomes": outcomes, "as_ours": sorted(as_ours)}))


def hand_in_as_ours() -> None:
    """Turn views into ours before they are applied."""
    from feast import FeatureStore, FeatureView

    from detektor_pipelines.compile.feast import DATA_HASH
    from detektor_pipelines.stores.feast import online_store as feast_online

    feast_online._KINDS |= {"INT32": "int64", "FLOAT": "float64"}
    apply = FeatureStore.apply

    def applied(self: FeatureStore, objects: object, *args: object, **kwargs: object) -> object:
        for view in objects if isinstance(objects, list) else [objects]:
            if not isinstance(view, FeatureView) or len(view.entities) != 1 or not view.features:
                continue
            if all(field.dtype.to_value_type().name in feast_online._KINDS for field in view.features):
                view.tags = {**view.tags, DATA_HASH: hashlib.sha256(view.name.encode()).hexdigest()}
                as_ours.add(view.name)
        return apply(self, objects, *args, **kwargs)

    FeatureStore.apply = applied
