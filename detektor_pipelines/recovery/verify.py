"""Whether a backup is any good: its files against their hashes, and a restore into throw-away servers against its manifest.

Runs wherever the programs are installed; neither the platform nor its servers have to be there.
"""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from detektor_pipelines.errors import UserError
from detektor_pipelines.recovery import restore as restoring
from detektor_pipelines.recovery.create import ARTIFACTS
from detektor_pipelines.recovery.objects import Fetch
from detektor_pipelines.recovery.restore import Restored, Steps
from detektor_pipelines.settings import Settings
from detektor_pipelines.stack import ports
from detektor_pipelines.stack.servers import embedded, postgres
from detektor_pipelines.stores.schema import migrate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from detektor_pipelines.quality.parity.check import Parity
    from detektor_pipelines.recovery.manifest import Manifest, Object
    from detektor_pipelines.recovery.sealing import Opener
    from detektor_pipelines.recovery.target import Target

DATABASE: Final = "detektor"

_FETCHERS: Final = 4


@dataclass
class Verified:
    """What was found: files looked at, what is wrong with them or with the tables, in words; the seconds of each step."""

    manifest: Manifest
    files: int
    problems: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    restored: Restored | None = None
    parity: list[Parity] = field(default_factory=list)


def files(target: Target, manifest: Manifest, opener: Opener, tell: Callable[[str], None] = lambda _: None) -> Verified:
    """Hold every file of a backup against its hashes, and name each that is missing or damaged.

    Raises:
        UserError: It is encrypted, and the key is missing or another one.

    """
    steps = Steps(tell)
    steps.begin("files", "Files")
    held = {each.name: each for each in manifest.objects}
    found = Verified(manifest, len(held))
    with tempfile.TemporaryDirectory(prefix="detektor-verify-") as scratch:
        fetch = Fetch(target, manifest, Path(scratch), opener)
        with ThreadPoolExecutor(_FETCHERS) as fetchers:
            looks = [fetchers.submit(_problem, fetch, each, Path(scratch) / f"file-{number}") for number, each in enumerate(held.values())]
            for number, look in enumerate(looks):
                tell(f"Files: {number} of {len(looks)}")
                if (problem := look.result()) is not None:
                    found.problems.append(problem)
    steps.end()
    found.seconds = steps.seconds
    return found


def whole(target: Target, manifest: Manifest, opener: Opener, tell: Callable[[str], None] = lambda _: None) -> Verified:
    """Hold the files against their hashes, and the tables that a restore into a throw-away cluster gives against the manifest.

    Raises:
        UserError: The key is missing or another one, or no server can be started here.

    """
    found = files(target, manifest, opener, tell)
    if found.problems:
        return found
    steps = Steps(tell)
    with _scratch() as (directory, server):
        dsn = server.dsn(DATABASE)
        restoring.check_fits(manifest, dsn)
        restoring.fill(dsn, manifest, Fetch(target, manifest, directory, opener), directory, steps)
        steps.begin("compare", "Comparing rows and hashes")
        found.problems += restoring.differences(dsn, manifest)
        steps.end()
    found.seconds |= steps.seconds
    return found


def drill(target: Target, manifest: Manifest, opener: Opener, tell: Callable[[str], None] = lambda _: None) -> Verified:
    """Do what follows the loss of a disk, in throw-away servers: restore, a new life of the log, the values online, their parity.

    Raises:
        UserError: The backup is damaged, the key is missing or another one, or no server can be started here.

    """
    from detektor_pipelines.quality.parity import check as parity

    steps = Steps(tell)
    found = Verified(manifest, len({each.name for each in manifest.objects}))
    steps.begin("servers", "Starting throw-away servers")
    with _scratch() as (directory, server), embedded.start_redis(directory / "redis") as redis:
        silent = f"http://{ports.LOOPBACK}:{ports.free_port()}"
        home = directory / "home"
        dsn = server.dsn(DATABASE)
        settings = Settings(home=home, external_postgres_url=dsn, external_redis_url=redis.url(), mlflow_tracking_uri=silent)
        restoring.check_fits(manifest, dsn)
        fetch = Fetch(target, manifest, directory, opener)
        restoring.fill(dsn, manifest, fetch, directory, steps)
        steps.begin("compare", "Comparing rows and hashes")
        found.problems += restoring.differences(dsn, manifest)
        steps.begin("files", "Files")
        restoring.fetched(fetch, manifest.artifacts, home.joinpath(*ARTIFACTS))
        restoring.fetched(fetch, manifest.files, home)
        steps.begin("life", "The log begins a new life")
        migrate(settings)
        done = found.restored = Restored(manifest, restoring.begin_life(settings, manifest), restoring.in_force(settings))
        steps.begin("online", "Writing the values online")
        restoring.publish(settings, done)
        steps.begin("parity", "Parity with the log")
        found.parity = parity.check(settings, done.views)
        found.problems += [f"{each.view}: {each.errors} values online are not those of the log" for each in found.parity if each.errors]
        steps.end()
    found.seconds = steps.seconds
    return found


@contextmanager
def _scratch() -> Iterator[tuple[Path, embedded.PostgresServer]]:
    """Run a throw-away cluster with an empty database."""
    with (
        tempfile.TemporaryDirectory(prefix="detektor-verify-") as scratch,
        embedded.start_postgres(Path(scratch) / "postgres") as server,
    ):
        postgres.create_database(server.dsn(), DATABASE)
        yield Path(scratch), server


def _problem(fetch: Fetch, held: Object, into: Path) -> str | None:
    try:
        fetch.get(held, into)
    except UserError as error:
        return f"{held.name}: {error.what}"
    finally:
        into.unlink(missing_ok=True)
    return None
