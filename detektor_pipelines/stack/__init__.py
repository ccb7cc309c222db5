"""The servers of `detektor up`: starts, watches and ends processes by their command line, and imports none of what it runs.

Belongs here: `up`, `wait`, `status` and `down` for the servers that hold a person's data (`lifecycle`), the process manager, the watchdog;
`restart` brings the servers that run our code to what is on disk. A further server is one entry in `programs.PROGRAMS`. Does not belong
here: what a server does.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from detektor_pipelines.stack.lifecycle import ServiceStatus, StackStatus, down, status, up, wait

__all__ = ["ServiceStatus", "StackStatus", "down", "status", "up", "wait"]


def __getattr__(name: str) -> Any:
    """Import what starts and ends servers when it is first asked for: who wants to know one server's address alone does not wait for it."""
    if name not in __all__:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    from detektor_pipelines.stack import lifecycle

    return getattr(lifecycle, name)
