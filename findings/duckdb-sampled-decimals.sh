#!/usr/bin/env bash
# DuckDB: amounts in a pandas column of Decimals are rounded to whole numbers, without an error
#
# Expected: a column of decimal.Decimal (what psycopg gives for numeric) becomes a DECIMAL wide enough for all values, or the query
#   fails, as it does for a text among integers. The same for numbers in a JSON file.
# Happens: the type is chosen from a sample (1,000 values of an object column, 20,480 records of a JSON file). A later value that does
#   not fit is cast, and a cast to DECIMAL(1,0) or BIGINT rounds: 0.25 becomes 0, 1.5 becomes 2. A text or an unknown key at the
#   same place raises. With pandas_analyze_sample or sample_size above the number of rows, or a declared type, all values are right.
# Seen: duckdb 2.0.0 with pandas 2.3.3 and numpy 2.4.6, 2026-11-28.
# Matters to: whoever queries costs, sums of bigint (numeric in PostgreSQL) or durations of agents in DuckDB from a frame or from
#   transcripts: totals are off by what was rounded, and a test on fewer than 1,000 rows does not show it.
. "$(dirname "$0")/common"

python_packages duckdb==2.0.0 pandas==2.3.3 numpy==2.4.6
cat >"$work/program.py" <<'PYTHON'
import json
from decimal import Decimal
from pathlib import Path

import duckdb
import pandas as pd

ROWS = 100_000


def costs(other):
    """A column of twos with four other values that the sample does not meet."""
    values = [Decimal(2)] * ROWS
    for row in (55_555, 66_666, 77_777, 88_888):
        values[row] = other
    return pd.DataFrame({"cost": pd.Series(values, dtype=object)})


def total(connection, other):
    frame = costs(other)  # noqa: F841 (found by name)
    try:
        return connection.sql("select typeof(any_value(cost)), sum(cost), min(cost) from frame").fetchall()[0]
    except duckdb.Error as error:
        return type(error).__name__


print(f"{ROWS} Decimals, four of them 0.25, the others 2: sum", ROWS * 2 - 7)
print("  as it comes       ", *total(duckdb.connect(), Decimal("0.25")))
print("  every value looked at", *total(duckdb.connect(config={"pandas_analyze_sample": ROWS}), Decimal("0.25")))
print("  four texts instead", total(duckdb.connect(), "none"))

for name, last in (("a fraction", {"ms": 1.5}), ("a text", {"ms": "slow"}), ("a new key", {"ms": 3, "error": "timeout"})):
    lines = [json.dumps({"ms": 3})] * 30_000 + [json.dumps(last)]
    Path("log.jsonl").write_text("\n".join(lines) + "\n")
    try:
        seen = duckdb.sql("select typeof(any_value(ms)), min(ms), sum(ms) from read_json('log.jsonl')").fetchall()[0]
    except duckdb.Error as error:
        seen = [type(error).__name__]
    print(f"30,000 records with 3 and one with {name}:", *seen)
PYTHON

seen=$(run program.py)
compare "$seen" <<'SEEN'
100000 Decimals, four of them 0.25, the others 2: sum 199993
  as it comes        DECIMAL(1,0) 199992 0
  every value looked at DECIMAL(3,2) 199993.00 0.25
  four texts instead InvalidInputException
30,000 records with 3 and one with a fraction: BIGINT 2 90002
30,000 records with 3 and one with a text: InvalidInputException
30,000 records with 3 and one with a new key: InvalidInputException
SEEN
