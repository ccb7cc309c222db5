"""The eight agents' feature views, one file each. Plain data: nothing here computes, reads or writes.

Belongs here: what a feature is, in the words of `language`. Does not belong here: the words themselves, or what is made of a definition
(`compile`).
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


def view_named(name: str) -> FeatureView:
    """The view called `name` (`code_review_features`), or the one of the agent `name` (`code-reviewer`).

    Raises:
        KeyError: with the names that exist.

    """
    for view in VIEWS:
        if name in (view.name, view.agent):
            return view
    message = f"there is no feature view {name!r}; there are {', '.join(view.name for view in VIEWS)}"
    raise KeyError(message)
