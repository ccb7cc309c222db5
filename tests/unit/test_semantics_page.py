"""The page of the rules and the rules' tests are the same rules."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/semantics.md").read_text()
TESTS = ROOT / "tests/semantics"


def test_the_rules_are_numbered_without_a_gap() -> None:
    numbers = [int(number) for number in re.findall(r"^### (\d+)\. ", PAGE, re.MULTILINE)]

    assert numbers == list(range(1, len(numbers) + 1))


def test_each_rule_names_its_own_test_and_has_an_example() -> None:
    _, *rules = re.split(r"^### ", PAGE, flags=re.MULTILINE)
    for rule in rules:
        number = int(rule.partition(".")[0])
        assert re.findall(r"`tests/semantics/test_rule_(\d\d)\.py`", rule) == [f"{number:02d}"], number
        assert "Example: " in rule, number


def test_each_rule_has_a_test_file_and_each_test_file_a_rule() -> None:
    named = set(re.findall(r"`tests/semantics/(test_rule_\d\d\.py)`", PAGE))

    assert named == {file.name for file in TESTS.glob("test_*.py")}


def test_readers_find_the_page() -> None:
    assert "](docs/semantics.md)" in (ROOT / "README.md").read_text()
    assert "](docs/semantics.md)" in (ROOT / "CONTRIBUTING.md").read_text()
