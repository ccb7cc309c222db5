"""What a main thread or a coder did in an agent's stead: pushes, test runs, edits of documents. All of it is marked as derived.

Honest or nothing: a command counts when the shell would run it, its outcome only when the exit code or its own output tells.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final, Literal

from detektor_pipelines.ingest.readers.shell import Command, commands_of, exit_status
from detektor_pipelines.ingest.reports.lines import is_cut

Outcome = Literal["success", "failure", "cancelled"]
DocumentKind = Literal["readme", "api", "guide", "architecture", "changelog", "other"]

_WORTH_A_LOOK: Final = re.compile(r"push|test|jest|spec|tox|nox|ctest|gradle|mvn")

_PUSH_FAILED: Final = re.compile(
    r"\[(?:remote )?rejected\]|failed to push some refs|^\s*fatal:|Permission denied \(publickey\)|could not read from remote|"
    r"pre-push hook (?:declined|failed)|has no upstream branch",
    re.MULTILINE | re.IGNORECASE,
)
_PUSHED: Final = re.compile(r"^\s*(?:[ +*=-] )?.*\S+ -> \S+|Everything up-to-date|\bnew branch\b|set up to track|^ok\b.*push", re.MULTILINE)
_GIT_OPTIONS_WITH_VALUE: Final = frozenset({"-C", "-c", "--git-dir", "--work-tree", "--namespace", "--exec-path"})
_NO_PUSH: Final = frozenset({"--dry-run", "-n", "--delete", "-d", "--help", "-h"})

_RUNNERS: Final = frozenset({"uv", "poetry", "pdm", "hatch", "pipenv", "npx", "bunx", "pnpx", "dotenv", "xvfb-run"})
_PACKAGE_MANAGERS: Final = frozenset({"npm", "pnpm", "yarn", "bun", "deno"})
_TASK_RUNNERS: Final = frozenset({"make", "just", "mise", "task", "rake", "nx", "turbo", "moon"})
_SUITES: Final = frozenset(
    {"pytest", "py.test", "tox", "nox", "jest", "vitest", "mocha", "ava", "rspec", "phpunit", "ctest", "gotestsum", "playwright", "cypress"}
)
_SUITES_WITH_COMMANDS: Final = frozenset({"playwright", "cypress"})
_COMPILERS: Final = {
    "go": "test",
    "cargo": "test",
    "swift": "test",
    "dotnet": "test",
    "mvn": "test",
    "zig": "test",
    "mix": "test",
    "flutter": "test",
}
_TEST_TARGET: Final = re.compile(r"(?::?[\w./-]+:)?(?:run-?)?tests?(?:[:_-][\w:-]+)?|t", re.IGNORECASE)
_NOT_RUN: Final = frozenset({"--help", "--version", "--collect-only", "--co", "--list", "--listTests", "--list-tests", "--no-run"})
_NOT_RUN_BY_GO: Final = frozenset({"-c", "-list"})
_NEVER_GOT_THERE: Final = re.compile(r"\bcd:.{0,20}(?:no such file|not a directory|permission denied)", re.IGNORECASE)

_PASSED: Final = re.compile(r"\b(\d+) pass(?:ed|ing)?\b")
_FAILED: Final = re.compile(r"\b(\d+) fail(?:ed|ures?|ing)?\b", re.IGNORECASE)
_TEST_FAILED: Final = re.compile(
    r"^\s*(?:--- FAIL|FAIL\b|FAILED\b|not ok \d)|test result: FAILED|\b[1-9]\d* fail(?:ed|ures?|ing)\b", re.MULTILINE
)
_SUMMARY: Final = re.compile(
    r"^=+ .*\b(?:passed|failed|error)\b.* in [\d.]+s|^\s*Tests:?\s+.*\b(?:passed|failed)\b|^\s*\d+ pass\s*$|^test result: ", re.MULTILINE
)

_DOCUMENT: Final = frozenset({".md", ".mdx", ".rst", ".adoc"})
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
    return bool(_WORTH_A_LOOK.search(command))


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
    """Read a test run out of a command line and its output; None when it runs no tests. Arguments as for `push_outcome`."""
    commands = commands_of(command)
    index = next((position for position, simple in enumerate(commands) if _is_test(simple.words)), None)
    if index is None or (failed and _NEVER_GOT_THERE.search(output)):
        return None
    passed, broken = _counts(output)
    known = exit_status(commands, index, failed=failed) if failed is not None else None
    if known is None and failed is not None:
        known = _told_by_output(output)
    return SuiteRun(None if known is None else "success" if known else "failure", passed, broken)


def document_kind(path: str) -> DocumentKind | None:
    """Say what kind of document a path names; None for code, and for notes that tools and agents keep for themselves."""
    file = PurePosixPath(path.replace("\\", "/"))
    if file.suffix.lower() not in _DOCUMENT or _NO_DOCUMENT.search(str(file)):
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
    if not words or PurePosixPath(words[0]).name != "git":
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
    program = PurePosixPath(words[0]).name
    arguments = [word for word in words[1:] if not word.startswith("-")]
    if program.startswith("python") and "-m" in words[:-1]:
        runs = words[words.index("-m") + 1] in {"pytest", "unittest"}
    elif program in _COMPILERS:
        runs = arguments[:1] == [_COMPILERS[program]] or (program == "cargo" and arguments[:2] == ["nextest", "run"])
        runs = runs and not (program == "go" and _NOT_RUN_BY_GO & set(words))
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
    while words and PurePosixPath(words[0]).name in _RUNNERS:
        words = words[1:]
        while words and (words[0].startswith("-") or words[0] in {"run", "exec"}):
            words = words[1:]
    return words


def _counts(output: str) -> tuple[int | None, int | None]:
    """Tests passed and failed, when the output holds exactly one summary and was not cut."""
    if is_cut(output):
        return None, None
    summaries = [output[match.start() :].splitlines() for match in _SUMMARY.finditer(output)]
    if len(summaries) != 1:
        return None, None
    summary = "\n".join(line for line in summaries[0][:3] if line.strip())
    passed, failed = _PASSED.search(summary), _FAILED.search(summary)
    if not passed and not failed:
        return None, None
    return int(passed[1]) if passed else 0, int(failed[1]) if failed else 0


def _told_by_output(output: str) -> bool | None:
    """A failure shows anywhere in the output; success only in a suite's own summary."""
    if _TEST_FAILED.search(output):
        return False
    return True if _counts(output)[0] else None
