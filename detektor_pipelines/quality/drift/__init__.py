"""Drift: whether a feature's values of the last seven days are those of a pinned reference, or chance alone explains the difference.

    results         what is said of a feature, and the thresholds
    samples         values as readers got them, from the offline store
    profiles        what a reference is kept as
    statistics      distances, and what chance does to them
    judgement       from a reference and seven days to results
    references      pinning
    look            all of it for a view; what was last found

Belongs here: the comparison of distributions. Does not belong here: the data's age, its nulls of a single day, its volume (`quality`).
"""

from detektor_pipelines.quality.drift.look import Look, latest, look, look_at
from detektor_pipelines.quality.drift.results import ALERT, CALM, METHODS, Level, Method, Reference, Result

__all__ = ["ALERT", "CALM", "METHODS", "Level", "Look", "Method", "Reference", "Result", "latest", "look", "look_at"]
