"""The integer states of a view computed over numpy arrays, where planning its SQL would take longer than running it.

Belongs here: what `compile.sql` says of tables of events, as arrays: expressions, cells, rows, states. Does not belong here: reading
events, what states are made into (`compile.finalise`), and which of the two ways a view goes (`engine.compute`).
"""
