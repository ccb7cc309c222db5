"""The page on own agents: its commands are those of the project's README, which a test types, and its declarations can be read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from detektor_pipelines import own_catalog
from detektor_pipelines.cli_commands import skeletons

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "own-agents.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_its_commands_are_those_of_the_readme_that_is_typed() -> None:
    (block,) = blocks("sh")
    readme = skeletons.README.format(name="my-agents")
    typed = [line.strip() for line in readme.splitlines() if line.startswith("       ") and line.strip()]

    assert block.splitlines() == ["detektor init my-agents", "cd my-agents", *typed]


@pytest.mark.parametrize("block", blocks("toml"))
def test_its_declarations_can_be_read(tmp_path: Path, block: str) -> None:
    (tmp_path / own_catalog.FILE).write_text(block, encoding="utf-8")

    found = own_catalog.read(tmp_path)

    assert found.replace or found.agents or found.measures
