"""The simulator: a made-up history of all eight agents, realistic enough to develop, demonstrate and measure on.

Belongs here, from the bottom: arrays and keyed random numbers, real figures, the calendar, tasks, activity, the table, and the entry
(`simulator`). Does not belong here: how events are stored, anything that real events pass through (`ingest`).
"""
