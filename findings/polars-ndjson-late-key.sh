#!/usr/bin/env bash
# polars: read_ndjson leaves out a key that first appears after the hundredth line
#
# Expected: a key that only some records have is a column with nulls elsewhere, or the reader refuses what it did not foresee, as it
#   does for a value of another type at the same place.
# Happens: the columns are those of the first 100 lines. A later key is dropped: no column, no null, no warning, and a nested one is
#   missing from its struct. pyarrow and pandas give the column; DuckDB looks at 20,480 records and raises on a key after them.
# Seen: polars 2.1.0, pyarrow 25.0.1, pandas 2.3.3, duckdb 2.0.0, 2026-11-28.
# Matters to: whoever reads agents' logs with it: what is rare in them (an error, a refusal, a verdict, a subagent's name) is just what
#   comes late, and a rate of errors over a column that was never made is zero or somebody else's default. State the schema.
. "$(dirname "$0")/common"

python_packages polars==2.1.0 pyarrow==25.0.1 pandas==2.3.3 numpy==2.4.6 duckdb==2.0.0
cat >"$work/program.py" <<'PYTHON'
import json
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow.json

READERS = {
    "polars": lambda: pl.read_ndjson("log.jsonl").to_arrow(),
    "polars, lazy": lambda: pl.scan_ndjson("log.jsonl").collect().to_arrow(),
    "polars, all lines looked at": lambda: pl.read_ndjson("log.jsonl", infer_schema_length=None).to_arrow(),
    "pyarrow": lambda: pyarrow.json.read_json("log.jsonl"),
    "pandas": lambda: pyarrow.Table.from_pandas(pd.read_json("log.jsonl", lines=True), preserve_index=False),
    "duckdb": lambda: duckdb.sql("from read_json('log.jsonl')").to_arrow_table(),
}


def show(lines, late):
    first = {"tool": "Bash", "result": {"ms": 3}}
    Path("log.jsonl").write_text("".join(json.dumps(first) + "\n" for _ in range(lines)) + json.dumps(late) + "\n")
    print(f"after {lines} lines:", json.dumps(late))
    for name, read in READERS.items():
        try:
            table = read()
            last = table.slice(table.num_rows - 1).to_pylist()[0]
        except Exception as error:
            last = type(error).__name__
        print(f"  {name}:", last)


show(200, {"tool": "Bash", "result": {"ms": 3, "code": 1}, "error": "timeout"})
show(200, {"tool": "Bash", "result": {"ms": 1.5}})
show(30_000, {"tool": "Bash", "result": {"ms": 3}, "error": "timeout"})
PYTHON

seen=$(run program.py)
compare "$seen" <<'SEEN'
after 200 lines: {"tool": "Bash", "result": {"ms": 3, "code": 1}, "error": "timeout"}
  polars: {'tool': 'Bash', 'result': {'ms': 3}}
  polars, lazy: {'tool': 'Bash', 'result': {'ms': 3}}
  polars, all lines looked at: {'tool': 'Bash', 'result': {'ms': 3, 'code': 1}, 'error': 'timeout'}
  pyarrow: {'tool': 'Bash', 'result': {'ms': 3, 'code': 1}, 'error': 'timeout'}
  pandas: {'tool': 'Bash', 'result': {'ms': 3, 'code': 1}, 'error': 'timeout'}
  duckdb: {'tool': 'Bash', 'result': {'ms': 3, 'code': 1}, 'error': 'timeout'}
after 200 lines: {"tool": "Bash", "result": {"ms": 1.5}}
  polars: ComputeError
  polars, lazy: ComputeError
  polars, all lines looked at: {'tool': 'Bash', 'result': {'ms': 1.5}}
  pyarrow: {'tool': 'Bash', 'result': {'ms': 1.5}}
  pandas: {'tool': 'Bash', 'result': {'ms': 1.5}}
  duckdb: {'tool': 'Bash', 'result': {'ms': 1.5}}
after 30000 lines: {"tool": "Bash", "result": {"ms": 3}, "error": "timeout"}
  polars: {'tool': 'Bash', 'result': {'ms': 3}}
  polars, lazy: {'tool': 'Bash', 'result': {'ms': 3}}
  polars, all lines looked at: {'tool': 'Bash', 'result': {'ms': 3}, 'error': 'timeout'}
  pyarrow: {'tool': 'Bash', 'result': {'ms': 3}, 'error': 'timeout'}
  pandas: {'tool': 'Bash', 'result': {'ms': 3}, 'error': 'timeout'}
  duckdb: InvalidInputException
SEEN
