"""What is known of one server that `detektor up` runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from detektor_pipelines.stack import ports

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from detektor_pipelines.errors import UserError
    from detektor_pipelines.settings import Settings


def _nothing(_: Settings) -> None:
    """Stand for a step that a program does not have."""


def _no_variables(_: Settings) -> dict[str, str]:
    return {}


@dataclass(frozen=True)
class Program:
    """One server.

    Attributes:
        name: What commands call it.
        title: What a person reads.
        port_field: The field of `Settings` with its port, None when it listens on none; the environment variable is `DETEKTOR_` and
            this in capitals.
        second_port: How far above its port another one lies that it opens too; None when there is none.
        command: Its command line, in the foreground.
        ready: Whether it answers as it should; called often, takes milliseconds.
        external: The address of a server to use instead, or None.
        refusal: Why an external one that answers, or does not, cannot be used; None when it can. Takes longer than `ready`.
        prepare: Makes the files it needs; called before each start.
        finish: Completes it once it is ready (databases, schemas); also called for an external server.
        environment: Its variables beside the inherited ones; secrets belong here, not on the command line.
        needs: The programs that are ready before it starts.
        stop_signal: What ends it cleanly.
        alive: Whether its process does its work, however the servers are that it needs; the watchdog ends one that did and does no more.
            None: nobody looks.
        silent_seconds: For how long it may be silent before that.
        start_seconds: How long it may take until it is ready.
        stop_seconds: How long it may take to end before it is killed.

    """

    name: str
    title: str
    port_field: str | None
    command: Callable[[Settings], list[str]]
    ready: Callable[[Settings], bool]
    external: Callable[[Settings], str | None] = field(default=lambda _: None)
    refusal: Callable[[Settings], UserError | None] = field(default=lambda _: None)
    prepare: Callable[[Settings], None] = _nothing
    finish: Callable[[Settings], None] | None = None
    environment: Callable[[Settings], dict[str, str]] = _no_variables
    needs: tuple[str, ...] = ()
    alive: Callable[[Settings], bool] | None = None
    silent_seconds: int = 15
    stop_signal: str = "TERM"
    start_seconds: int = 60
    stop_seconds: int = 30
    second_port: int | None = None

    def port(self, settings: Settings) -> int | None:
        """Return the port it listens on when it is ours, None when it listens on none."""
        return int(getattr(settings, self.port_field)) if self.port_field else None

    @property
    def port_variable(self) -> str:
        """The environment variable that sets its port; empty when it has none."""
        return f"DETEKTOR_{self.port_field.upper()}" if self.port_field else ""

    def directory(self, settings: Settings) -> Path:
        """Return the directory it runs in."""
        return settings.home / "servers" / self.name

    def log(self, settings: Settings) -> Path:
        """Return the file that its output goes to."""
        return settings.home / "logs" / f"{self.name}.log"

    def address(self, settings: Settings) -> str:
        """Return where it is, without credentials; empty when it listens nowhere."""
        external = self.external(settings)
        if external is None:
            return f"{ports.LOOPBACK}:{self.port(settings)}" if self.port_field else ""
        return urlsplit(external).netloc.rpartition("@")[2]  # of a Redis cluster, or Sentinels, that is a list
