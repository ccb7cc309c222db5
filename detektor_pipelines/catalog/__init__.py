"""The eight agents' feature views and labels, one file each. Plain data: nothing here computes, reads or writes.

Belongs here: what a feature or a label is, in the words of `language`. Does not belong here: the words themselves, or what is made
of a definition (`compile`).
"""

from typing import Final

from detektor_pipelines.catalog import (
    architecture_advisor,
    code_reviewer,
    debugger,
    deployment_specialist,
    detektor_coder,
    documentation_keeper,
    pipeline_debugger,
    pisarz,
)
from detektor_pipelines.errors import UserError
from detektor_pipelines.language.labels import Label
from detektor_pipelines.language.views import FeatureView

VIEWS: Final[tuple[FeatureView, ...]] = (
    code_reviewer.VIEW,
    deployment_specialist.VIEW,
    detektor_coder.VIEW,
    documentation_keeper.VIEW,
    architecture_advisor.VIEW,
    debugger.VIEW,
    pipeline_debugger.VIEW,
    pisarz.VIEW,
)
"""In the order of `language.events.AGENTS`."""

LABELS: Final[tuple[Label, ...]] = (
    *code_reviewer.LABELS,
    *deployment_specialist.LABELS,
    *detektor_coder.LABELS,
    *documentation_keeper.LABELS,
    *architecture_advisor.LABELS,
    *debugger.LABELS,
    *pipeline_debugger.LABELS,
    *pisarz.LABELS,
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


def view_named(name: str) -> FeatureView:
    """The view called ``name`` (``code_review_features``), or the one of the agent ``name`` (``code-reviewer``).

    Raises:
        KeyError: with the names that exist.
    """
    for view in VIEWS:
        if name in (view.name, view.agent):
            return view
    message = f"there is no feature view {name!r}; there are {', '.join(view.name for view in VIEWS)}"
    raise KeyError(message)
