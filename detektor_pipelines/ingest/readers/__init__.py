"""Readers: a module or a package for each log format turns its text into `AgentEvent`s and `Rejection`s.

Belongs here: the formats, the interface that all of them fulfil (`interface`), and what several of them need to know about agents' logs:
names, projects, shell commands, failures. Does not belong here: what an agent wrote for people, a verdict or a list of issues
(`ingest.reports`); events that arrive while they happen (`ingest.live`); checks that every event passes (`ingest.checks`).

There are more than fifteen modules: what readers know about logs is one subject a module, and each is found by its name.
"""
