from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

WRONG = "import feast\ntry:\n    feast.Entity(name=1)\n    print('taken')\nexcept Exception as error:\n    print(type(error).__name__)\n"


def said(code: str) -> list[str]:
    return subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True).stdout.split()


def test_after_this_package_feast_comes_without_checks_of_its_arguments_and_others_keep_theirs() -> None:
    first = "import typeguard\nbefore = typeguard.typechecked\nimport detektor_pipelines.stores.feast\n"
    then = "print(typeguard.typechecked is before)"
    word, kept = said(f"{first}{WRONG}{then}")
    assert (word != "TypeCheckError", kept) == (True, "True")


@pytest.mark.long  # typeguard takes seconds
def test_before_this_package_feast_is_as_it_comes() -> None:
    assert said(f"import feast, detektor_pipelines.stores.feast\n{WRONG}") == ["TypeCheckError"]
