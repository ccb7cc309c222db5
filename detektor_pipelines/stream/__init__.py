"""The stream worker: from an event's commit to its features online, with the numbers that batch would give.

Belongs here: following the log, windows in memory, leases between workers, writing what changed. Does not belong here: how events get into
the log (`ingest.live`), how a value stands in Redis (`stores.online`).
"""
