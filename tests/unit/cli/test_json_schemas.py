"""What `--json` prints is described: each command has its schema, and each schema its command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest
from jsonschema_rs import meta
from typer.main import get_command
from typer.testing import CliRunner

from detektor_pipelines.cli import build_app
from detektor_pipelines.cli_commands.schemas import COMMANDS, file_name, schema_of
from tests.support.json_schemas import DIRECTORY, command_of, problems

ROOT = Path(__file__).resolve().parents[3]


def commands_with_json(command: Any, words: str = "") -> set[str]:
    inner = getattr(command, "commands", {})
    if inner:
        return {found for name, each in inner.items() for found in commands_with_json(each, f"{words} {name}".strip())}
    options = {option for each in command.get_params(click.Context(command)) for option in each.opts}
    return {words} if "--json" in options and not command.hidden else set()


def test_each_command_with_json_has_a_schema_and_the_other_way_round() -> None:
    with_json = commands_with_json(get_command(build_app()))
    assert with_json == set(COMMANDS)
    assert {file.name for file in DIRECTORY.glob("*")} == {file_name(each) for each in with_json}


def test_the_page_links_every_schema() -> None:
    page = (ROOT / "docs/json.md").read_text()
    assert [each for each in COMMANDS if f"`detektor {each}`](json/{file_name(each)})" not in page] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_a_schema_is_one_of_the_standard(command: str) -> None:
    meta.validate(schema_of(command))


def instants(schema: Any) -> list[Any]:
    if isinstance(schema, list):
        return [found for each in schema for found in instants(each)]
    if not isinstance(schema, dict):
        return []
    own = [schema] if schema.get("format") == "date-time" else []
    return own + [found for each in schema.values() for found in instants(each)]


def test_every_instant_is_in_utc_and_says_so() -> None:
    found = [each for command in COMMANDS for each in instants(schema_of(command))]
    assert found
    assert all(each["pattern"].endswith("Z$") for each in found)


@pytest.mark.parametrize("text", ["2026-03-05T10:00:00+00:00", "2026-03-05 10:00:00Z", "2026-03-05T10:00:00", "yesterday"])
def test_another_way_to_write_an_instant_is_no_way(text: str) -> None:
    assert problems("clock", {"now": "2026-03-05T10:00:00.25Z", "by": "home"}) == []
    assert problems("clock", {"now": text, "by": "home"})


@pytest.mark.parametrize("printed", [{"version": 1}, {}, {"version": "1", "more": 2}])
def test_what_is_missing_or_not_described_is_found(printed: dict[str, Any]) -> None:
    assert problems("version", printed)


@pytest.mark.parametrize(
    "words",
    [["version", "--json"], ["features", "list", "--json"], ["labels", "--json"], ["hook", "status", "--json"], ["clock", "--json"]],
)
def test_commands_that_need_no_server_print_what_is_described(words: list[str]) -> None:
    done = CliRunner().invoke(build_app(), words, catch_exceptions=False)
    assert problems(command_of(build_app(), words), json.loads(done.stdout)) == []
