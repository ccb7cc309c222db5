"""The raw log: every event that was taken in, with its revisions, retractions and rejections, and what of it was visible when.

Belongs here: the tables of events, writing them as Arrow tables (`bulk`), by the thousand (`writer`) and one by one (`live`), reading them
(`reader`, `known`, `tail`), their months and what the log as a whole holds (`state`, `volume`). Does not belong here: how a line becomes an
event (`ingest`), rows computed of events (`stores.offline`). There are more than fifteen modules because there are three ways in.
"""
