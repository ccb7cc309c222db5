"""The servers of `detektor up`: starts, watches and ends processes by their command line, and imports none of what it runs.

Belongs here: `up`, `wait`, `status` and `down` for the servers that hold a person's data (`lifecycle`), the process manager, the watchdog;
`restart` brings the servers that run our code to what is on disk. A further server is one entry in `programs.PROGRAMS`. Does not belong
here: what a server does.
"""

from detektor_pipelines.stack.lifecycle import ServiceStatus, StackStatus, down, status, up, wait

__all__ = ["ServiceStatus", "StackStatus", "down", "status", "up", "wait"]
