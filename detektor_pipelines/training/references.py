"""References to features: how a training set, a model and a request name the features that they want, those of other agents too.

- `code_review_features:rejection_rate`, or `code_review_features` for all of a view's: the row of the agent_id that is asked about. Of
  another agent's view it is that agent's row of the same project: asked about `code-reviewer@shop`, `coding_features` means
  `detektor-coder@shop`. Asked about an agent in no project, the row over all projects.
- `coding_features@all:rework_rate`: the agent's row over all projects (the roll-up), whatever is asked about.

Belongs here: the one parser of them. Does not belong here: reading what they name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from detektor_pipelines.catalog import VIEWS, view_named
from detektor_pipelines.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from detektor_pipelines.language.views import Feature, FeatureView

ALL: Final = "all"
"""After `@`: the row over all projects."""

OWN_COLUMNS: Final = frozenset({"agent_id", "decided_at", "label_known_at", "task_id", "label"})
"""Columns of a training set that are no features."""

_VERSION: Final = re.compile(r"v?\d+\.\d+\.\d+")
_FIX: Final = "Write VIEW:FEATURE, VIEW for all of them, or VIEW@all:FEATURE for the row over all projects."


@dataclass(frozen=True, slots=True)
class Reference:
    """One feature of one view, of the row of the same project or, with `roll_up`, of that over all projects."""

    view: FeatureView
    feature: Feature
    roll_up: bool = False

    @property
    def source(self) -> str:
        """Return `view` or `view@all`."""
        return f"{self.view.name}@{ALL}" if self.roll_up else self.view.name

    def __str__(self) -> str:
        """Return the text that `parse` reads."""
        return f"{self.source}:{self.feature.name}"

    def agent_id(self, asked: str) -> str:
        """Return the agent_id whose row is meant when `asked` is asked about."""
        return row_of(self.view, asked, roll_up=self.roll_up)


def row_of(view: FeatureView, asked: str, *, roll_up: bool = False) -> str:
    """Return the agent_id of a view's row that is meant when `asked` is asked about: the same project's, or that over all projects."""
    _, at, project = asked.partition("@")
    return view.agent if roll_up or not at else f"{view.agent}@{project}"


def parse(texts: Iterable[str]) -> tuple[Reference, ...]:
    """Return what the references name, in their order, each feature once.

    Raises:
        UserError: One names no view or feature, or is written otherwise; says how it is written.

    """
    found: dict[str, Reference] = {}
    for text in texts:
        for each in _parse_one(text):
            found.setdefault(str(each), each)
    return tuple(found.values())


def version_and_references(texts: Iterable[str]) -> tuple[str | None, list[str]]:
    """Tell a version (`v1.1.0`, `1.1.0`) from references, in what somebody asked for as features; commas separate too.

    Raises:
        UserError: Two versions are asked for.

    """
    words = [word.strip() for text in texts for word in text.split(",") if word.strip()]
    versions = list(dict.fromkeys(word.removeprefix("v") for word in words if _VERSION.fullmatch(word)))
    if len(versions) > 1:
        raise UserError(
            f"Two versions are asked for: {', '.join(versions)}.", fix="A set is of one: give one, or none for the present one."
        )
    return (versions[0] if versions else None), [word for word in words if not _VERSION.fullmatch(word)]


def all_of(view: FeatureView) -> tuple[Reference, ...]:
    """Return references to all features of a view."""
    return tuple(Reference(view, each) for each in view.features)


def column_names(references: Sequence[Reference]) -> tuple[str, ...]:
    """Return a name for each reference: its feature's, or `view__feature` (`view_all__feature` of a roll-up) where that says too little."""
    names = [each.feature.name for each in references]
    made = []
    for name, each in zip(names, references, strict=True):
        ambiguous = names.count(name) > 1 or name in OWN_COLUMNS
        made.append(f"{each.source.replace('@', '_')}__{name}" if ambiguous else name)
    return tuple(made)


def _parse_one(text: str) -> tuple[Reference, ...]:
    source, colon, feature_name = text.strip().partition(":")
    name, at, row = source.partition("@")
    if "/" in text:
        raise UserError(f"{text!r} is no feature reference.", fix=_fix_for_slash(text))
    view = _view(name, text)
    if at and row != ALL:
        wanted = f"{view.name}:{feature_name}" if colon else view.name
        raise UserError(
            f"{text!r}: after @ stands nothing but {ALL}.",
            fix=f"Write {wanted} for the row of the project that is asked about, {view.name}@{ALL} for the row over all projects.",
        )
    if not colon:
        return tuple(Reference(view, each, bool(at)) for each in view.features)
    try:
        return (Reference(view, view.feature(feature_name), bool(at)),)
    except KeyError as error:
        raise UserError(f"{error.args[0]}.", where=text, fix=f"`detektor features list {view.name}` describes them.") from None


def _view(name: str, text: str) -> FeatureView:
    """Return the view of that name; an agent's name is refused, it would be read as an agent_id elsewhere."""
    for view in VIEWS:
        if name == view.name:
            return view
        if name == view.agent:
            raise UserError(f"{text!r}: a reference names a view, not an agent.", fix=f"Write {text.replace(name, view.name, 1)}.")
    raise UserError(f"There is no feature view {name!r}.", where=text, fix=f"Use one of {', '.join(view.name for view in VIEWS)}. {_FIX}")


def _fix_for_slash(text: str) -> str:
    name, _, feature_name = text.partition("/")
    try:
        view = view_named(name.partition("@")[0])
    except KeyError:
        return _FIX
    return f"Write {view.name}:{feature_name}." if feature_name else _FIX
