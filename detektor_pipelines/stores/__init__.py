"""Where values live: the raw log, the offline rows, the online values, Feast's registry, the experiment tracker. A room each.

Belongs here: everything that writes to or reads from a server; beside the rooms, connections, migrations and which cluster a log lives on.
Does not belong here: how a value is computed (`engine`).
"""
