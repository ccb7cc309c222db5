"""Files that people write, copy or get from elsewhere, bent: each is read, or one sentence says what is wrong with which file."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.examples import examples
from support.mangled import bent, bent_text, not_for_ever, torn, written
from support.training_sets import training_set_of

from detektor_pipelines.catalog import VIEWS, chosen, label_named
from detektor_pipelines.catalog.chosen import Chosen
from detektor_pipelines.engine import cases
from detektor_pipelines.errors import UserError
from detektor_pipelines.ingest.live.hook_settings import SettingsFile
from detektor_pipelines.language.canonical import label_to_canonical, to_canonical
from detektor_pipelines.language.hashes import data_hash, label_hash
from detektor_pipelines.recovery import manifest
from detektor_pipelines.training.labels import read_label_file
from detektor_pipelines.training.record import Record
from detektor_pipelines.training.sets import _METADATA, TrainingSet
from detektor_pipelines.usage.prices import Prices
from detektor_pipelines.web.tokens import TokenFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PRICES: Final = """[[price]]
model = "claude-*"
from = 2026-01-01
input = 3.0
output = 15.0
cache_read = 0.3
"""
CASES: Final = """view: code_review_features
cases:
  - name: one of two
    events:
      - {at: 2026-03-05 10:00, operation: review, project: shop, verdict: rejected, issues_found: 3}
      - {at: 2026-03-05 10:20, known_at: 2026-03-06 09:30, operation: review, project: shop, verdict: approved}
    expect:
      - at: 2026-03-05 11:00
        known_at: 2026-03-05 11:00
        agent_id: code-reviewer@shop
        values: {recent_reviews_count: 2, rejection_rate: 0.5, last_rejection_at: 2026-03-05 10:00}
"""
LABELS: Final = "agent_id,decided_at,label_known_at,label\ncode-reviewer,2026-03-05T10:00:00Z,2026-03-06T10:00:00Z,1\n"
TOKENS: Final = "# readers\nada sha256:" + "0a" * 32 + "\nbob sha256:" + "1b" * 32 + "\n"


def priced(file: Path) -> None:
    found = Prices(file.parent).tariff("claude-3", date(2026, 3, 5))
    if found:
        found.cost(dict.fromkeys(("input", "output", "cache_read", "cache_write"), 1_000), 500)


def cased(file: Path) -> None:
    list(cases.run_file(file))


TEXTS: Final[dict[str, tuple[str, Callable[[Path], object]]]] = {
    "prices.toml": (PRICES, priced),
    "cases.yaml": (CASES, cased),
    "labels.csv": (LABELS, read_label_file),
    "tokens": (TOKENS, TokenFile),
}

SETTINGS: Final = {
    "permissions": {"allow": ["Bash(ls:*)"]},
    "hooks": {"PostToolUse": [{"matcher": "*", "hooks": [{"type": "command", "command": "detektor-hook", "timeout": 5}]}]},
}
HELD: Final = {"name": "b/1", "size": 3, "sha256": "0a" * 32, "plain_size": 3, "plain_sha256": "0a" * 32}
BACKUP: Final = manifest.Manifest(
    **dict.fromkeys(("backup", "made_at", "release", "revision"), "x"),
    **{name: {} for name in ("postgres", "log", "definitions", "tables")},
    **{name: [] for name in ("roles", "recipients", "chunks", "artifacts", "files")},
    seconds=1.0,
    database=[manifest.File("toc.dat", manifest.Object(**HELD))],
)
LABEL: Final = label_named("code-reviewer", "rejected")
EXPERIMENT: Final = {
    "format": 1,
    "label": {"name": "rejected", "hash": label_hash(LABEL), "definition": label_to_canonical(LABEL)},
    "views": [
        {"name": each.name, "version": each.version, "data_hash": data_hash(each), "definition": to_canonical(each)} for each in VIEWS[:1]
    ],
    "set": {"start": None, "end": "2026-03-05T00:00:00+00:00", "until": "2026-03-05T00:00:00+00:00"},
}


def hooked(file: Path) -> None:
    found = SettingsFile(file)
    found.commands()
    json.loads(found.installed("detektor-hook"))
    found.removed()


def backed_up(file: Path) -> None:
    manifest.read(file.read_bytes(), str(file))


def recorded(file: Path) -> None:
    record = Record.read(file.read_bytes(), str(file))
    record.label()
    record.definitions()
    for name in ("start", "end", "until"):
        record.instant(name)


JSON: Final[dict[str, tuple[Any, Callable[[Path], object]]]] = {
    "settings.json": (SETTINGS, hooked),
    "manifest.json": (json.loads(BACKUP.as_bytes()), backed_up),
    "experiment.json": (EXPERIMENT, recorded),
    "versions.json": (json.loads(Chosen({VIEWS[0].name: VIEWS[0]}, VIEWS[1:2]).as_text()), chosen.read),
}
fuzzed = settings(max_examples=examples(20), suppress_health_check=[HealthCheck.too_slow], deadline=None)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("given")


def refused(error: UserError, where: str = "") -> None:
    assert error.what
    assert error.fix
    assert where in str(error.where)


def is_read_or_refused(read: Callable[[Path], object], file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with not_for_ever():
        try:
            read(file)
        except UserError as error:
            refused(error)


@pytest.mark.parametrize("name", TEXTS)
@fuzzed
@given(data=st.data())
def test_a_text_is_read_or_refused(name: str, data: st.DataObject, place: Path) -> None:
    text, read = TEXTS[name]
    is_read_or_refused(read, place / name, data.draw(bent_text(text)))


@pytest.mark.parametrize("name", JSON)
@fuzzed
@given(data=st.data())
def test_json_is_read_or_refused(name: str, data: st.DataObject, place: Path) -> None:
    whole, read = JSON[name]
    content = written(data.draw(bent(whole)))
    is_read_or_refused(read, place / name, data.draw(torn(content)) if data.draw(st.integers(0, 3)) == 0 else content)


@pytest.mark.parametrize("name", [*TEXTS, *JSON])
@pytest.mark.parametrize("content", [b"", b"\x00", b"[" * 3_000, b'{"format": ' * 2_000, b"a = " + b"[" * 3_000, b"9" * 5_000])
def test_what_no_reader_can_read_is_a_sentence(name: str, content: bytes, tmp_path: Path) -> None:
    read = (TEXTS | JSON)[name][1]
    is_read_or_refused(read, tmp_path / name, content)


@fuzzed
@given(data=st.data())
def test_a_training_set_of_elsewhere_is_read_or_refused(data: st.DataObject, place: Path) -> None:
    found = training_set_of()
    kept = {_METADATA: written(data.draw(bent(found.facts())))}
    pq.write_table(found.table.replace_schema_metadata(kept), place / "bent.parquet")
    with not_for_ever():
        try:
            assert TrainingSet.read(place / "bent.parquet").table.num_rows == found.table.num_rows
        except UserError as error:
            refused(error, "bent.parquet")
