"""`detektor validate`: does everything that is stored say the same, from the raw log to what a reader gets?

Belongs here: questions that are asked of whole stores at once, each with the number of things that it compared, for a check that compared
nothing is no success. Does not belong here: what decides on publishing (`engine.gate`), what judges a day after it was published
(`quality.examination`), and whether a served value is right (`quality.parity`), which is asked from here.
"""
