"""What is there is documented, and what is documented is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from detektor_pipelines.cli import build_app

ROOT = Path(__file__).resolve().parents[2]
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


def test_every_decision_is_in_the_index() -> None:
    index = (ROOT / "docs/decisions/README.md").read_text()
    assert [file.name for file in (ROOT / "docs/decisions").glob("[0-9]*.md") if f"]({file.name})" not in index] == []


def test_no_address_is_in_the_lock() -> None:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    assert [line for line in lines if "://" in line or line.startswith(("--", "-i ", "-f "))] == []
