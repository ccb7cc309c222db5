"""The parts of the simulator, from the bottom: keyed random numbers, real figures, the calendar, tasks, activity, the table.

Belongs here: how a made-up history comes about. Does not belong here: the way in (`ingest`), how events are stored.
"""
