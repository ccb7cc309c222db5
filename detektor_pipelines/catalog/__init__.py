"""The eight agents' feature views, one file each. Plain data: nothing here computes, reads or writes."""

from typing import Final

from detektor_pipelines.catalog import code_reviewer
from detektor_pipelines.language.views import FeatureView

VIEWS: Final[tuple[FeatureView, ...]] = (code_reviewer.VIEW,)


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
