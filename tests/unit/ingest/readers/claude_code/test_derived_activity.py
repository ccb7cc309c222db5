from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


def bash(
    transcript: Any, command: str, output: str = "", *, error: bool | None = None, background: bool = False, interrupted: bool = False
) -> None:
    number = len(transcript.records)
    transcript.call(number, f"toolu_{number}", "Bash", command=command)
    details = {"stdout": output, "stderr": "", "interrupted": interrupted} | ({"backgroundTaskId": "b1"} if background else {})
    transcript.result(number + 1, f"toolu_{number}", output, error=error, details=f"Error: {output}" if error else details)


PUSHED = "To example.org:ada/rover.git\n   1a2b3c4..5d6e7f8  main -> main\n"
REFUSED = "Exit code 1\n ! [rejected]        main -> main (fetch first)\nerror: failed to push some refs"


@pytest.mark.parametrize(
    ("command", "output", "error", "outcome"),
    [
        ("git push", PUSHED, None, "success"),
        ("git push", "", None, "success"),
        ("cd /r && git push -u origin main 2>&1", "", None, "success"),
        ("git add -A && git commit -m 'x' && git push", "", None, "success"),
        ("git -C /r push --force-with-lease", "", None, "success"),
        ("GIT_SSH_COMMAND=ssh git push origin main", "", None, "success"),
        ("git push origin main", REFUSED, True, "failure"),
        ("git commit -m x && git push", REFUSED, True, "failure"),
        ("git commit -m x && git push", "Exit code 1\npre-commit hook failed", True, None),
        ("git push 2>&1 | tail -3", PUSHED, None, "success"),
        ("git push 2>&1 | tail -3", REFUSED, None, "failure"),
        ("git push 2>&1 | tail -3", "…[+400 chars]", None, None),
        ("git push || true", "", None, None),
        ("git push; echo done", "done", None, None),
        ("git push", "The user doesn't want to proceed with this tool use.", True, "cancelled"),
    ],
)
def test_a_push_is_a_derived_deployment(
    transcript: Any, read: Callable[..., Any], command: str, output: str, error: Any, outcome: str | None
) -> None:
    bash(transcript, command, output, error=error)
    (deploy,) = read(transcript).of("deploy")
    assert deploy.derived
    assert (deploy.agent_type, deploy.raw_name) == ("deployment-specialist", "main")
    assert deploy.categories.get("outcome") == outcome
    assert (deploy.categories["action"], deploy.categories["strategy"]) == ("deploy", "push")


@pytest.mark.parametrize(
    "command",
    [
        "git stash push -m wip",
        "git push --dry-run",
        "git push origin --delete old",
        "git push origin :old",
        'git commit -m "then git push"',
        "echo git push",
        "grep -rn 'git push' docs",
        "git commit -F - <<'EOF'\nfix\n\ngit push\nEOF",
        "cat .git/hooks/pre-push",
        "cd /nowhere && git push",
        "# git push\nls",
    ],
)
def test_what_only_looks_like_a_push_is_none(transcript: Any, read: Callable[..., Any], command: str) -> None:
    missing = "nowhere" in command
    bash(transcript, command, "cd: no such file or directory: /nowhere" if missing else "", error=True if missing else None)
    assert read(transcript).of("deploy") == []


def test_a_push_in_the_background_and_an_interrupted_one(transcript: Any, read: Callable[..., Any]) -> None:
    bash(transcript, "git push", background=True)
    bash(transcript, "git push", interrupted=True)
    assert [event.categories.get("outcome") for event in read(transcript).of("deploy")] == [None, "cancelled"]


def test_newer_versions_state_the_push_themselves(transcript: Any, read: Callable[..., Any]) -> None:
    transcript.call(1, "toolu_1", "Bash", command="make release")
    transcript.result(
        2, "toolu_1", details={"stdout": "", "stderr": "", "interrupted": False, "gitOperation": {"push": {"branch": "main"}}}
    )
    (deploy,) = read(transcript).of("deploy")
    assert deploy.categories["outcome"] == "success"


PYTEST = "================== 2 failed, 40 passed, 1 skipped in 3.20s ==================\n"
GREEN = "================== 42 passed in 3.20s ==================\n"


@pytest.mark.parametrize(
    ("command", "output", "error", "told"),
    [
        ("pytest -q", GREEN, None, ("success", 42, 0)),
        ("python -m pytest tests", PYTEST, True, ("failure", 40, 2)),
        ("uv run pytest", "", None, ("success", None, None)),
        ("pytest -q | tail -3", PYTEST, None, ("failure", 40, 2)),
        ("pytest -q | tail -3", GREEN, None, ("success", 42, 0)),
        ("go test ./... 2>&1", "ok  \trover/a\t0.1s", None, ("success", None, None)),
        ("go test ./... 2>&1 | tail -2", "ok  \trover/a\t0.1s", None, ("success", None, None)),
        ("go test ./... 2>&1 | tail -2", "--- FAIL: TestA (0.00s)\nFAIL", None, ("failure", None, None)),
        ("make lint && make test", "Exit code 2\nruff found 3 errors", True, (None, None, None)),
        ("cd app && npm test", "Tests:       1 failed, 9 passed, 10 total", True, ("failure", 9, 1)),
        ("pnpm --filter api test", "", None, ("success", None, None)),
        ("pnpm --filter api exec jest", "", None, ("success", None, None)),
        ("npx vitest run", "", None, ("success", None, None)),
        ("bun test src/", " 12 pass\n 0 fail\n", None, ("success", 12, 0)),
        ("mise run test:ci", "", None, ("success", None, None)),
        ("cargo test", "test result: ok. 7 passed; 0 failed; 0 ignored", None, ("success", 7, 0)),
        ("pytest -q", GREEN + "…[+90 chars]", None, ("success", None, None)),
    ],
)
def test_a_test_run_is_derived_with_an_outcome_only_where_it_is_told(
    transcript: Any, read: Callable[..., Any], command: str, output: str, error: Any, told: tuple[str | None, int | None, int | None]
) -> None:
    bash(transcript, command, output, error=error)
    (run,) = read(transcript).of("test_run")
    assert run.derived
    assert run.agent_type == "detektor-coder"
    assert (run.categories.get("outcome"), run.measures.get("tests_passed"), run.measures.get("tests_failed")) == told


@pytest.mark.parametrize(
    "command",
    [
        "ls tests",
        "vim test_a.py",
        "git add tests && git commit -m 'run pytest'",
        "go test -c ./...",
        "npx jest --listTests",
        "test -f Makefile",
        "pip install pytest",
    ],
)
def test_what_only_names_tests_runs_none(transcript: Any, read: Callable[..., Any], command: str) -> None:
    bash(transcript, command)
    assert read(transcript).of("test_run") == []


def test_a_coders_own_test_run_is_the_coders_and_an_explorers_is_nobodys(transcript: Any, shapes: Any, read: Callable[..., Any]) -> None:
    for call, name in (("toolu_d", "dev"), ("toolu_x", "Explore")):
        transcript.subagent(1, call, name)
        inner = shapes.tool_use(f"{call}_i", "Bash", command="pytest")
        transcript.progress(2, call, "assistant", shapes.answer(f"msg_{call}", inner))
        transcript.progress(
            3, call, "user", {"role": "user", "content": [shapes.tool_result(f"{call}_i")]}, toolUseResult={"stdout": GREEN, "stderr": ""}
        )
    (run,) = read(transcript).of("test_run")
    assert (run.agent_type, run.raw_name, run.task_id) == ("detektor-coder", "dev", "toolu_d")


def edit(transcript: Any, path: str, *, tool: str = "Edit", error: bool | None = None) -> None:
    number = len(transcript.records)
    transcript.call(number, f"toolu_{number}", tool, file_path=path)
    details = {"filePath": path, "structuredPatch": [{"lines": ["+a", "+b", "-c"]}]}
    transcript.result(number + 1, f"toolu_{number}", error=error, details="Error: no" if error else details)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/r/README.md", "readme"),
        ("/r/CHANGELOG.md", "changelog"),
        ("/r/docs/architecture/stream.md", "architecture"),
        ("/r/docs/decisions/0007-hops.md", "architecture"),
        ("/r/docs/api/online.md", "api"),
        ("/r/docs/setup.mdx", "guide"),
        ("C:\\r\\docs\\setup.md", "guide"),
        ("/r/CLAUDE.md", "other"),
    ],
)
def test_an_edit_of_a_document_is_derived_documentation_work(transcript: Any, read: Callable[..., Any], path: str, kind: str) -> None:
    edit(transcript, path)
    (document,) = read(transcript).of("document")
    assert document.derived
    assert document.agent_type == "documentation-keeper"
    assert document.measures == {"docs_updated": 1, "lines_added": 2, "lines_removed": 1}
    assert document.categories == {"outcome": "success", "doc_kind": kind}


@pytest.mark.parametrize(
    "path",
    ["/r/a.py", "/home/ada/.claude/plans/bold-fox.md", "/r/.planning/STATE.md", "/private/var/folders/notes.md", "/r/prompts/review.md"],
)
def test_code_and_notes_are_no_documents(transcript: Any, read: Callable[..., Any], path: str) -> None:
    edit(transcript, path)
    assert read(transcript).of("document") == []


def test_a_failed_edit_is_no_documentation_work(transcript: Any, read: Callable[..., Any]) -> None:
    edit(transcript, "/r/README.md", error=True)
    assert read(transcript).of("document") == []


def test_nothing_is_derived_for_the_agents_nobody_acts_for(transcript: Any, read: Callable[..., Any]) -> None:
    bash(transcript, "git push")
    bash(transcript, "pytest")
    edit(transcript, "/r/README.md")
    agents = {event.agent_type for event in read(transcript).events if event.derived}
    assert agents == {"deployment-specialist", "detektor-coder", "documentation-keeper"}
