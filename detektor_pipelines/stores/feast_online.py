"""The name of our online store in a `feature_store.yaml`: it stands in users' files, so it stays; the store is `stores.feast.online_store`."""

from detektor_pipelines.stores.feast.online_store import DetektorOnlineStore, DetektorOnlineStoreConfig

__all__ = ["DetektorOnlineStore", "DetektorOnlineStoreConfig"]
