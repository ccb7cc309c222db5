"""How much of what must not be kept is masked, and how many ordinary lines are changed.

    make masking-figures     # or: PYTHONPATH=tests .venv/bin/python tests/labelled/masking_figures.py

- `planted`: `planted_secrets.py`, drawn anew from a seed; `shared`: `cases/hardening/labelled-secrets.jsonl` beside DETEKTOR_SHARED_DATA.
- `lines`: 600 lines of the real transcripts of DETEKTOR_SHARED_DATA, by the hash of each. Lines with a home directory of a person count
  apart: their name is what has to go.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import os
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from detektor_pipelines.ingest.masking import mask
from labelled.planted_secrets import Planted, benign, planted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HERE = Path(__file__).parent
DATA = Path(os.environ.get("DETEKTOR_SHARED_DATA") or HERE.parents[1].parent / "shared" / "data")
LABELLED = DATA.parent / "cases" / "hardening" / "labelled-secrets.jsonl"
LINES = 600
_SHORTEST, _LONGEST = 20, 400


class Figures(NamedTuple):
    """Of one set: how many there are in each group, and which kinds are left readable how often."""

    there: dict[str, int]
    left: dict[str, Counter[str]]

    def share(self, group: str) -> float:
        """Share of a group that is masked."""
        return 1 - self.left[group].total() / self.there[group]


def of(examples: Iterable[Planted]) -> Figures:
    """Mask each and look for what must not be left."""
    there: Counter[str] = Counter()
    left: dict[str, Counter[str]] = defaultdict(Counter)
    for each in examples:
        there[each.group] += 1
        left[each.group][each.kind] += each.leak in mask(each.text)
    return Figures(there, {group: +kinds for group, kinds in left.items()})


def shared() -> list[Planted]:
    """The labelled set beside the shared data, empty without it."""
    if not LABELLED.is_file():
        return []
    records = map(json.loads, LABELLED.read_text(encoding="utf-8").splitlines())
    return [Planted(each["group"], each["kind"], each["text"], each["leak"]) for each in records]


def real_lines(count: int = LINES) -> list[str]:
    """Lines of real transcripts, chosen by their hashes; empty without them."""
    files = sorted(DATA.glob("*/raw/*.jsonl"))
    lines = {line for file in files for record in _records(file) for text in _texts(record) for line in text.split("\n")}
    fitting = (line.strip() for line in lines if _SHORTEST <= len(line.strip()) <= _LONGEST)
    return heapq.nsmallest(count, fitting, key=lambda line: hashlib.md5(line.encode(), usedforsecurity=False).digest())


def _records(file: Path) -> Iterator[Any]:
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            continue


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, each in value.items():
            if name != "signature":
                yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)


def changed(lines: Iterable[str]) -> tuple[list[str], list[str]]:
    """Lines that masking changes: because of a person's home directory alone, and otherwise."""
    homes: list[str] = []
    others: list[str] = []
    for line in lines:
        masked = mask(line)
        if masked != line:
            (homes if set(_marks(masked)) == {"user"} else others).append(line)
    return homes, others


def _marks(masked: str) -> list[str]:
    return [part.partition(">")[0] for part in masked.split("<")[1:] if part.partition(">")[0] in _KINDS]


_KINDS = frozenset(
    ("secret", "email", "user", "phone", "ip", "mac", "name", "address", "iban", "card", "id-number", "birth-date", "place", "plate")
)


def main() -> None:
    """Print the table."""
    for name, examples in (("planted", planted(2026, 20)), ("shared", shared())):
        if not examples:
            print(f"{name}: not there ({LABELLED})")  # noqa: T201
            continue
        figures = of(examples)
        for group in figures.there:
            print(f"{name:8} {group:11} {figures.share(group):7.1%} of {figures.there[group]:5}  left: {dict(figures.left[group])}")  # noqa: T201
    lookalikes = benign(2026, 20)
    wrong = Counter(kind for kind, text in lookalikes if mask(text) != text)
    print(f"planted  harmless    {wrong.total() / len(lookalikes):7.1%} of {len(lookalikes):5} changed  {dict(wrong)}")  # noqa: T201
    lines = real_lines()
    homes, others = changed(lines)
    if lines:
        print(f"lines    harmless    {len(others) / len(lines):7.1%} of {len(lines):5} changed; {len(homes)} more hold a home directory")  # noqa: T201


if __name__ == "__main__":
    main()
