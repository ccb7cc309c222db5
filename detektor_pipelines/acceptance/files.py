"""T6, T18 and T20: what is in Git, whether all of it can be brought back, and the integration tests."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from detektor_pipelines.acceptance import commands
from detektor_pipelines.acceptance.findings import failed, judged, passed, unchecked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detektor_pipelines.acceptance.findings import Part, Say
    from detektor_pipelines.settings import Settings

COMPOSE: Final = "docker/features/feast.yml"
TESTS: Final = "tests/feature-integration"
WORKFLOW: Final = ".github/workflows/ci.yml"
MINUTES: Final = 8

_MADE: Final = "docker/secrets"
_LISTS: Final = "-tokens"
"""How files of digests end, which are no secrets."""
_SHORTEST_SECRET: Final = 8
_OF_THIS_ONE: Final = ("DETEKTOR_EXTERNAL_POSTGRES_URL", "DETEKTOR_EXTERNAL_REDIS_URL", "DETEKTOR_SERVE_PORT", "DETEKTOR_REGISTRY_PORT")
"""Variables that would lead the restored installation to this one's servers."""

_PYTEST: Final = ".pytest_cache/v"
_A_CHECKOUT: Final = "Run it in a checkout of the repository"


def configuration(settings: Settings, _: Say) -> Iterator[Part]:
    """T6: the compose file and the workflow of CI are in Git, and none of this installation's secrets is."""
    checkout = (commands.REPOSITORY / ".git").exists()
    there = {name: (commands.REPOSITORY / name).is_file() for name in (COMPOSE, WORKFLOW)}
    if not checkout and not any(there.values()):
        yield unchecked(f"{COMPOSE}, {WORKFLOW}, and whether a secret is in Git: this is no checkout", _A_CHECKOUT)
        return
    for name, present in there.items():
        yield judged(present, f"{name} is {'there' if present else 'missing'}", "Use a release that has it")
    if shutil.which("git") is None or not checkout:
        yield unchecked("whether a secret is in Git: this is no checkout", _A_CHECKOUT)
        return
    secrets = _secrets(settings)
    found = [secret for secret in secrets if _in_git(secret)]
    text = f"{len(found) or 'none'} of {len(secrets)} secrets of this installation is in a file of Git"
    yield judged(not found, text, "Change the password, then take it out of Git's history")


def _secrets(settings: Settings) -> list[str]:
    """Return what must not be in Git: passwords of the settings, and those and the tokens that docker/make-secrets.sh has made here."""
    given = [each.get_secret_value() for each in (settings.postgres_password, settings.redis_password, settings.alert_webhook) if each]
    directory = commands.REPOSITORY / _MADE
    made = [file for file in sorted(directory.iterdir()) if not file.name.endswith(_LISTS)] if directory.is_dir() else []
    given += [file.read_text(encoding="utf-8").strip() for file in made]
    return sorted({each for each in given if len(each) >= _SHORTEST_SECRET})


def recovery(settings: Settings, say: Say) -> Iterator[Part]:
    """T18: backup, restore into an installation of its own, and a rollback there, in less than eight minutes."""
    if not commands.has_command(settings, "backup"):
        yield failed("there is no command detektor backup", "Use a release that has it")
        return
    with tempfile.TemporaryDirectory(prefix="detektor-acceptance-") as scratch:
        target, home = str(Path(scratch) / "backups"), str(Path(scratch) / "home")
        elsewhere = {"DETEKTOR_HOME": home} | dict.fromkeys(_OF_THIS_ONE, "")
        steps: tuple[tuple[str, tuple[str, ...], dict[str, str]], ...] = (
            ("backup", ("backup", "create", target), {}),
            ("restore", ("backup", "restore", target, "--free-ports"), elsewhere),
            ("what is restored", ("features", "get", "code-reviewer", "--json"), elsewhere),
        )
        took: dict[str, float] = {}
        try:
            for title, words, variables in steps:
                say(title)
                started = time.monotonic()
                done = commands.detektor(settings, *words, **variables)
                took[title] = time.monotonic() - started
                if done.returncode:
                    yield failed(f"{title}: {commands.said(done)}", f"detektor {' '.join(words[:2])} says what is wrong")
                    return
            yield passed(f"backup {took['backup']:.0f} s, restore elsewhere {took['restore']:.0f} s, its values are read")
            yield from _rollback(settings, Path(home), elsewhere, took)
        finally:
            commands.detektor(settings, "down", **elsewhere)
    seconds = sum(took.values())
    yield judged(seconds < MINUTES * 60, f"{seconds:.0f} s in all, of {MINUTES * 60} allowed", "docs/operating.md")


def _rollback(settings: Settings, home: Path, elsewhere: dict[str, str], took: dict[str, float]) -> Iterator[Part]:
    """Roll the restored installation's serving back to kept values and forward again; where there is an earlier version, a view too."""
    from detektor_pipelines.serving.values.last_known import FILE

    started = time.monotonic()
    if not (home / FILE).exists() and (settings.home / FILE).exists():
        shutil.copy(settings.home / FILE, home / FILE)
    for words in (("rollback", "--static"), ("rollback", "--live")):
        done = commands.detektor(settings, *words, **elsewhere)
        if done.returncode:
            yield failed(f"detektor {' '.join(words)}: {commands.said(done)}", "detektor up serve: it keeps what it serves each minute")
            return
    took["rollback"] = time.monotonic() - started
    yield passed(f"rollback --static and --live there {took['rollback']:.0f} s")


def tests(settings: Settings, _: Say) -> Iterator[Part]:
    """T20: tests/feature-integration holds tests, and none of them failed when they last ran in this checkout. They are not run here."""
    del settings
    directory = commands.REPOSITORY / TESTS
    if not directory.is_dir():
        yield unchecked(f"{TESTS} is not there: an installation has no tests", _A_CHECKOUT)
        return
    files = sorted(directory.rglob("test_*.py"))
    number = sum(_tests_in(file) for file in files)
    yield judged(number, f"{number} tests in {len(files)} files of {TESTS}", _A_CHECKOUT)
    run = "make test"
    if not any(name.startswith(TESTS) for name in _cached("detektor/ran")):
        yield unchecked("how they ran: they have not run in this checkout", run)
        return
    failing = [name for name in _cached("cache/lastfailed") if name.startswith(TESTS)]
    yield judged(not failing, f"{len(failing) or 'none'} of them failed when they last ran here", f"{run}: {', '.join(failing[:2])}")


def _cached(what: str) -> list[str]:
    """Return the tests that are noted in this checkout: `detektor/ran` by tests/conftest.py, `cache/lastfailed` by pytest."""
    try:
        return list(json.loads((commands.REPOSITORY / _PYTEST / what).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return []


def _in_git(secret: str) -> bool:
    """Whether a file that Git knows holds a text; the text is given by standard input, where no list of processes shows it."""
    words = ["git", "-C", str(commands.REPOSITORY), "grep", "-q", "-F", "-f", "-"]
    return subprocess.run(words, input=secret + "\n", text=True, capture_output=True, check=False).returncode == 0


def _tests_in(file: Path) -> int:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return sum(isinstance(node, ast.FunctionDef) and node.name.startswith("test_") for node in ast.walk(tree))
