"""The checks of what is delivered find what they are for."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from detektor_pipelines import __version__

ROOT = Path(__file__).resolve().parents[3]
TOOLS = ROOT / ".supply/bin/python"
RULES = {"allowed": {"MIT": "x", "Apache-2.0": "x", "BSD License": "x"}, "packages": {"odd": "x"}}
LOCK = (
    "odd[extra]==1.0 ; python_full_version < '3.13' \\\n    --hash=sha256:" + "a" * 64 + "\nplain.name==2 \\\n    --hash=sha256:" + "b" * 64
)
ADVISORY = "id: PYSEC-1\naffected:\n- package: {name: odd, ecosystem: PyPI}\n  versions: ['0.9', '1.0']\n"


def load() -> Any:
    spec = importlib.util.spec_from_file_location("supply_check", ROOT / "supply/check.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_lock_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "lock.txt").write_text(LOCK)
    assert load().locked(tmp_path / "lock.txt") == {"odd": ("1.0", frozenset(["a" * 64])), "plain-name": ("2", frozenset(["b" * 64]))}
    texts = [(ROOT / name).read_text() for name in ("requirements.txt", "supply/spark.txt")]
    assert len(load().locked()) == sum(len(re.findall(r"^[a-z].*==", text, re.MULTILINE)) for text in texts) > 200
    assert {"pyspark", "py4j", "dagster"} <= load().locked().keys()


@pytest.mark.parametrize(
    ("licence", "allowed"),
    [
        ("MIT", True),
        ("MIT AND Apache-2.0", True),
        ("MIT AND GPL-3.0", False),
        ("MIT OR GPL-3.0", True),
        ("MIT AND (Apache-2.0 OR GPL-3.0)", True),
        ("BSD License; MIT", True),
        ("BSD License; GPL-3.0", False),
        ("UNKNOWN", False),
    ],
)
def test_a_licence_is_held_part_by_part(licence: str, allowed: bool) -> None:  # noqa: FBT001 - a table
    assert load().not_allowed({"some": licence, "odd": "GPL-3.0"}, RULES, {"some", "odd"}) == (
        [] if allowed else [f"some: licence {licence!r} is not allowed: see supply/licences.toml"]
    )


def test_an_exception_for_what_is_not_locked_any_more_is_a_finding() -> None:
    assert load().not_allowed({}, RULES, set()) == ["odd is excepted in supply/licences.toml, and not locked"]


def test_a_copy_of_the_advisories_is_enough(tmp_path: Path) -> None:
    lock = {"odd": ("1.0", frozenset[str]()), "other": ("1.0", frozenset[str]())}
    assert load().in_copy(tmp_path, lock) == [f"{tmp_path} is no copy of PyPA's advisory-db: it has no directory vulns"]
    (tmp_path / "vulns/odd").mkdir(parents=True)
    (tmp_path / "vulns/odd/PYSEC-1.yaml").write_text(ADVISORY)
    (tmp_path / "vulns/odd/PYSEC-2.yaml").write_text(ADVISORY.replace("PYSEC-1", "PYSEC-2") + "withdrawn: 2026-01-01T00:00:00Z\n")
    assert load().in_copy(tmp_path, lock) == ["odd 1.0: PYSEC-1"]
    assert load().in_copy(tmp_path, {"odd": ("1.1", frozenset[str]())}) == []


def test_an_audit_that_nobody_answered_says_so_and_fails_only_where_it_is_required(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    check = load()
    monkeypatch.setattr(check, "_asked", lambda: ([], ["nobody knows it"] * 3))
    assert check.audit() == []
    assert "NOT AUDITED: nobody answered for 3 of" in capsys.readouterr().err
    monkeypatch.setenv("REQUIRED", "1")
    assert check.audit() == ["The audit is required, and there was none."]
    monkeypatch.setattr(check, "_asked", lambda: (["odd 1.0: PYSEC-1"], []))
    assert check.audit() == ["odd 1.0: PYSEC-1"]


def test_the_tools_are_locked_with_hashes_and_without_an_address() -> None:
    text = (ROOT / "supply/tools.txt").read_text()
    assert "://" not in text
    pins = load().locked(ROOT / "supply/tools.txt")
    assert {"cyclonedx-bom", "cyclonedx-python-lib", "pip-audit", "pip-licenses"} <= pins.keys()
    assert all(hashes for _, hashes in pins.values())


def test_the_changelog_has_this_release_and_its_date() -> None:
    changes = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(r"^## (\S+) \(\d{4}-\d\d-\d\d\)$", changes, re.MULTILINE)[1] == __version__  # type: ignore[index]
    assert "unreleased" not in changes


@pytest.mark.long  # CycloneDX's validator takes seconds for each list
@pytest.mark.skipif(not TOOLS.exists(), reason="make sbom brings the tools, .ci/run supply runs it")
def test_a_list_is_held_to_cyclonedx_and_to_the_lock(tmp_path: Path) -> None:
    code = """
import json, sys
sys.path.insert(0, sys.argv[1])
import check
lock = {"odd": ("1.0", frozenset(["a" * 64]))}
reference = {"type": "distribution", "url": "x", "hashes": [{"alg": "SHA-256", "content": "a" * 64}]}
bom = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
    "components": [{"type": "library", "name": "odd", "version": "1.0", "externalReferences": [reference]}]}
print(check.judged(json.dumps(bom), lock), check.judged(json.dumps(bom), {**lock, "more": ("1", frozenset())}))
bom["components"][0]["version"] = "1.1"
print(check.judged(json.dumps(bom), lock))
bom["components"][0]["type"] = "nonsense"
print(check.judged(json.dumps(bom), lock)[0][:24])
"""
    words = [TOOLS, "-W", "ignore", "-c", code, ROOT / "supply"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.splitlines() == [
        "[] ['more is in the lock, not in the list']",
        "['odd is another one than locked']",
        "no valid CycloneDX 1.6: ",
    ]
