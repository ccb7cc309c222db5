"""What is delivered, under which licences, and what is known against it.

    make sbom        dist/sbom.json: every locked package with its version and hashes, as CycloneDX
    make licences    every locked package's licence is one that licences.toml allows; what is not installed is named
    make audit       known weaknesses of the locked versions (ADVISORIES=directory: by a copy of PyPA's advisory-db, without any network)

The locks are the platform's and Spark's (spark.txt). Runs in `.supply` (tools.txt). Exit code 1 when something is found. An audit that
nobody could answer is no finding, but says that there was none; with REQUIRED=1, as for a release, it is one.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT: Final = Path(__file__).resolve().parent.parent
LOCKS: Final = (ROOT / "requirements.txt", ROOT / "supply" / "spark.txt")
SBOM: Final = ROOT / "dist" / "sbom.json"
LICENCES: Final = Path(__file__).with_name("licences.toml")
BIN: Final = Path(sys.executable).parent
PYTHONS: Final = (ROOT / ".venv/bin/python", ROOT / ".spark/bin/python")
VERSION: Final = "1.6"


def main(words: list[str]) -> int:
    """Run what is asked for; returns how many findings there are, 1 at most."""
    problems = {"sbom": sbom, "licences": licences, "audit": audit}[words[0]]()
    for problem in problems:
        print(problem, file=sys.stderr)
    return bool(problems)


def locked(*locks: Path) -> dict[str, tuple[str, frozenset[str]]]:
    """Return version and hashes of every package of some locks, by default of all, by its normal name."""
    found = {}
    for block in re.split(r"\n(?=[a-z])", _text(locks or LOCKS)):
        if match := re.match(r"([a-z0-9.-]+)(?:\[[^\]]*\])?==(\S+)", block):
            found[normal(match[1])] = (match[2], frozenset(re.findall(r"sha256:([0-9a-f]{64})", block)))
    return found


def _text(locks: Sequence[Path]) -> str:
    return "\n".join(lock.read_text(encoding="utf-8") for lock in locks)


def normal(name: str) -> str:
    """Return a package's name as PyPI compares names."""
    return re.sub(r"[-_.]+", "-", name).lower()


# What is delivered -----------------------------------------------------------------------------------------------------------


def sbom() -> list[str]:
    """Write the list, and hold it to CycloneDX's schema and to the locks."""
    SBOM.parent.mkdir(exist_ok=True)
    words = ["requirements", "-", "--pyproject", str(ROOT / "pyproject.toml"), "--sv", VERSION, "--of", "JSON", "-o", str(SBOM)]
    subprocess.run([BIN / "cyclonedx-py", *words, "--output-reproducible", "--no-validate"], check=True, input=_text(LOCKS), text=True)
    problems = judged(SBOM.read_text(encoding="utf-8"), locked())
    if not problems:
        print(f"{SBOM.relative_to(ROOT)}: {len(locked())} packages, valid CycloneDX {VERSION}")
    return problems


def judged(text: str, lock: dict[str, tuple[str, frozenset[str]]]) -> list[str]:
    """Return what is wrong with a list."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    error = JsonStrictValidator(SchemaVersion.from_version(VERSION)).validate_str(text)
    if error:
        return [f"no valid CycloneDX {VERSION}: {error}"]
    listed = {normal(each["name"]): (each["version"], _hashes(each)) for each in json.loads(text)["components"]}
    problems = [f"{name} is in the lock, not in the list" for name in lock.keys() - listed.keys()]
    problems += [f"{name} is in the list, not in the lock" for name in listed.keys() - lock.keys()]
    return sorted(problems + [f"{name} is another one than locked" for name in lock.keys() & listed.keys() if lock[name] != listed[name]])


def _hashes(component: dict[str, Any]) -> frozenset[str]:
    references = component.get("externalReferences", [])
    return frozenset(each["content"] for reference in references for each in reference.get("hashes", []) if each["alg"] == "SHA-256")


# Under which licences --------------------------------------------------------------------------------------------------------


def licences() -> list[str]:
    """Hold the licences of what is installed to the list of allowed ones."""
    stated: dict[str, str] = {}
    for python in filter(Path.exists, PYTHONS):
        words = ["--python", str(python), "--format", "json", "--with-system"]
        done = subprocess.run([BIN / "pip-licenses", *words], check=True, capture_output=True, text=True)
        stated |= {normal(each["Name"]): each["License"] for each in json.loads(done.stdout)}
    wanted = locked()
    here = {name: stated[name] for name in wanted if name in stated}
    problems = not_allowed(here, tomllib.loads(LICENCES.read_text(encoding="utf-8")), set(wanted))
    print(f"Licences of {len(here)} of {len(wanted)} locked packages were looked at: {len(problems)} problems.")
    if absent := sorted(wanted.keys() - here.keys()):
        print(f"Not installed here, so not looked at (`make spark` brings Spark's): {', '.join(absent)}.")
    return problems


def not_allowed(stated: dict[str, str], rules: dict[str, dict[str, str]], lock: set[str]) -> list[str]:
    """Return the packages with a licence that no rule allows, and rules of packages that are not there any more."""
    allowed, excepted = rules["allowed"], rules["packages"]
    problems = [
        f"{name}: licence {licence!r} is not allowed: see supply/licences.toml"
        for name, licence in sorted(stated.items())
        if name not in excepted and not _fits(licence, allowed)
    ]
    return problems + [f"{name} is excepted in supply/licences.toml, and not locked" for name in sorted(excepted.keys() - lock)]


def _fits(licence: str, allowed: dict[str, str]) -> bool:
    """Every part of it is allowed; of alternatives one is enough."""
    if licence in allowed:
        return True
    parts = [part.strip(" ()") for part in re.split(r" AND |; ", licence)]
    return all(any(one.strip(" ()") in allowed for one in part.split(" OR ")) for part in parts)


# What is known against it ----------------------------------------------------------------------------------------------------


def audit() -> list[str]:
    """Ask PyPI, or look into a copy of PyPA's advisory-db."""
    copy = os.environ.get("ADVISORIES")
    if copy:
        found, unknown = in_copy(Path(copy), locked()), []
    else:
        found, unknown = _asked()
    if unknown:
        print(f"NOT AUDITED: nobody answered for {len(unknown)} of {len(locked())} packages. {unknown[0]}", file=sys.stderr)
        print("With a copy of PyPA's advisory-db: make audit ADVISORIES=directory", file=sys.stderr)
    else:
        print(f"{len(locked())} packages were audited: {len(found)} known weaknesses.")
    return found or (["The audit is required, and there was none."] if unknown and os.environ.get("REQUIRED") else [])


def _asked() -> tuple[list[str], list[str]]:
    """Return weaknesses, and for what there was no answer: pip-audit calls a package that the service does not know skipped, not failed."""
    locks = [word for lock in LOCKS for word in ("-r", str(lock))]
    words = ["--disable-pip", "--require-hashes", *locks, "--progress-spinner", "off", "--format", "json"]
    done = subprocess.run([BIN / "pip-audit", *words], check=False, capture_output=True, text=True)
    try:
        answers = json.loads(done.stdout)["dependencies"]
    except ValueError:
        last = (done.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1]
        return [], [last] * len(locked())
    found = [f"{each['name']} {each['version']}: {bad['id']}" for each in answers for bad in each.get("vulns", [])]
    return found, [each["skip_reason"] for each in answers if "skip_reason" in each]


def in_copy(directory: Path, lock: dict[str, tuple[str, frozenset[str]]]) -> list[str]:
    """Return the weaknesses of locked versions by `vulns/<package>/*.yaml`, which name the versions that have them."""
    import yaml

    if not (directory / "vulns").is_dir():
        return [f"{directory} is no copy of PyPA's advisory-db: it has no directory vulns"]
    found = []
    for name, (version, _) in sorted(lock.items()):
        for file in sorted((directory / "vulns" / name).glob("*.yaml")):
            advisory = yaml.safe_load(file.read_text(encoding="utf-8"))
            affected = {one for each in advisory["affected"] for one in each.get("versions", [])}
            if version in affected and "withdrawn" not in advisory:
                found.append(f"{name} {version}: {advisory['id']}")
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
