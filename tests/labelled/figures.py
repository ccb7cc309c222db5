"""How often what is read out of calls and reports is right, on sets that were labelled by hand.

    make labelled            # or: .venv/bin/python tests/labelled/figures.py

- `calls.jsonl`: calls of our own wording with their purpose. `rules`: looked at while the rules were written; `holdout`: not until they
  were done; `second`: written after that.
- `shared_calls.json`, `shared_reports.json`: ids (hashed) of calls and reviews in the transcripts of `DETEKTOR_SHARED_DATA` (default:
  `../shared/data` beside the repository) with their purpose, verdict and counts; nothing of their text. A third is the holdout, by the id.

Every call is judged as if its agent was called `general-purpose`, but those of `Explore`, which cannot write.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import sys
from collections import Counter, defaultdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from detektor_pipelines.ingest.readers import transcripts
from detektor_pipelines.ingest.readers.claude_code.emit import Emitter
from detektor_pipelines.ingest.readers.interface import ReadContext, SourceFile
from detektor_pipelines.ingest.readers.names import AgentNames
from detektor_pipelines.ingest.readers.statistics import ReadStats
from detektor_pipelines.ingest.reports.verdicts import read_review
from detektor_pipelines.language.events import UNMAPPED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HERE = Path(__file__).parent
DATA = Path(os.environ.get("DETEKTOR_SHARED_DATA") or HERE.parents[1].parent / "shared" / "data")
SUBAGENT_TOOLS = frozenset({"Task", "Agent"})


class Score(NamedTuple):
    """`right` of `said` are right; of `there` that should have been said, `right` were."""

    right: int
    said: int
    there: int

    @property
    def precision(self) -> float:
        """Share of what was said that is right; 1 when nothing was said."""
        return self.right / self.said if self.said else 1.0

    @property
    def recall(self) -> float:
        """Share of what is there that was said, rightly."""
        return self.right / self.there if self.there else 1.0


class Call(NamedTuple):
    """A call and what it was for by a person's reading; None for what is nobody's work."""

    name: str
    description: str
    prompt: str
    purpose: str | None
    part: str


def own_calls() -> list[Call]:
    """Read the calls of our own wording."""
    rows = [json.loads(line) for line in (HERE / "calls.jsonl").read_text(encoding="utf-8").splitlines()]
    return [Call("general-purpose", row["description"], row["prompt"], row["purpose"], row["half"]) for row in rows]


def shared_calls() -> list[Call]:
    """Read the labelled calls of the real transcripts; the longest copy of a prompt counts."""
    labels: dict[str, str | None] = json.loads((HERE / "shared_calls.json").read_text())
    found: dict[str, Call] = {}
    for block in _tool_uses():
        given = block["input"]
        key = _hash(block["id"])
        name = "Explore" if given.get("subagent_type") == "Explore" else "general-purpose"
        call = Call(name, given.get("description") or "", given.get("prompt") or "", labels.get(key), part_of(key))
        if key in labels and (key not in found or len(found[key].prompt) < len(call.prompt)):
            found[key] = call
    return list(found.values())


def part_of(key: str) -> str:
    """A third of the ids is the holdout."""
    return "holdout" if int(key[0], 16) % 3 == 2 else "rules"


def score_calls(calls: Iterable[Call]) -> dict[str, Score]:
    """Compare what the rules say with the labels, by purpose."""
    names = AgentNames.load()
    right, said, there = Counter[str](), Counter[str](), Counter[str]()
    for call in calls:
        called = names.agent_for(call.name, call.description, call.prompt)
        purpose = called.purpose if called.agent_type != UNMAPPED else None
        said.update([purpose] if purpose else [])
        there.update([call.purpose] if call.purpose else [])
        right.update([purpose] if purpose and purpose == call.purpose else [])
    return {purpose: Score(right[purpose], said[purpose], there[purpose]) for purpose in sorted(said.keys() | there.keys())}


def shared_reports() -> dict[str, str]:
    """Read the final reports of all reviews in the real transcripts, by the hash of the call's id."""
    found: dict[str, str] = {}
    work = Emitter._work

    def noting(self: Emitter, ending: Any, agent: Any, attempt: int | None) -> Any:
        found[_hash(ending.key)] = ending.text or ""
        return work(self, ending, agent, attempt)

    Emitter._work = noting  # type: ignore[method-assign]
    try:
        for directory in sorted(path for path in DATA.iterdir() if path.is_dir()):
            files = [SourceFile(path, path.name, 0, partial(_numbered, path)) for path in _files(directory)]
            for _ in transcripts.read_many(files, ReadContext(names=AgentNames.load()), ReadStats()):
                pass
    finally:
        Emitter._work = work  # type: ignore[method-assign]
    return found


def score_reports(texts: dict[str, str]) -> dict[tuple[str, str], Score]:
    """Compare verdicts and counts with the labels, by part and kind."""
    labels: dict[str, dict[str, Any]] = json.loads((HERE / "shared_reports.json").read_text())
    tally: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for key, expected in labels.items():
        review = read_review(texts.get(key, ""))
        issues = review.issues
        got = {"verdict": review.verdict, "critical": issues.critical, "major": issues.major, "minor": issues.minor, "found": issues.found}
        for name, value in got.items():
            counts = tally[part_of(key), "verdict" if name == "verdict" else "counts"]
            counts[0] += value is not None and value == expected[name]
            counts[1] += value is not None
            counts[2] += expected[name] is not None
    return {kind: Score(*counts) for kind, counts in sorted(tally.items())}


def _hash(identifier: str) -> str:
    return hashlib.sha256(identifier.encode()).hexdigest()[:12]


def _files(directory: Path) -> list[Path]:
    return [*sorted(directory.glob("events.slim.jsonl.gz")), *sorted((directory / "raw").glob("*.jsonl"))]


def _lines(path: Path) -> Iterator[bytes]:
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        yield from file


def _numbered(path: Path) -> Iterator[tuple[int, bytes]]:
    return enumerate(_lines(path), 1)


def _tool_uses() -> Iterator[dict[str, Any]]:
    for path in (file for directory in sorted(DATA.iterdir()) if directory.is_dir() for file in _files(directory)):
        for line in _lines(path):
            if b'"Task"' not in line and b'"Agent"' not in line:
                continue
            record = json.loads(line)
            message = record.get("message")
            if record.get("type") == "progress":
                message = ((record.get("data") or {}).get("message") or {}).get("message")
            content = message.get("content") if isinstance(message, dict) else None
            for block in content if isinstance(content, list) else []:
                if isinstance(block, dict) and block.get("type") == "tool_use" and block.get("name") in SUBAGENT_TOOLS:
                    yield block


def main() -> None:
    """Print every figure."""
    for title, calls in (("own wording", own_calls()), ("shared data", shared_calls() if DATA.is_dir() else [])):
        for part in dict.fromkeys(call.part for call in calls):
            _say(f"calls, {title}, {part}", score_calls(call for call in calls if call.part == part))
    if not DATA.is_dir():
        sys.stdout.write(f"no transcripts in {DATA}: DETEKTOR_SHARED_DATA names their directory\n")
        return
    scores = score_reports(shared_reports())
    for part in ("rules", "holdout"):
        _say(f"reviews, shared data, {part}", {kind: score for (of, kind), score in scores.items() if of == part})


def _say(title: str, scores: dict[str, Score]) -> None:
    sys.stdout.write(f"{title}\n")
    for name, score in scores.items():
        precision = f"precision {score.right}/{score.said} = {score.precision:.3f}"
        sys.stdout.write(f"  {name:10} {precision}, recall {score.right}/{score.there} = {score.recall:.3f}\n")


if __name__ == "__main__":
    main()
