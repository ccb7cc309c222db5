"""Events → deltas → rows → published partition.

Belongs here: computing values for a range, an instant or a chunk, the gate, and publishing what passed it, offline and online. Does not
belong here: Dagster (`orchestration`), events as they come (`stream`), tables and keys (`stores`).
"""
