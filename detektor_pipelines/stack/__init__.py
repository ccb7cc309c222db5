"""The embedded servers: starts, watches and ends processes by their command line, and imports none of what it runs.

`up`, `wait`, `status` and `down` are for the servers that hold a person's data (`lifecycle`); `embedded` has throw-away ones for tests.
`restart` brings those that run our code to what is on disk. A further server is one entry in `programs.PROGRAMS`.
"""

from detektor_pipelines.stack.lifecycle import ServiceStatus, StackStatus, down, status, up, wait

__all__ = ["ServiceStatus", "StackStatus", "down", "status", "up", "wait"]
