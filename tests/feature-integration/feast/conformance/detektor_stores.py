"""What Feast's own tests are told to run against, by Feast's own mechanism: `FULL_REPO_CONFIGS_MODULE` names this module."""

from __future__ import annotations

import os

from tests.universal.feature_repos.universal.data_sources.file import FileDataSourceCreator  # Feast's

OURS = (
    {
        "type": "detektor_pipelines.stores.feast_online.DetektorOnlineStore",
        "connection_string": os.environ["DETEKTOR_CONFORMANCE_REDIS"],
    },
    None,
)


class OneStore(dict):
    """One store under every name: a test that is written for SQLite only gets it too, one for three stores three times."""

    def __contains__(self, name: object) -> bool:
        return True

    def get(self, *_: object) -> object:
        return OURS


AVAILABLE_OFFLINE_STORES = [("local", FileDataSourceCreator)]
AVAILABLE_ONLINE_STORES = OneStore(redis=OURS)
