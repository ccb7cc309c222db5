"""Feast's side of both stores: our online and offline store for Feast, its registry, and what its joins do with labels and gaps.

Belongs here: whatever Feast calls, and whoever calls Feast. Importing its stores takes seconds, because Feast does. Does not belong here:
the values themselves (`stores.online`, `stores.offline`), which never import Feast; Feast's objects made from definitions
(`compile.feast`).
"""

from detektor_pipelines.compile import feast_import  # noqa: F401  before Feast
