#!/usr/bin/env bash
# ConnectorX, polars, Daft, Dask: of a query that is read in parts, rows without a value in the column that parts it are lost, or are zeros
#
# Expected: partition_on (index_col in Dask) and the number of parts say how the work is shared out: the rows are those of the query. No docstring
#   of the four says that the column must have a value in every row. Spark reads such rows with its first part.
# Happens: each part asks for a range between the smallest and the largest value, which no null is in. ConnectorX to Arrow, polars through it,
#   Daft and Dask return 16 of 20 rows, without a word. ConnectorX to pandas has counted 20 rows before: 16 are read, the other four are
#   filled with 0 in every column, the identity and the agent too, so a count looks right. Of one part only Daft reads all.
# Seen: connectorx 0.4.6, polars 2.1.0, daft 0.7.26, dask 2026.8.0, pandas 2.3.3 on SQLite, 2026-11-29.
# Matters to: whoever reads a log of agents in parallel and parts it by a duration or the time something ended: what never ended, failed or
#   was cancelled is what has none, so rates of failure are too good, and made-up calls of an agent "0" stand in the frame. Part by a key.
. "$(dirname "$0")/common"

python_packages connectorx==0.4.6 polars==2.1.0 daft==0.7.26 "dask[dataframe]==2026.8.0" pandas==2.3.3 numpy==2.4.6 pyarrow==25.0.1 \
  sqlalchemy==2.0.51 sqlglot==28.0.0
cat >"$work/program.py" <<'PYTHON'
import sqlite3
from pathlib import Path

import connectorx
import dask.dataframe
import daft
import polars

SQL, FILE = "select id, agent, seconds from calls", Path("calls.db").resolve()
ROWS = [(number, "ab"[number % 2], None if number % 5 == 0 else number * 10) for number in range(1, 21)]
with sqlite3.connect(FILE) as database:
    database.execute("create table calls (id integer primary key, agent text, seconds integer)")
    database.executemany("insert into calls values (?, ?, ?)", ROWS)
database.close()


def said(who, frame, parts):
    ids, agents = frame["id"].tolist(), frame["agent"].tolist()
    missing = sum(number not in ids for number, _, _ in ROWS)
    made_up = sum(number == 0 for number in ids)
    print(f"  {who}: {len(ids)} rows, {missing} missing, {made_up} made up, agents {sorted({str(each) for each in agents})}, parts {parts}")


print(f"by hand: {len(ROWS)} rows of agents a and b, {sum(seconds is None for *_, seconds in ROWS)} without seconds")
for by in ("seconds", "id"):
    print(f"in parts by {by}")
    for parts in (1, 2):
        asked = {"partition_on": by, "partition_num": parts}
        said("ConnectorX to pandas", connectorx.read_sql(f"sqlite://{FILE}", SQL, **asked), parts)
        said("ConnectorX to Arrow", connectorx.read_sql(f"sqlite://{FILE}", SQL, return_type="arrow", **asked).to_pandas(), parts)
        said("polars", polars.read_database_uri(SQL, f"sqlite://{FILE}", **asked).to_pandas(), parts)
        said("Daft", daft.read_sql(SQL, f"sqlite:///{FILE}", partition_col=by, num_partitions=parts).to_pandas(), parts)
        lazy = dask.dataframe.read_sql_table("calls", f"sqlite:///{FILE}", index_col=by, npartitions=parts)
        said("Dask", lazy.compute(scheduler="sync").reset_index(), parts)
PYTHON

seen=$(run program.py)
compare "$seen" <<'SEEN'
by hand: 20 rows of agents a and b, 4 without seconds
in parts by seconds
  ConnectorX to pandas: 20 rows, 4 missing, 4 made up, agents ['0', 'a', 'b'], parts 1
  ConnectorX to Arrow: 16 rows, 4 missing, 0 made up, agents ['a', 'b'], parts 1
  polars: 16 rows, 4 missing, 0 made up, agents ['a', 'b'], parts 1
  Daft: 20 rows, 0 missing, 0 made up, agents ['a', 'b'], parts 1
  Dask: 16 rows, 4 missing, 0 made up, agents ['a', 'b'], parts 1
  ConnectorX to pandas: 20 rows, 4 missing, 4 made up, agents ['0', 'a', 'b'], parts 2
  ConnectorX to Arrow: 16 rows, 4 missing, 0 made up, agents ['a', 'b'], parts 2
  polars: 16 rows, 4 missing, 0 made up, agents ['a', 'b'], parts 2
  Daft: 16 rows, 4 missing, 0 made up, agents ['a', 'b'], parts 2
  Dask: 16 rows, 4 missing, 0 made up, agents ['a', 'b'], parts 2
in parts by id
  ConnectorX to pandas: 20 rows, 0 missing, 0 made up, agents ['a', 'b'], parts 1
  ConnectorX to Arrow: 20 rows, 0 missing, 0 made up, agents ['a', 'b'], parts 1
  polars: 20 rows, 0 missing, 0 made up, agents ['a', 'b'], parts 1
  Daft: 20 rows, 0 missing, 0 made up, agents ['a', 'b'], parts 1
  Dask: 20 rows, 0 missing, 0 made up, agents ['a', 'b'], parts 1
  ConnectorX to pandas: 20 rows, 0 missing, 0 made up, agents ['a', 'b'], parts 2
  ConnectorX to Arrow: 20 rows, 0 missing, 0 made up, agents ['a', 'b'], parts 2
  polars: 20 rows, 0 missing, 0 made up, agents ['a', 'b'], parts 2
  Daft: 20 rows, 0 missing, 0 made up, agents ['a', 'b'], parts 2
  Dask: 20 rows, 0 missing, 0 made up, agents ['a', 'b'], parts 2
SEEN
