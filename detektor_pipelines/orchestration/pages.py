"""Dagster's webserver with one thing before it: it answers to its own names alone, and to no page of elsewhere.

Dagster's own looks at neither Host nor Origin: a page whose name is made to lead to this machine (rebinding) reads everything and starts
runs, and any page opens its websocket. Started by `detektor up` as `python -m detektor_pipelines.orchestration.pages …`; all words are
Dagster's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from detektor_pipelines.settings import get_settings
from detektor_pipelines.web.browsers import NoPages, names_of

if TYPE_CHECKING:
    from starlette.types import ASGIApp


def guarded(application: ASGIApp, names: str | None) -> NoPages:
    """Return an application for those who call it by an address, a name of loopback, or one of `names`, commas between them."""
    return NoPages(application, names_of(names))


def guard() -> None:
    """Have this process put the guard before what it serves."""
    from dagster_webserver import cli

    module: Any = cli  # Dagster types what it exports, and that is not it
    make = module.create_app_from_workspace_process_context

    def made(*arguments: Any, **named: Any) -> Any:
        return guarded(make(*arguments, **named), get_settings().server_names)

    module.create_app_from_workspace_process_context = made


def main() -> None:
    """Be `dagster-webserver`."""
    from dagster_webserver import cli

    guard()
    cli.main()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
