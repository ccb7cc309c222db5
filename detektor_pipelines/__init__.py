"""Detektor Features: one definition of a feature, the same number in batch, stream and training sets.

Belongs here, beside the rooms: the command line's entry (`cli`), Dagster's (`definitions`), the hook's (`hook`), and what everybody may use
(`settings`, `clock`, `errors`); that everybody may is why there are more than fifteen. Does not belong here: anything else;
CONTRIBUTING.md has the map of the rooms.
"""

__version__ = "0.2.0"
__all__ = ["AgentFeatures", "__version__"]

TYPE_CHECKING = False  # typing's own, without importing it: every command begins here
if TYPE_CHECKING:
    from detektor_pipelines.client import AgentFeatures
else:

    def __getattr__(name):  # noqa: ANN001, ANN202 - importing the package imports no part of it
        if name != "AgentFeatures":
            message = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(message)
        from detektor_pipelines.client import AgentFeatures

        return AgentFeatures
