"""From a definition to what runs: SQL, finaliser, Pandera schema, Feast view, docs. Pure functions.

Belongs here: a text, a schema or a tree made of a definition. Does not belong here: I/O of any kind; what runs these texts is in `engine`,
`stream` and `stores`. It has more than fifteen modules: one for each thing that is made of a definition.
"""
