"""Whether the code on disk can be loaded, asked of a process of its own: a file may be half-written, a definition wrong.

`python -m detektor_pipelines.stack.code_on_disk MODULE…` imports the modules and prints, as JSON, which definitions they come with, or what
is wrong and where. Whoever is about to start a program asks first, so that one that runs is not ended for one that cannot begin.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any, Final

from detektor_pipelines import own_catalog
from detektor_pipelines.errors import UserError

CATALOG: Final = ("detektor_pipelines.compile.loaded",)
"""What loads every definition; a tenth of a second."""

PROGRAMS: Final = (
    *CATALOG,
    "detektor_pipelines.serving.server",
    "detektor_pipelines.serving.registry",
    "detektor_pipelines.stream.run",
    "detektor_pipelines.orchestration.build",
)
"""What the programs begin with; seconds."""

_PACKAGE: Final = Path(__file__).resolve().parents[1]
_SECONDS: Final = 120
_FIX: Final = "Fix the file and run it again. What runs goes on with the definitions that it has loaded, and nothing is lost."


def definitions(modules: tuple[str, ...] = CATALOG) -> dict[str, Any]:
    """Return which definitions the code on disk comes with, as `compile.loaded.definitions` has them.

    Raises:
        UserError: They cannot be loaded; it says which file and line.

    """
    words = [sys.executable, "-P", "-m", "detektor_pipelines.stack.code_on_disk", *modules]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        raise UserError(f"The code on disk was not loaded within {_SECONDS} s.", where=str(_PACKAGE), fix=_FIX) from None
    try:
        said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise UserError(f"The code on disk cannot be loaded: {last}.", where=str(_PACKAGE), fix=_FIX) from None
    if "error" in said:
        raise UserError(said["error"], where=said["where"], fix=_FIX)
    return said


def fingerprint() -> frozenset[tuple[str, int, int]]:
    """Return what tells one state of the package's files, and of one's own catalogue's, from another: their names, times and sizes."""
    stats = [(file, file.stat()) for file in (*_PACKAGE.rglob("*.py"), *own_catalog.files())]
    return frozenset((str(file), stat.st_mtime_ns, stat.st_size) for file, stat in stats)


def changed_at() -> float:
    """Return when a file of the package, or of one's own catalogue, was last written, in seconds since 1970."""
    return max(nanoseconds for _, nanoseconds, _ in fingerprint()) / 1e9


def explain(error: BaseException, within: str = "catalog") -> UserError | None:
    """Say what an error of loading means for a person; None when no file of this part of the package has to do with it."""
    where = _place(error, _PACKAGE / within)
    if where is None:
        return None
    words = error.msg if isinstance(error, SyntaxError) else str(error)
    kind = "" if type(error).__name__ == "DefinitionError" else f"{type(error).__name__}: "
    return UserError(f"The definitions cannot be loaded: {kind}{words}.", where=where, fix=_FIX)


def _place(error: BaseException, directory: Path) -> str | None:
    """Return the innermost file and line of an error within a directory."""
    places = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__) if frame.name == "<module>"]
    if isinstance(error, SyntaxError) and error.filename:
        places.append((error.filename, error.lineno))
    found = [(name, line) for name, line in places if Path(name).is_relative_to(directory) and Path(name).name != "__init__.py"]
    return f"{found[-1][0]}, line {found[-1][1]}" if found else None


def main() -> None:
    """Import the modules that are named, and say what came of it."""
    try:
        for name in sys.argv[1:]:
            importlib.import_module(name)
        loaded = importlib.import_module("detektor_pipelines.compile.loaded")
    except Exception as error:  # noqa: BLE001 - whatever is wrong with the code is the answer
        told = error if isinstance(error, UserError) else explain(error) or explain(error, ".")
        said = {"error": told.what, "where": told.where} if told else {"error": f"{type(error).__name__}: {error}", "where": str(_PACKAGE)}
    else:
        said = loaded.definitions()
    sys.stdout.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main()
