"""The eight agents' feature views and labels, one file each. Plain data: nothing computes or writes, one small file is read.

With a catalogue of one's own (DETEKTOR_CATALOG, `own_catalog`), its views and labels stand behind these, or in their place.

    PACKAGED    what the files beside this one say, of the eight
    DECLARED    the same without what gives way to one's own, and one's own: what pages, the client and the lock are made from
    VIEWS       what is in force: the same, but for the versions that somebody has rolled back to
    BESIDE      earlier versions that are kept fresh online until they are retired
    LABELS      what becomes of the agents' decisions

Belongs here: what a feature or a label is, in the words of `language`; every version there was (`history/`, and `versions.lock` over it).
Does not belong here: the words themselves, what is made of a definition (`compile`), or how a version comes into force (`versions`).
"""

from typing import Final

from detektor_pipelines.catalog import (
    architecture_advisor,
    chosen,
    code_reviewer,
    debugger,
    deployment_specialist,
    detektor_coder,
    documentation_keeper,
    outside,
    pipeline_debugger,
    pisarz,
)
from detektor_pipelines.errors import UserError
from detektor_pipelines.files import home
from detektor_pipelines.language.labels import Label
from detektor_pipelines.language.views import FeatureView

PACKAGED: Final[tuple[FeatureView, ...]] = (
    code_reviewer.VIEW,
    deployment_specialist.VIEW,
    detektor_coder.VIEW,
    documentation_keeper.VIEW,
    architecture_advisor.VIEW,
    debugger.VIEW,
    pipeline_debugger.VIEW,
    pisarz.VIEW,
)
"""In the order of `language.events.EIGHT`."""

OUTSIDE: Final = outside.load()
"""What catalogues beside the eight's declare, with the file of each view."""

DECLARED: Final[tuple[FeatureView, ...]] = (*outside.kept(PACKAGED, OUTSIDE), *(each.view for each in OUTSIDE))

_CHOSEN: Final = chosen.read(home() / chosen.FILE)

VIEWS: Final[tuple[FeatureView, ...]] = _CHOSEN.in_force(DECLARED)
BESIDE: Final[tuple[FeatureView, ...]] = _CHOSEN.kept_beside(VIEWS)

_LABELS: Final[tuple[Label, ...]] = (
    *code_reviewer.LABELS,
    *deployment_specialist.LABELS,
    *detektor_coder.LABELS,
    *documentation_keeper.LABELS,
    *architecture_advisor.LABELS,
    *debugger.LABELS,
    *pipeline_debugger.LABELS,
    *pisarz.LABELS,
)
_KEPT: Final = {view.agent for view in DECLARED} - {each.view.agent for each in OUTSIDE}

LABELS: Final[tuple[Label, ...]] = (
    *(label for label in _LABELS if label.agent in _KEPT),
    *(label for each in OUTSIDE for label in each.labels),
)
"""In the same order; a name is an agent's own, two agents may have the same one."""


def labels_of(agent: str) -> tuple[Label, ...]:
    """The labels of an agent's decisions.

    Raises:
        UserError: there is no such agent.

    """
    if agent not in {view.agent for view in VIEWS}:
        raise UserError(f"There is no agent {agent!r}.", fix=f"Use one of {', '.join(view.agent for view in VIEWS)}.")
    return tuple(label for label in LABELS if label.agent == agent)


def label_named(agent: str, name: str) -> Label:
    """The label ``name`` of an agent's decisions.

    Raises:
        UserError: there is no such agent or label; says which there are.

    """
    found = labels_of(agent)
    for label in found:
        if label.name == name:
            return label
    raise UserError(f"{agent} has no label {name!r}.", fix=f"Use one of {', '.join(label.name for label in found)}.")


def view_named(name: str, views: tuple[FeatureView, ...] = VIEWS) -> FeatureView:
    """The view called ``name`` (``code_review_features``), or the one of the agent ``name`` (``code-reviewer``); by default as in force.

    Raises:
        KeyError: with the names that exist.

    """
    for view in views:
        if name in (view.name, view.agent):
            return view
    message = f"there is no feature view {name!r}; there are {', '.join(view.name for view in views)}"
    raise KeyError(message)
