"""Holds what commands print with `--json` against docs/json/, wherever a test runs one in its own process.

Stricter than the schemas: what a command prints and its schema does not name is wrong too, for nobody would know of it.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonschema_rs import Draft202012Validator
from typer.main import get_command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from click.testing import Result
    from typer.testing import CliRunner

DIRECTORY = Path(__file__).resolve().parents[2] / "docs/json"


def watched(invoke: Any) -> Any:
    """Return CliRunner.invoke as it is, with a look at what it printed."""

    def invoke_and_look(self: CliRunner, app: Any, args: Sequence[str] | None = None, *others: Any, **more: Any) -> Result:
        result: Result = invoke(self, app, args, *others, **more)
        if args and not isinstance(args, str) and "--json" in args and result.stdout.startswith(("{", "[")):
            command = command_of(app, [str(word) for word in args])
            found = problems(command, json.loads(result.stdout))
            assert not found, f"detektor {command} --json is not as docs/json says: {found}"
        return result

    return invoke_and_look


def command_of(app: Any, words: Sequence[str]) -> str:
    """Return the words of a command line that name the command, `features get`."""
    command, name = get_command(app), []
    for word in words:
        inner = getattr(command, "commands", {}).get(word)
        if inner is None:
            break
        command, name = inner, [*name, word]
    return " ".join(name).replace("online mend", "online repair")


def problems(command: str, printed: Any) -> list[str]:
    """Return what is wrong with a command's output."""
    return [f"{'/'.join(map(str, error.instance_path))}: {error.message[:300]}" for error in _validator(command).iter_errors(printed)]


@cache
def _validator(command: str) -> Draft202012Validator:
    file = DIRECTORY / f"{command.replace(' ', '-')}.schema.json"
    return Draft202012Validator(_closed(json.loads(file.read_text())), validate_formats=True)


def _closed(schema: Any) -> Any:
    """Forbid the keys that a schema does not name."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(each) for key, each in schema.items()}
    if isinstance(schema.get("properties"), dict) and "required" in schema:
        closed.setdefault("additionalProperties", False)
    return closed
