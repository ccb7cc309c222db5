"""The name of our offline store in a `feature_store.yaml`: it stands in users' files, so it stays; the store is `stores.feast.offline_store`."""

from detektor_pipelines.stores.feast.offline_store import DetektorOfflineStore, DetektorOfflineStoreConfig

__all__ = ["DetektorOfflineStore", "DetektorOfflineStoreConfig"]
