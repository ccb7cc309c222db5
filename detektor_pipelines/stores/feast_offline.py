"""Our offline store, by the name that stands in users' `feature_store.yaml` files, so it stays: `stores.feast.offline_store`."""

from detektor_pipelines.stores.feast.offline_store import DetektorOfflineStore, DetektorOfflineStoreConfig

__all__ = ["DetektorOfflineStore", "DetektorOfflineStoreConfig"]
