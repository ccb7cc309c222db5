"""The servers that `detektor up` starts, each by itself: where its program lies, how it is prepared, when it is ready.

Belongs here: what is particular to PostgreSQL, Redis or Dagster. Does not belong here: which programs there are and in which order
(`stack.programs`), keeping them running (`stack.supervisor`).
"""
