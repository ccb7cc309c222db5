"""What a change of a definition does, feature by feature, and which bump of its version says so.

Two definitions are compared as data (`language.canonical.to_canonical`), so that also one can be that this release cannot compute any more.

    removed, or other numbers      a reader may get something else, or nothing: major
    added                          minor
    another order of features      nobody sees it, but rows and online values have another layout: patch
    texts, units, bounds, owner    nothing is recomputed: no bump is needed
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, TypeAlias

from detektor_pipelines.language.windows import Window

Kind: TypeAlias = Literal["added", "removed", "numbers change", "text only"]
Bump: TypeAlias = Literal["none", "patch", "minor", "major"]
Definition: TypeAlias = Mapping[str, Any]

BUMPS: Final[tuple[Bump, ...]] = ("none", "patch", "minor", "major")
WHOLE_VIEW: Final = "(the view)"

_NEEDS: Final[Mapping[Kind, Bump]] = {"added": "minor", "removed": "major", "numbers change": "major", "text only": "none"}
_NUMBERS: Final = {"value": "aggregation", "over": "window", "where": "filter"}
_TEXTS: Final = ("description", "unit", "null_means", "within")
_VIEW_NUMBERS: Final = {"agent": "agent", "grain": "grain", "semantics": "rules of the numbers"}
_VIEW_TEXTS: Final = ("owner", "description", "max_age", "tags")


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one feature, or of the whole view (`WHOLE_VIEW`); `detail` in words, such as `window 7d → 14d`."""

    feature: str
    kind: Kind
    detail: str

    def __str__(self) -> str:
        return f"{self.feature}: {self.kind}" + (f" ({self.detail})" if self.detail else "")


@dataclass(frozen=True, slots=True)
class Changes:
    """All changes between two definitions of a view, and the bump that they need."""

    changes: tuple[Change, ...]
    bump: Bump

    @property
    def numbers(self) -> bool:
        """Whether rows have to be computed anew."""
        return self.bump != "none"

    def as_data(self) -> list[dict[str, str]]:
        """Return them for JSON."""
        return [asdict(each) for each in self.changes]


def compare(before: Definition, after: Definition) -> Changes:
    """Return what changes from one definition to another, in the order of the later one, what is removed last."""
    found = [*_of_view(before, after), *_of_features(before, after)]
    needed: list[Bump] = [_NEEDS[each.kind] for each in found]
    kept = [[each["name"] for each in side["features"]] for side in (before, after)]
    common = set(kept[0]) & set(kept[1])
    if [name for name in kept[0] if name in common] != [name for name in kept[1] if name in common]:
        found.append(Change(WHOLE_VIEW, "text only", "the features stand in another order"))
        needed.append("patch")
    return Changes(tuple(found), max(needed, key=BUMPS.index, default="none"))


def enough(before: str, after: str, bump: Bump) -> bool:
    """Whether a version follows another one by a bump at least."""
    old, new = numbers_of(before), numbers_of(after)
    return new > old and BUMPS.index(_step(old, new)) >= BUMPS.index(bump)


def bumped(version: str, bump: Bump) -> str:
    """Return the version that follows by a bump."""
    major, minor, patch = numbers_of(version)
    following = {"major": (major + 1, 0, 0), "minor": (major, minor + 1, 0), "patch": (major, minor, patch + 1)}
    return ".".join(map(str, following.get(bump, (major, minor, patch))))


def numbers_of(version: str) -> tuple[int, int, int]:
    """Return a version's three numbers, by which versions are ordered."""
    major, minor, patch = map(int, version.split("."))
    return major, minor, patch


def _step(old: tuple[int, int, int], new: tuple[int, int, int]) -> Bump:
    if new[0] != old[0]:
        return "major"
    return "minor" if new[1] != old[1] else "patch"


def _of_view(before: Definition, after: Definition) -> list[Change]:
    numbers = [f"{words} {before[key]} → {after[key]}" for key, words in _VIEW_NUMBERS.items() if before[key] != after[key]]
    texts = [key for key in _VIEW_TEXTS if before[key] != after[key]]
    found = [Change(WHOLE_VIEW, "numbers change", "; ".join(numbers))] if numbers else []
    return [*found, Change(WHOLE_VIEW, "text only", ", ".join(texts))] if texts else found


def _of_features(before: Definition, after: Definition) -> list[Change]:
    old, new = ({each["name"]: each for each in side["features"]} for side in (before, after))
    whole = any(before[key] != after[key] for key in _VIEW_NUMBERS)
    found, moved = [], {name for name in new if name in old and (whole or _numbers(old[name]) != _numbers(new[name]))}
    for name, feature in new.items():
        if name not in old:
            found.append(Change(name, "added", _likeness(feature, [each for each in old.values() if each["name"] not in new])))
            continue
        through = sorted(moved & _made_of(feature)) if name not in moved else []
        if through:
            moved.add(name)
            found.append(Change(name, "numbers change", f"it is made of {', '.join(through)}"))
        elif name in moved:
            found.append(Change(name, "numbers change", _difference(old[name], feature) or "as all of the view"))
        elif texts := [key for key in _TEXTS if old[name][key] != feature[key]]:
            found.append(Change(name, "text only", ", ".join(texts)))
    return found + [Change(name, "removed", "") for name in old if name not in new]


def _numbers(feature: Definition) -> list[Any]:
    return [feature[key] for key in _NUMBERS]


def _made_of(feature: Definition) -> set[str]:
    """Return the features that a derived one names; they are declared before it, so what they are made of is known by then."""
    found, waiting = set(), [feature["value"]] if feature["over"] is None else []
    while waiting:
        match waiting.pop():
            case ["feature", str(name)]:
                found.add(name)
            case [_, left, right]:
                waiting += [left, right]
    return found


def _difference(old: Definition, new: Definition) -> str:
    parts = []
    for key, words in _NUMBERS.items():
        if old[key] != new[key]:
            both = old[key] is not None and new[key] is not None
            parts.append(f"{words} {Window(old[key]).label} → {Window(new[key]).label}" if key == "over" and both else words)
    return ", ".join(parts)


def _likeness(added: Definition, gone: list[Definition]) -> str:
    """Say that an added feature has the numbers of one that is gone: to whoever reads it by name, it is another one all the same."""
    same = [each["name"] for each in gone if _numbers(each) == _numbers(added)]
    return f"the numbers of {same[0]}, which is removed" if same else ""
