"""How this copy of the package came here, from a clone of the repository or from a wheel, and what completes it.

In a clone the lock is installed whole. A wheel has extras (`pyproject.toml`): without any, what needs no server and no array works.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from detektor_pipelines.errors import UserError

DISTRIBUTION: Final = "detektor-features"
PACKAGE: Final = Path(__file__).resolve().parent
ROOT: Final = PACKAGE.parent
"""The repository in a clone, site-packages after a wheel."""

_EXTRAS: Final = {"serve": "serve"}
_PLATFORM: Final = "platform"


def in_clone() -> bool:
    """Tell whether the repository's files are beside the package."""
    return (ROOT / "pyproject.toml").is_file()


def beside(name: str) -> Path:
    """Return `dagster_home` or `feature_repo`: at the repository's root, or where a wheel put it, `share/` of the environment."""
    here = ROOT / name
    return here if here.is_dir() else ROOT.parents[2] / "share" / DISTRIBUTION / name


def completing(extra: str = _PLATFORM) -> str:
    """Return what a person does about something that is not installed."""
    return "Run `make .venv` to complete the environment." if in_clone() else f"pip install '{DISTRIBUTION}[{extra}]'"


def refuse_without_clone(command: str) -> None:
    """Refuse what works on the repository's files.

    Raises:
        UserError: There is no repository beside the package.

    """
    if not in_clone():
        raise UserError(
            f"`detektor {command}` works on the repository's files.",
            where=str(ROOT),
            fix="Work in a clone; here it came as a wheel.",
        )


def absent_package(error: BaseException, command: str) -> UserError | None:
    """Return a message for an import that failed since a package is not installed; None for every other error.

    An import of the definitions' own is left to who reports on them, for that is somebody's edit.
    """
    if not isinstance(error, ModuleNotFoundError) or not error.name or error.name.partition(".")[0] == PACKAGE.name:
        return None
    frame = error.__traceback__
    while frame and frame.tb_next and "importlib" not in frame.tb_next.tb_frame.f_code.co_filename:
        frame = frame.tb_next
    file = Path(frame.tb_frame.f_code.co_filename) if frame else PACKAGE
    if PACKAGE / "catalog" in file.parents:
        return None
    wanted = f"`detektor {command}`" if command else "This"
    return UserError(
        f"{wanted} needs the package {error.name.partition('.')[0]}, which is not installed.",
        where=str(file),
        fix=completing(_EXTRAS.get(command, _PLATFORM)),
    )
