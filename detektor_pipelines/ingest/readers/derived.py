"""What a main thread or a coder did in an agent's stead: pushes, test runs, edits of documents. All of it is marked as derived.

Honest or nothing: a command counts when the shell would run it, its outcome only when the exit code or its own output tells.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Final, Literal

from detektor_pipelines.ingest.readers.pipes import Pipe, pipe_behind
from detektor_pipelines.ingest.readers.shell import Command, commands_of, echoed_status, exit_of_suite, exit_status, program_of
from detektor_pipelines.ingest.readers.suites import SUITES, Suite, Told, plain
from detektor_pipelines.ingest.reports.lines import is_cut

Outcome = Literal["success", "failure", "cancelled"]
DocumentKind = Literal["readme", "api", "guide", "architecture", "changelog", "other"]

_WORTH_A_LOOK: Final = ("push", "test", "jest", "spec", "tox", "nox", "gradle", "mvn", "mocha", "phpunit", "pest", "prove", "cypress")
_AVA: Final = re.compile(r"\bava\b")

_PUSH_FAILED: Final = re.compile(
    r"\[(?:remote )?rejected\]|failed to push some refs|^\s*fatal:|Permission denied \(publickey\)|could not read from remote|"
    r"pre-push hook (?:declined|failed)|has no upstream branch",
    re.MULTILINE | re.IGNORECASE,
)
_PUSHED: Final = re.compile(r"^\s*(?:[ +*=-] )?.*\S+ -> \S+|Everything up-to-date|\bnew branch\b|set up to track|^ok\b.*push", re.MULTILINE)
_GIT_OPTIONS_WITH_VALUE: Final = frozenset({"-C", "-c", "--git-dir", "--work-tree", "--namespace", "--exec-path"})
_NO_PUSH: Final = frozenset({"--dry-run", "-n", "--delete", "-d", "--help", "-h"})

_RUNNERS: Final = frozenset({"uv", "poetry", "pdm", "hatch", "pipenv", "npx", "bunx", "pnpx", "dotenv", "xvfb-run", "bundle"})
_PACKAGE_MANAGERS: Final = frozenset({"npm", "pnpm", "yarn", "bun", "deno"})
_TASK_RUNNERS: Final = frozenset({"make", "just", "mise", "task", "rake", "nx", "turbo", "moon"})
_SUITES: Final = frozenset(
    {
        *("pytest", "py.test", "tox", "nox", "jest", "vitest", "mocha", "ava", "rspec", "phpunit", "pest", "ctest", "gotestsum"),
        *("playwright", "cypress", "prove"),
    }
)
_SUITES_WITH_COMMANDS: Final = frozenset({"playwright", "cypress"})
_COMPILERS: Final = {
    "go": "test",
    "cargo": "test",
    "swift": "test",
    "dotnet": "test",
    "mvn": "test",
    "mvnw": "test",
    "sbt": "test",
    "bazel": "test",
    "xcodebuild": "test",
    "dart": "test",
    "rails": "test",
    "zig": "test",
    "mix": "test",
    "flutter": "test",
}
_NAMES: Final = {"py.test": "pytest", "mvnw": "mvn", "gradlew": "gradle", "gotestsum": "go", "xcodebuild": "swift"}
"""Programs that speak as another one does."""

_TEST_TARGET: Final = re.compile(r"(?::?[\w./-]+:)?(?:run-?)?tests?(?:[:_-][\w:-]+)?|t", re.IGNORECASE)
_NOT_RUN: Final = frozenset({"--help", "--version", "--collect-only", "--co", "--list", "--listTests", "--list-tests", "--no-run"})
_NOT_RUN_BY_GO: Final = frozenset({"-c", "-list"})
_NEVER_GOT_THERE: Final = re.compile(r"\bcd:.{0,20}(?:no such file|not a directory|permission denied)", re.IGNORECASE)

_DOCUMENT: Final = (".md", ".mdx", ".rst", ".adoc")
_NO_DOCUMENT: Final = re.compile(
    r"(?:^|/)(?:\.claude|\.planning|\.cursor|\.codex|\.git|\.entire|\.learnings|node_modules|testdata|fixtures|memory|scratchpad|prompts|skills|todos)/|"
    r"^/(?:private/)?(?:tmp|var)/|/AppData/Local/Temp/|REDACTED",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class SuiteRun:
    """One test run. Counts are None when the output does not hold the suite's own summary."""

    outcome: Outcome | None
    passed: int | None
    failed: int | None


def worth_a_look(command: str) -> bool:
    """Whether a command line may push or test at all: cheap, for most do not."""
    for word in _WORTH_A_LOOK:  # a loop: with `any` each word costs twice
        if word in command:
            return True
    return "ava" in command and _AVA.search(command) is not None


def push_outcome(command: str, output: str, *, failed: bool | None) -> Outcome | Literal[False] | None:
    """Say how a `git push` in a command line ended: False when there is none, None when it cannot be told.

    Args:
        command: The line as it was run.
        output: What it printed, as far as the log holds it.
        failed: Whether the whole line failed; None when nothing is known of its end.

    """
    commands = commands_of(command)
    index = next((position for position, simple in enumerate(commands) if _is_push(simple)), None)
    if index is None or (failed and _NEVER_GOT_THERE.search(output)):
        return False
    if failed is None:
        return None
    known = exit_status(commands, index, failed=failed)
    if known is not None:
        return "success" if known else "failure"
    if _PUSH_FAILED.search(output):
        return "failure"
    return "success" if not failed and _PUSHED.search(output) else None


def suite_run(command: str, output: str, *, failed: bool | None) -> SuiteRun | None:
    """Read a test run out of a command line and its output; None when it runs no tests. Arguments as for `push_outcome`.

    An outcome is claimed only where the opposite one would have been seen too: by an exit code that is the suite's own, or by the
    runner's last words behind a pipe that lets the words of a green run through as well as those of a red one. A failure that would have
    been silence as a success says nothing, else every rate of green runs would be too low.
    """
    commands = commands_of(command)
    index = next((position for position, simple in enumerate(commands) if _is_test(simple.words)), None)
    if index is None or (failed and _NEVER_GOT_THERE.search(output)):
        return None
    told = _told(commands, index, output)
    green = None
    if failed is not None:
        green = exit_of_suite(commands, index, lambda simple: _is_test(simple.words), failed=failed)
        green = echoed_status(commands, index, output) if green is None else green
        green = told.outcome == "success" if green is None and told else green
    counts = (told.passed, told.failed) if told else (None, None)
    return SuiteRun(None if green is None else "success" if green else "failure", *counts)


def document_kind(path: str) -> DocumentKind | None:
    """Say what kind of document a path names; None for code, and for notes that tools and agents keep for themselves."""
    # The end first: most paths are code's.
    file = PurePosixPath(path.replace("\\", "/")) if path.lower().rstrip("/\\").endswith(_DOCUMENT) else None
    if file is None or file.suffix.lower() not in _DOCUMENT or _NO_DOCUMENT.search(str(file)):
        return None
    name, directories = file.stem.lower(), {part.lower() for part in file.parts[:-1]}
    if name.startswith("readme"):
        return "readme"
    if name.startswith(("changelog", "changes", "history", "release-notes")):
        return "changelog"
    if name.startswith(("architecture", "design", "adr")) or directories & {"architecture", "adr", "adrs", "decisions", "design"}:
        return "architecture"
    if name in {"api", "openapi"} or directories & {"api", "reference"}:
        return "api"
    return "guide" if directories & {"docs", "doc", "documentation", "guides"} else "other"


def _is_push(command: Command) -> bool:
    words = list(command.words)
    if not words or program_of(words[0]) != "git":
        return False
    index = 1
    while index < len(words) and words[index].startswith("-"):
        index += 2 if words[index] in _GIT_OPTIONS_WITH_VALUE else 1
    if index >= len(words) or words[index] != "push":
        return False
    arguments = [word for word in words[index + 1 :] if not re.match(r"\d*[<>]", word)]
    refs = [word for word in arguments if not word.startswith("-")][1:]
    return not (_NO_PUSH & set(arguments)) and not (refs and all(ref.startswith(":") for ref in refs))


def _is_test(words: tuple[str, ...]) -> bool:
    words = _after_runner(words)
    if not words or _NOT_RUN & set(words[1:]):
        return False
    program = program_of(words[0])
    arguments = [word for word in words[1:] if not word.startswith("-")]
    if program.startswith("python") and "-m" in words[:-1]:
        runs = words[words.index("-m") + 1] in {"pytest", "unittest"}
    elif program.startswith("python") or program == "manage.py":
        runs = arguments[:2] == ["manage.py", "test"] or (program == "manage.py" and arguments[:1] == ["test"])
    elif program in _COMPILERS:
        runs = arguments[:1] == [_COMPILERS[program]] or (program == "cargo" and arguments[:2] == ["nextest", "run"])
        runs = runs and not (program == "go" and _NOT_RUN_BY_GO & set(words))
    elif program == "node":
        runs = "--test" in words[1:]
    elif program in {"gradle", "gradlew"}:
        runs = any(_TEST_TARGET.fullmatch(word) for word in arguments)
    elif program in _PACKAGE_MANAGERS | _TASK_RUNNERS:
        runs = _runs_test_target(program, words[1:])
    else:
        runs = program in _SUITES and (program not in _SUITES_WITH_COMMANDS or bool({"test", "run"} & set(arguments)))
    return runs


def _runs_test_target(program: str, arguments: tuple[str, ...]) -> bool:
    """`npm test`, `pnpm --filter api run test:unit`, `make test`, `mise run test:ci`, `bun test src/`."""
    targets: list[str] = []
    skip = False
    for word in arguments:
        if word == "--":
            break
        if skip:
            skip = False
        elif word in {"--filter", "-F", "--prefix", "--cwd", "-C", "--dir", "--workspace", "-w", "-f", "--project"}:
            skip = True
        elif not word.startswith("-") and "=" not in word:
            targets.append(word)
    if targets[:1] in (["exec"], ["dlx"], ["x"]):
        return bool(targets[1:]) and targets[1] in _SUITES
    if targets[:1] in (["run"], ["r"]):
        targets = targets[1:]
    considered = targets if program == "make" else targets[:1]
    return any((_TEST_TARGET.fullmatch(target) and target != "t") or (target == "t" and program == "npm") for target in considered)


def _after_runner(words: tuple[str, ...]) -> tuple[str, ...]:
    while words and program_of(words[0]) in _RUNNERS:
        words = words[1:]
        while words and (words[0].startswith("-") or words[0] in {"run", "exec"}):
            words = words[1:]
    return words


def _told(commands: list[Command], index: int, output: str) -> Told | None:
    """What the runner's last words say, where they would be seen of a green run and of a red one."""
    whole, suites = (None, ()) if is_cut(output) else _heard(tuple(commands[index:]))
    if not suites or (whole is not None and len(output.splitlines()) >= whole):
        return None
    text = plain(output)
    found = [told for suite in suites if (told := suite.tells(text))]
    if not found:
        return None
    counts = {(told.passed, told.failed) for told in found if told.passed is not None}
    passed, failed = counts.pop() if len(counts) == 1 else (None, None)
    return Told("failure" if any(told.outcome == "failure" for told in found) else "success", passed, failed)


@lru_cache(maxsize=1024)
def _heard(commands: tuple[Command, ...]) -> tuple[int | None, tuple[Suite, ...]]:
    """The runners whose last words come through the pipe behind the first command, and the `whole` of that pipe; of none, where none do."""
    pipe = pipe_behind(commands, 0)
    if pipe is None:
        return None, ()
    name = _suite_of(_after_runner(commands[0].words))
    suites = (SUITES[name],) if name in SUITES else tuple(SUITES.values())
    return pipe.whole, tuple(suite for suite in suites if _comes_through(suite, pipe))


def _comes_through(suite: Suite, pipe: Pipe) -> bool:
    """Whether a green run would be seen as well as a red one; a `tail` too short for either treats both alike."""
    green, red = suite.tells(pipe.through(suite.green)), suite.tells(pipe.through(suite.red))
    if green is None or red is None:
        return green is red and pipe.tails_only
    return (green.outcome, red.outcome) == ("success", "failure")


def _suite_of(words: tuple[str, ...]) -> str | None:
    """The runner that a command names itself; None where a project's own target does (`make test`)."""
    program = program_of(words[0])
    if program.startswith("python") and "-m" in words[:-1]:
        return words[words.index("-m") + 1]
    if program in _PACKAGE_MANAGERS:
        return program if "test" in words[1:2] and program in {"bun", "deno"} else None
    named = _NAMES.get(program, program)
    return "go -v" if named == "go" and "-v" in words else named
