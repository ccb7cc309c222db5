"""Our online store, by the name that stands in users' `feature_store.yaml` files, so it stays: `stores.feast.online_store`."""

from detektor_pipelines.stores.feast.online_store import DetektorOnlineStore, DetektorOnlineStoreConfig

__all__ = ["DetektorOnlineStore", "DetektorOnlineStoreConfig"]
