"""Dagster: the feature views as assets, with partitions, checks, a sensor and the servers they need.

Only this package (and the entry `definitions.py`) knows Dagster. What an asset does is in `engine`; how it is scheduled, shown and recorded
is here.
"""
