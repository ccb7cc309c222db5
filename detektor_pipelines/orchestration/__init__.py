"""Dagster: the feature views as assets, with partitions, checks, sensors and the servers they need.

Belongs here: whatever imports Dagster; nothing else does but the entry `definitions.py`. Does not belong here: what an asset does
(`engine`), what a check judges (`quality`).

There are more than fifteen modules because users' dagster.yaml names `storage` and `launcher` where they are.
"""
