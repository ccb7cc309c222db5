"""The rows, in the order of the list."""

from __future__ import annotations

from typing import Final

from detektor_pipelines.acceptance import files, models, online, servers, stored, watching
from detektor_pipelines.acceptance.findings import Row

ROWS: Final = (
    Row("T1", "Raw logs in schema ml_learning", servers.raw_log),
    Row("T2", "Feature and registry server are healthy", servers.healthy),
    Row("T3", "Feast's registry in PostgreSQL", servers.registry),
    Row("T4", "Redis holds the online values", servers.online_keys),
    Row("T5", "Reads and updates are fast", online.fast),
    Row("T6", "Configuration in Git, no secret in it", files.configuration),
    Row("T7", "Eight views, online and historically", stored.views),
    Row("T8", "An agent acts, its features move", online.moves),
    Row("T9", "The whole history is computed", stored.history),
    Row("T10", "Everything stored agrees", stored.validated),
    Row("T11", "Drift of each feature", watching.drift),
    Row("T12", "Versions and hashes in MLflow", models.versions),
    Row("T13", "An experiment on features as of then", models.experiment),
    Row("T14", "The model reads features online", models.inference),
    Row("T15", "Grafana's dashboard", watching.dashboard),
    Row("T16", "Alerts", watching.alerts),
    Row("T17", "Redis gone: kept values are served", online.fallback),
    Row("T18", "Backup, restore, rollback", files.recovery),
    Row("T19", "Features and models are explained", models.explained),
    Row("T20", "Integration tests", files.tests),
)
