#!/usr/bin/env bash
# Feast: the same row has other values online than offline, for four types of feature
#
# Expected: get_online_features after materialize and get_historical_features a minute later give the same values for the row: that is
#   what the store is for. A Float32 may be rounded, in both alike.
# Happens, online against offline: a list with a null gets an empty text in its place (['x', ''] for ['x', None]); a Float32 is rounded
#   online only (16777217 and 0.1 come back as 16777216 and 0.10000000149); a UnixTimestamp is cut to whole seconds; NaN is null.
#   An empty list and an empty text survive, apart from null.
# Seen: feast 0.67.0 (stores file and sqlite), pandas 2.3.3, pyarrow 25.0.1, 2026-11-28.
# Matters to: whoever trains on historical features and serves online ones: counts of list items and conditions on a text differ, a
#   "time since" jumps by up to a second, thresholds at the rounded value flip. Choose Float64 and Int64 (microseconds), and no nulls
#   in lists, or compare a sample of both sides.
. "$(dirname "$0")/common"

python_packages feast==0.67.0 pandas==2.3.3 numpy==2.4.6 pyarrow==25.0.1 "fastapi<0.140" "sqlalchemy<2.1" protobuf==7.36.2
cat >"$work/program.py" <<'PYTHON'
import os
from datetime import UTC, datetime, timedelta

os.environ["FEAST_USAGE"] = "False"

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Array, Float32, Float64, String, UnixTimestamp

AT = datetime(2026, 11, 20, 10, 0, 0, 123456, tzinfo=UTC)
instant = pa.timestamp("us", "UTC")
VALUES = {
    "tools": (Array(String), pa.array([["x", None], []], pa.list_(pa.string()))),
    "tokens": (Float32, pa.array([16777217.0, 0.1])),
    "last_call": (UnixTimestamp, pa.array([AT, AT], instant)),
    "rate": (Float64, pa.array([float("nan"), None])),
    "verdict": (String, pa.array(["", None])),
}
rows = pa.table({"agent_id": ["a", "b"], "event_timestamp": pa.array([AT, AT], instant)} | {k: v for k, (_, v) in VALUES.items()})
pq.write_table(rows, "rows.parquet")

store = FeatureStore(config=RepoConfig(
    project="agents", provider="local", registry="registry.db", online_store={"type": "sqlite", "path": "online.db"},
    offline_store={"type": "file"}, entity_key_serialization_version=3,
))  # fmt: skip
agent = Entity(name="agent", join_keys=["agent_id"], value_type=ValueType.STRING)
view = FeatureView(
    name="calls", entities=[agent], ttl=timedelta(days=1),
    source=FileSource(path=os.path.abspath("rows.parquet"), timestamp_field="event_timestamp"),
    schema=[Field(name="agent_id", dtype=String)] + [Field(name=name, dtype=kind) for name, (kind, _) in VALUES.items()],
)  # fmt: skip
store.apply([agent, view])
store.materialize(AT - timedelta(days=1), AT + timedelta(minutes=1))

wanted = [f"calls:{name}" for name in VALUES]
online = store.get_online_features(features=wanted, entity_rows=[{"agent_id": "a"}, {"agent_id": "b"}]).to_dict()
asked = pd.DataFrame({"agent_id": ["a", "b"], "event_timestamp": [AT + timedelta(minutes=1)] * 2})
offline = store.get_historical_features(entity_df=asked, features=wanted).to_df().sort_values("agent_id")


def plain(value):
    if isinstance(value, datetime):
        return value.isoformat()
    if value is None or isinstance(value, str | float):
        return value
    return list(value)


for name in VALUES:
    print(name)
    print("  offline", [plain(value) for value in offline[name].tolist()])
    print("  online ", [plain(value) for value in online[name]])
PYTHON

seen=$(run program.py | grep -v -e Materializing -e 'calls.*:$' -e '^$')
compare "$seen" <<'SEEN'
tools
  offline [['x', None], []]
  online  [['x', ''], []]
tokens
  offline [16777217.0, 0.1]
  online  [16777216.0, 0.10000000149011612]
last_call
  offline ['2026-11-20T10:00:00.123456+00:00', '2026-11-20T10:00:00.123456+00:00']
  online  ['2026-11-20T10:00:00+00:00', '2026-11-20T10:00:00+00:00']
rate
  offline [nan, nan]
  online  [None, None]
verdict
  offline ['', None]
  online  ['', None]
SEEN
