"""What is there is documented, and what is documented is there."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest
from typer.main import get_command

from detektor_pipelines.cli import build_app
from detektor_pipelines.language.events import CATEGORIES, MEASURES
from detektor_pipelines.settings import ENV_PREFIX, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
USER_PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted((ROOT / "docs").rglob("*.md"))


def test_every_command_is_in_the_readme() -> None:
    app = build_app()
    names = [command.name for command in app.registered_commands] + [group.name for group in app.registered_groups]
    readme = (ROOT / "README.md").read_text()
    assert [name for name in names if f"`detektor {name}`" not in readme] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_page_is_reached_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in sorted((ROOT / "docs").glob("*.md")) if f"docs/{page.name}" not in readme] == []


def test_every_decision_is_in_the_index() -> None:
    index = (ROOT / "docs/decisions/README.md").read_text()
    assert [
        file.name for file in (ROOT / "docs/decisions").glob("*.md") if file.name != "README.md" and f"]({file.name})" not in index
    ] == []


def test_every_setting_is_documented() -> None:
    documented = set(re.findall(r"DETEKTOR_[A-Z0-9_]+", "".join(page.read_text() for page in USER_PAGES)))
    assert [name for each in Settings.model_fields if (name := f"{ENV_PREFIX}{each.upper()}") not in documented] == []


def test_no_variable_is_documented_that_nothing_reads() -> None:
    """The platform, its tests and their make targets read some; all others are settings."""
    settings = {f"{ENV_PREFIX}{each.upper()}" for each in Settings.model_fields}
    sources = [file for part in ("detektor_pipelines", "tests", "feature_repo") for file in (ROOT / part).rglob("*.py")]
    read = settings.union(*(re.findall(r"DETEKTOR_[A-Z0-9_]+", file.read_text()) for file in sources if file != Path(__file__)))
    named = {(name, page.name) for page in USER_PAGES for name in re.findall(r"DETEKTOR_[A-Z0-9_]+(?<!_)\b", page.read_text())}
    assert sorted(each for each in named if each[0] not in read) == []


def commands() -> dict[str, Any]:
    """Return each command of the platform by its words, such as `features get`, groups included; hidden ones too."""
    found: dict[str, Any] = {}

    def walk(words: str, command: Any) -> None:
        found[words] = command
        for name, each in getattr(command, "commands", {}).items():
            walk(f"{words} {name}".strip(), each)

    walk("", get_command(build_app()))
    return found


def test_every_command_is_documented() -> None:
    text = "".join(page.read_text() for page in USER_PAGES)
    shown = [words for words, command in commands().items() if words and not command.hidden]
    assert [words for words in shown if not re.search(rf"\bdetektor {words}\b", text)] == []


def test_every_option_is_documented() -> None:
    """By its name or, of a switch, by its opposite; not what `detektor emit` has for each measure, nor the shell's completion."""
    text = "".join(page.read_text() for page in USER_PAGES)
    left_out = {f"--{name.replace('_', '-')}" for name in (*MEASURES, *CATEGORIES)} | {"--show-completion"}
    options = {
        (words, tuple(names))
        for words, command in commands().items()
        if not command.hidden
        for each in command.get_params(click.Context(command))
        if each.param_type_name == "option" and not each.hidden
        if (names := [name for name in (*each.opts, *each.secondary_opts) if name.startswith("--")]) and not left_out & {*names}
    }
    assert len(options) > 200
    named = {name for _, names in options for name in names if re.search(rf"{name}(?![\w-])", text)}
    assert sorted((words, names) for words, names in options if not named & {*names}) == []


def shell_blocks(page: Path) -> list[str]:
    return re.findall(r"^```(?:sh|bash|shell)\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def calls(page: Path) -> list[str]:
    """Return the command lines of `detektor` on a page: in shell blocks, indented ones too, and in code spans."""
    text = page.read_text()
    lines = [line.strip() for block in shell_blocks(page) for line in block.replace("\\\n", " ").splitlines()]
    lines += [line.strip() for line in re.findall(r"^ {4}(detektor .*)$", text, re.MULTILINE)]
    lines += re.findall(r"`(detektor [^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    return [line for line in lines if line.startswith("detektor ")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_shell_blocks_parse(page: Path) -> None:
    for block in shell_blocks(page):
        done = subprocess.run(["bash", "-n"], input=block, text=True, capture_output=True, check=False)
        assert done.returncode == 0, f"{block}\n{done.stderr}"


def what_is_wrong(line: str, known: dict[str, Any]) -> str:
    """Say what does not exist of a command line, nothing where all of it does."""
    words = shlex.split(re.split(r"[|;<>]|&&", line)[0], comments=True)[1:]
    name = ""
    while words and f"{name} {words[0]}".strip() in known:
        name = f"{name} {words.pop(0)}".strip()
    if not name and words and not words[0].startswith(("-", "…")):
        return f"there is no such command: {line}"
    group = hasattr(known[name], "commands")
    if name and group and words and re.fullmatch(r"[a-z][a-z-]+", words[0]):
        return f"{name} has no such command: {line}"
    options = {option for each in known[name].get_params(click.Context(known[name])) for option in (*each.opts, *each.secondary_opts)} | {
        "--help",
        "-h",
    }
    given = [word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)]
    unknown = [option for option in given if option not in options]
    return f"{name} has no {', '.join(unknown)}: {line}" if unknown else ""


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_and_options_that_are_shown_exist(page: Path) -> None:
    known = commands()
    assert [wrong for line in calls(page) if (wrong := what_is_wrong(line, known))] == []


def texts(file: Path) -> Iterator[tuple[int, str]]:
    """Yield the texts of a module with their lines; a value that is put in is the word VALUE."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    parts |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == "application_name"}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield node.lineno, "".join(str(part.value) if isinstance(part, ast.Constant) else "VALUE" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            yield node.lineno, node.value


def printed_calls(text: str) -> list[str]:
    """Return the command lines that a text shows: in back quotes, in bold, after a colon, or the whole of it."""
    marked = re.findall(r"`(detektor [a-z-][^`]*)`", text) + re.findall(r"\[bold\](detektor [a-z-][^\[]*)\[/", text)
    bare = re.findall(r"(?:^|: |then |Run |\()(detektor [a-z-][^\n.,;:)`]*?)(?=[.,;)]?(?:\s|$)(?![-a-zA-Z0-9/~])|[,;)])", text)
    return marked + [re.split(r" {2}| lists | lets | or | and | says | makes ", each)[0] for each in bare]


def test_commands_and_options_that_are_printed_exist() -> None:
    """Hints and remedies: whatever text of the package holds a command line."""
    known = commands()
    shown = [
        (f"{file.relative_to(ROOT)}:{line}", call)
        for file in sorted((ROOT / "detektor_pipelines").rglob("*.py"))
        for line, text in texts(file)
        for call in printed_calls(text)
    ]
    assert len(shown) > 200
    assert [f"{where}: {wrong}" for where, call in shown if (wrong := what_is_wrong(call.replace("VALUE", "x"), known))] == []


def test_no_address_is_in_the_lock() -> None:
    locks = (
        "requirements.txt",
        "docs/site/requirements.txt",
        "benchmarks/requirements.txt",
        "supply/tools.txt",
        "supply/spark.txt",
        "docker/full.txt",
        "docker/serving.txt",
    )
    lines = [line for lock in locks for line in (ROOT / lock).read_text().splitlines()]
    assert [line for line in lines if "://" in line or line.startswith(("--", "-i ", "-f "))] == []
