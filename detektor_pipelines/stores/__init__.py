"""Where values live: the raw log and its state, the offline rows, the online values, the experiment tracker.

Belongs here: everything that writes to or reads from a server. Does not belong here: how a value is computed (`engine`).
"""
