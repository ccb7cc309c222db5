#!/usr/bin/env bash
# Feast: a store that is opened after `apply` answers with the definitions of the store before it, now and then
#
# Expected: a new FeatureStore on a registry in a database knows what the registry holds. Its cache has just been read from there.
# Happens: where the same process had another store before, some of the new ones resolve a view by the old definition, until the cache is
#   read again (cache_ttl_seconds): 1 to 9 of 100 stores below. What was looked up in a registry's cache is kept by the address of
#   that object and its version_id. A registry in a database has no version_id, and Python gives the address of what is gone to what
#   comes next. Reads past the cache (allow_cache=False) are right; a registry in a file has a version_id of its own at each writing.
# Seen: feast 0.67.0 (registry: sql on SQLite; the same on PostgreSQL), 2026-11-29.
# Matters to: notebooks, tests and services that open a store again after definitions changed: online reads go to the old version's keys,
#   and a new feature is unknown. Open it in a new process, or give `store.registry.cached_registry_proto.version_id` a text of its own.
. "$(dirname "$0")/common"

python_packages feast==0.67.0 pandas==2.3.3 numpy==2.4.6 pyarrow==25.0.1 "fastapi<0.140" "sqlalchemy<2.1" protobuf==7.36.2
cat >"$work/program.py" <<'PYTHON'
from datetime import timedelta

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Int64, String

TIMES = {"database": 500, "file": 50}
pd.DataFrame({"agent_id": ["a"], "calls": [1], "event_timestamp": [pd.Timestamp("2026-11-01", tz="UTC")]}).to_parquet("rows.parquet")
agent = Entity(name="agent", join_keys=["agent_id"], value_type=ValueType.STRING)


def opened(name):
    return FeatureStore(config=RepoConfig(
        project="agents", provider="local", online_store={"type": "sqlite", "path": "online.db"}, entity_key_serialization_version=3,
        registry={"registry_type": "sql", "path": f"sqlite:///{name}.db"} if name == "database" else "file.db",
    ))  # fmt: skip


def any_old(name):
    """Define the view anew each time; whether the cache of a store that is opened after that ever says otherwise."""
    for version in range(TIMES[name]):
        view = FeatureView(
            name="calls", entities=[agent], ttl=timedelta(days=1), tags={"version": str(version)},
            source=FileSource(path="rows.parquet", timestamp_field="event_timestamp"),
            schema=[Field(name="agent_id", dtype=String), Field(name="calls", dtype=Int64)],
        )  # fmt: skip
        opened(name).apply([agent, view])
        store = opened(name)
        assert store.registry.get_feature_view("calls", "agents", allow_cache=False).tags["version"] == str(version)
        if store.registry.get_any_feature_view("calls", "agents", allow_cache=True).tags["version"] != str(version):
            return True
    return False


for name in ("database", "file"):
    print(f"registry in a {name}:", "some are old" if any_old(name) else "all are new")
PYTHON

seen=$(run program.py | grep '^registry in')
compare "$seen" <<'SEEN'
registry in a database: some are old
registry in a file: all are new
SEEN
