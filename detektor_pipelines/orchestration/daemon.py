"""Dagster's daemon with one wait shortened: it looks at backfills each five seconds, where Dagster's own does each thirty.

A backfill waits for such a look before its first run starts, and for another before it is called done. Dagster has no setting for it.
Started by `detektor up` as `python -m detektor_pipelines.orchestration.daemon run …`; all words are Dagster's own.
"""

from __future__ import annotations

from typing import Final

LOOK_SECONDS: Final = 5
"""As often as Dagster looks at sensors."""


def shorten() -> None:
    """Have this process look at backfills each `LOOK_SECONDS`."""
    from dagster._daemon import controller

    controller.DEFAULT_DAEMON_INTERVAL_SECONDS = LOOK_SECONDS


def main() -> None:
    """Be `dagster-daemon`."""
    from dagster._daemon.cli import main as daemon

    shorten()
    daemon()


if __name__ == "__main__":
    main()
