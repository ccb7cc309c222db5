"""Getting events in: readers of log formats, the checks that every event passes, and the run that takes them to the store.

Belongs here: whatever turns somebody's text into `AgentEvent`s or `Rejection`s. Does not belong here: how they are stored (`stores`),
what may be in an event (`language.events`).
"""
