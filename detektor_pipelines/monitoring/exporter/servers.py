"""The servers of this stack: whether each answers as it should, and how much memory it uses.

Those that somebody started and that are external; what was never started is not missed. Without a process manager (in containers) only
external servers are known here, and Prometheus itself says of the others whether they are up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psutil

from detektor_pipelines.monitoring import metrics
from detektor_pipelines.monitoring.exporter.question import Answer
from detektor_pipelines.stack import supervisor
from detektor_pipelines.stack.programs import PROGRAMS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from detektor_pipelines.monitoring.exporter.question import Samples, Stores


def servers(stores: Stores) -> Answer:
    """Ask each; milliseconds, but for one that hangs."""
    rows = supervisor.states(stores.settings)
    up: Samples = {}
    memory: Samples = {}
    for name, program in PROGRAMS.items():
        row = rows.get(name)
        if program.external(stores.settings) is not None:
            up[(name,)] = float(program.ready(stores.settings))
        elif row is not None and row["statename"] != "STOPPED":
            up[(name,)] = float(row["statename"] == "RUNNING" and program.ready(stores.settings))
            if used := _memory(row):
                memory[(name,)] = float(used)
    return Answer({metrics.SERVER_UP: up, metrics.SERVER_MEMORY: memory})


def _memory(row: Mapping[str, Any]) -> int:
    """Return the bytes of a program's processes, without what they share twice; 0 when it has none."""
    try:
        process = psutil.Process(int(row["pid"]))
        return sum(_own(each) for each in (process, *process.children(recursive=True)))
    except psutil.Error:
        return 0


def _own(process: psutil.Process) -> int:
    try:
        found = process.memory_info()
    except psutil.Error:
        return 0
    return int(found.rss - found.shared)
