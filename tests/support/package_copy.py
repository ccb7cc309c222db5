"""A copy of the package whose files a test may change, as somebody does who edits the definitions while the programs run.

Programs that are started with `environment` load the copy; whatever is under test here goes on with the real package.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Final

import detektor_pipelines

REVIEWS: Final = Path("catalog") / "code_reviewer.py"
ADDED: Final = """    features=(
        Feature(
            "reviews_of_three_days",
            count(),
            over=days(3),
            where=REVIEW,
            description="Reviews finished in the last three days.",
            unit="reviews",
        ),
"""


class PackageCopy:
    """The copy, below a directory of the test's own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        source = Path(detektor_pipelines.__file__).parent
        self.package = Path(shutil.copytree(source, directory / source.name, ignore=shutil.ignore_patterns("__pycache__")))
        shutil.copytree(source.parent / "dagster_home", directory / "dagster_home")

    @property
    def environment(self) -> dict[str, str]:
        """Variables with which a program loads the copy."""
        return {"PYTHONPATH": os.pathsep.join([str(self.directory), *filter(None, [os.environ.get("PYTHONPATH")])])}

    def read(self, file: Path = REVIEWS) -> str:
        return (self.package / file).read_text(encoding="utf-8")

    def write(self, text: str, file: Path = REVIEWS) -> None:
        """Write a file at once: no program sees half of it, unless the text is."""
        part = self.package / f"{file}.part"
        part.write_text(text, encoding="utf-8")
        part.replace(self.package / file)

    def add_a_feature(self) -> None:
        """Make the reviews' view 2.0.0: it counts three days too."""
        self.write(re.sub(r'version="[\d.]+"', 'version="2.0.0"', self.read(), count=1).replace("    features=(\n", ADDED, 1))
