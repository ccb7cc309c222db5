"""What the references of a request ask for: of which views, in which version, of whose rows, and how the answer calls each value.

Features are named as in training sets (`training.references`), whose words for what is no reference are used here too; beside those a
reference here may name a version of a view, as Feast does.

Belongs here: references and rows. Pure. Does not belong here: the request around them, and the answer (`online_request`).
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.compile.loaded import phrase
from detektor_pipelines.errors import UserError
from detektor_pipelines.training import references as feature_references
from detektor_pipelines.training.references import ALL, row_of
from detektor_pipelines.web.problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from detektor_pipelines.stores.online.values import StoredView

VIEWS_BY_NAME: Final = {view.name: view for view in VIEWS}
AGENTS: Final = frozenset(view.agent for view in VIEWS)

_OTHERS: Final = {view.name: AGENTS - {view.agent} for view in VIEWS}
"""By view the agents whose it is not."""

_RESTART: Final = "If the definitions have changed since this server began: `detektor restart`."
_LATEST: Final = ("", "latest")
_NUMBER: Final = re.compile(r"[vV](\d{1,9})")


class Pin(NamedTuple):
    """A version of a view by Feast's number; None is the one that is current, whatever its number."""

    view: str
    number: int | None


class Source(NamedTuple):
    """What features are asked of: a view in a version, and whether of the row over all projects."""

    pin: Pin
    roll_up: bool = False

    @property
    def name(self) -> str:
        """Return it as it was asked for."""
        number = "" if self.pin.number is None else f"@v{self.pin.number}"
        return f"{self.pin.view}@{ALL}" if self.roll_up else f"{self.pin.view}{number}"


class Version(NamedTuple):
    """What a pin means: the version as the online store knows it, and its number, None when it is not registered."""

    view: StoredView
    number: int | None


@dataclass(frozen=True, slots=True)
class ViewPart:
    """What is asked of one view: the features, with the names that the answer gives them, and which of them are instants.

    `name`: the view as it was asked for, `code_review_features`, `code_review_features@v2` or `code_review_features@all`; `agent`: whose it
    is.
    """

    name: str
    view: StoredView
    features: tuple[str, ...]
    names: tuple[str, ...]
    instants: frozenset[str]
    agent: str
    roll_up: bool


def rows_of_parts(parts: Sequence[ViewPart], agent_ids: list[str]) -> list[list[str]]:
    """Return by part the agent_ids whose rows are meant; the very list that is asked about where no other's is."""
    return [agent_ids if _are_own(part, agent_ids) else [_row_of(part, each) for each in agent_ids] for part in parts]


def _are_own(part: ViewPart, agent_ids: list[str]) -> bool:
    """Tell whether no other row is meant than that of who is asked about.

    The usual case is quick: no agent's name begins with another's, and what lies between two texts that begin with it begins with it too.
    """
    if part.roll_up:
        return False
    if min(agent_ids).startswith(part.agent) and max(agent_ids).startswith(part.agent):
        return True
    return _OTHERS[part.view.name].isdisjoint([agent_id.partition("@")[0] for agent_id in agent_ids])


def _row_of(part: ViewPart, asked: str) -> str:
    """Return whose row is meant; of what is no agent's id there is none, whatever is asked of it."""
    return row_of(VIEWS_BY_NAME[part.view.name], asked, roll_up=part.roll_up) if asked.partition("@")[0] in AGENTS else asked


def grouped_by_source(references: tuple[str, ...]) -> dict[Source, list[str]]:
    """Group the features by view, version and row, in the order asked for."""
    _check_names(list(references))
    grouped: dict[Source, list[str]] = {}
    for reference in references:
        source, feature = _resolved(reference)
        grouped.setdefault(source, []).append(feature)
    return grouped


def parts_of(
    views: Mapping[Pin, StoredView],
    grouped: Mapping[Source, list[str]],
    full_names: bool,  # noqa: FBT001 - as `_plan`
) -> tuple[ViewPart, ...]:
    """Return what is asked of each view, and how the answer calls it.

    Raises:
        ProblemError: 422; a view lacks a feature, or two values would have one name.

    """
    parts = []
    for source, named in grouped.items():
        view = views[source.pin]
        features = _whole(named, _known(source.pin, view))
        _check_features(source.pin, features, view)
        names = tuple(f"{source.name}__{feature}" for feature in features) if full_names else tuple(features)
        instants = frozenset(name for name, kind in view.layout.fields if kind == "instant")
        parts.append(ViewPart(source.name, view, tuple(features), names, instants, VIEWS_BY_NAME[source.pin.view].agent, source.roll_up))
    _check_names([name for part in parts for name in part.names])
    if not full_names:
        _check_rows(grouped)
    return tuple(parts)


def _check_rows(grouped: Iterable[Source]) -> None:
    """Refuse two rows of one view without full names: nothing in the answer would say which value is of which."""
    whole = {source.pin.view for source in grouped if source.roll_up}
    for source in grouped:
        if not source.roll_up and source.pin.view in whole:
            both = f"{source.name} and {source.pin.view}@{ALL}"
            raise ProblemError(422, f"{both} are two rows of one view. Send full_feature_names, which tells their values apart.")


def _whole(named: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return the features with those of the whole view, if it is asked for, each once."""
    if "" not in named:
        return list(named)
    features: dict[str, None] = {}
    for each in named:
        features |= dict.fromkeys([each] if each else known)
    return list(features)


def _resolved(reference: str) -> tuple[Source, str]:
    """Return view, version, row and feature of a reference; an empty feature means all of them."""
    named, colon, feature = reference.partition(":")
    name, _, version = named.partition("@")
    if name not in VIEWS_BY_NAME or (colon and not feature):
        raise _no_reference(reference, name)
    if version == ALL:
        return Source(Pin(name, None), roll_up=True), feature
    if version.lower() in _LATEST:
        return Source(Pin(name, None)), feature
    number = _NUMBER.fullmatch(version)
    if number is None:
        end = f":{feature:.50}" if feature else ""
        detail = f"After @ stands neither {ALL} nor a version in {reference!r:.100}. Write {name}{end} for the row of the project that is"
        detail += f" asked about, {name}@{ALL}{end} for the row over all projects, {name}@v2{end} for what is registered as version 2."
        raise ProblemError(422, detail)
    return Source(Pin(name, int(number[1]))), feature


def _no_reference(reference: str, name: str) -> ProblemError:
    """Say what is wrong with a reference, in the words that a training set has for it."""
    if reference.endswith(":") or (":" not in reference and "/" not in reference and name not in AGENTS):
        example = "code_review_features:avg_issues_per_review"
        return ProblemError(422, f"{reference!r:.100} names no feature view. Write VIEW:FEATURE ({example}), or VIEW for all of them.")
    if "/" not in reference and name not in AGENTS:
        return ProblemError(404, f"There is no feature view {name!r:.100}. There are: {', '.join(VIEWS_BY_NAME)}. {_RESTART}")
    try:
        feature_references.parse([reference[:200]])
    except UserError as error:
        return ProblemError(422, f"{error.what} {error.fix or _RESTART}")
    return ProblemError(422, f"This is not a feature reference: {reference!r:.100}.")


def _check_features(pin: Pin, features: Sequence[str], view: StoredView) -> None:
    known = _known(pin, view)
    there = frozenset(known)
    for feature in features:
        if feature not in there:
            detail = f"{pin.view} has no feature {feature!r:.100}. It has: {', '.join(known)}."
            if pin.number is None:
                detail += f" Loaded here is {phrase(VIEWS_BY_NAME[pin.view])}. {_RESTART}"
            raise ProblemError(422, detail)


def _known(pin: Pin, view: StoredView) -> Sequence[str]:
    return view.layout.names if pin.number is not None else [each.name for each in VIEWS_BY_NAME[pin.view].features]


def _check_names(names: list[str]) -> None:
    if len(set(names)) != len(names):
        twice = sorted(name for name, count in Counter(names).items() if count > 1)
        named = f"Two features have one name: {', '.join(twice)[:500]}."
        raise ProblemError(422, f"{named} Ask for each once; with full_feature_names, those of two views differ.")
