"""A view's days by Spark, in a process of Spark's own environment: Dagster Pipes hands over what to do and hears of each part.

What is recorded of the parts is recorded here, by the step, so that Dagster's pages show what they show of DuckDB's.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import warnings
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import dagster as dg
from dagster import AssetExecutionContext, PipesTempFileContextInjector, PipesTempFileMessageReader, open_pipes_session

from detektor_pipelines.engine.materialize import DayResult, Materialization
from detektor_pipelines.engine.spark import how_to_install
from detektor_pipelines.errors import UserError
from detektor_pipelines.installation import ROOT, in_clone
from detektor_pipelines.language.hashes import data_hash, metadata_hash
from detektor_pipelines.stores.connections import PostgresAwayError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from detektor_pipelines.engine.materialize import OnPart
    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings

_PROGRAM: Final = "detektor_pipelines.orchestration.spark_program"
_STDERR: Final = 2
_HEAR_SECONDS: Final = 0.2
_END_SECONDS: Final = 30
"""How long Spark may take to cancel its jobs."""


def materialize(
    settings: Settings, view: FeatureView, days: Sequence[date], *, resume: bool = False, on_part: OnPart | None = None
) -> Materialization:
    """Compute, audit and publish `days` of `view` by Spark, within the step of an asset; as `engine.materialize.materialize`.

    Raises:
        UserError: There is no such environment, or what the other process says.

    """
    extras = {
        "view": view.name,
        "definition": definition(view),
        "days": [day.isoformat() for day in days],
        "resume": resume,
    }
    found: list[Materialization] = []

    def hear(message: dict[str, Any]) -> None:
        if "refused" in message:
            told = message["refused"]
            raise (PostgresAwayError if told["away"] else UserError)(told["what"], where=told["where"], fix=told["fix"])
        part = part_of(message["part"])
        if message["whole"]:
            found.append(part)
        elif on_part:
            on_part(part)

    _run([interpreter(settings), "-m", _PROGRAM], extras, hear)
    return found[-1]


def interpreter(settings: Settings) -> str:
    """Return the Python of the environment that has pyspark.

    Raises:
        UserError: There is none.

    """
    python = settings.spark_python or (ROOT / ".spark/bin/python" if in_clone() else Path(sys.executable))
    if not python.is_file():
        raise UserError("There is no environment with Spark.", where=str(python), fix=how_to_install())
    return str(python)


def definition(view: FeatureView) -> str:
    """Return what the other process' definition has to be equal in."""
    return f"{data_hash(view)} {metadata_hash(view)}"


def _run(command: list[str], extras: dict[str, Any], hear: Callable[[dict[str, Any]], None]) -> None:
    """Run the program in a Pipes session of the step that is under way; `hear` is given each message as soon as it comes."""
    context = AssetExecutionContext.get()
    heard = 0

    def news() -> Iterator[dict[str, Any]]:
        nonlocal heard
        for message in session.get_custom_messages()[heard:]:
            heard += 1
            yield message

    injector, reader = PipesTempFileContextInjector(), PipesTempFileMessageReader()
    with (
        _without_previews(),
        open_pipes_session(context=context, context_injector=injector, message_reader=reader, extras=extras) as session,
    ):
        # what Spark prints is no output of a command of ours
        process = subprocess.Popen(command, env={**os.environ, **session.get_bootstrap_env_vars()}, stdout=_STDERR, stderr=_STDERR)
        try:
            while process.poll() is None:
                for message in news():
                    hear(message)
                _wait(process)
        except BaseException:
            _end(process)
            raise
    for message in news():
        hear(message)
    if process.returncode:
        raise dg.Failure(f"Spark's process ended with {process.returncode}; what it printed is in the run's standard error.")


@contextmanager
def _without_previews() -> Iterator[None]:
    """Keep Dagster from warning of a preview that its own reader of messages uses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)
        yield


def _wait(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(_HEAR_SECONDS)
    except subprocess.TimeoutExpired:
        return


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask for the end as Ctrl-C does, then insist."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGINT)
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def as_data(part: Materialization) -> dict[str, Any]:
    """Return a part as JSON has it."""
    days = [
        {
            "day": each.day.isoformat(),
            "status": each.status,
            "rows": each.rows,
            "hash": each.hash,
            "written": each.written,
            "null_rates": each.null_rates,
            "failures": each.failures,
            "events": each.events,
            "event_range": _texts(each.event_range),
        }
        for each in part.days
    ]
    return {
        "days": days,
        "snapshot": part.snapshot,
        "event_count": part.event_count,
        "event_range": _texts(part.event_range),
        "seconds": part.seconds,
    }


def part_of(data: dict[str, Any]) -> Materialization:
    """Return the part that `as_data` was given."""
    days = [
        DayResult(**{**each, "day": date.fromisoformat(each["day"]), "event_range": _instants(each["event_range"])})
        for each in data["days"]
    ]
    return Materialization(**{**data, "days": tuple(days), "event_range": _instants(data["event_range"])})


def _texts(ends: tuple[datetime, datetime] | None) -> list[str] | None:
    return [each.isoformat() for each in ends] if ends else None


def _instants(ends: list[str] | None) -> tuple[datetime, datetime] | None:
    return (datetime.fromisoformat(ends[0]), datetime.fromisoformat(ends[1])) if ends else None
