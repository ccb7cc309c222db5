#!/usr/bin/env bash
# pandas: the variance of a rolling window is negative and a correlation 1.15 after a long call has left the window
#
# Expected: the last window [10, 11, 12] ms has a variance of 1 and, against the row number, a correlation of 1. Something may be
#   lost in the last digits: pandas' guide says so for values that differ by a factor of about 4.5e15. These differ by 2e7.
# Happens: three windows after a call that lasted three days (2.6e8 ms), var is -3.25, std is 0 where three values differ, corr
#   is nan. After a call of one day var is 0.75 and corr 1.1547. No warning. polars and DuckDB on the same column say 1.
#   (The sums of squares of the call are added and taken off again; sum and mean are compensated, var, std and corr not enough.)
# Seen: pandas 2.3.3, numpy 2.4.6, 2026-11-28; polars 2.1.0 and duckdb 2.0.0 beside it.
# Matters to: whoever computes standard deviations or correlations of durations or token counts of agents over windows: one stuck
#   call spoils all later rows of the series, also far outside its window. Keep integer sums, or recompute each window.
. "$(dirname "$0")/common"

python_packages pandas==2.3.3 numpy==2.4.6 polars==2.1.0 duckdb==2.0.0 pyarrow==25.0.1
cat >"$work/program.py" <<'PYTHON'
import duckdb
import pandas as pd
import polars as pl

for name, call in (("three days", 2.6e8), ("one day", 8.64e7)):
    durations = [12.0, 15.0, call, 10.0, 11.0, 12.0]
    series = pd.Series(durations)
    frame = pd.DataFrame({"row": range(6), "ms": durations})
    window = "over (order by row rows 2 preceding)"
    in_duckdb = duckdb.sql(f"select var_samp(ms) {window}, corr(ms, row) {window} from frame order by row").fetchall()[-1]
    print(f"a call of {name}, then 10, 11, 12 ms")
    print("  pandas var", round(series.rolling(3).var().iloc[-1], 2), "std", round(series.rolling(3).std().iloc[-1], 4))
    print("  pandas corr", round(series.rolling(3).corr(pd.Series(range(6))).iloc[-1], 4))
    print("  pandas, window alone: var", series.tail(3).var(), "corr", series.tail(3).corr(pd.Series(range(6))))
    print("  polars var", round(pl.Series(durations).rolling_var(3)[-1], 4))
    print("  duckdb var", round(in_duckdb[0], 4), "corr", round(in_duckdb[1], 4))
PYTHON

seen=$(run program.py)
compare "$seen" <<'SEEN'
a call of three days, then 10, 11, 12 ms
  pandas var -3.25 std 0.0
  pandas corr nan
  pandas, window alone: var 1.0 corr 1.0
  polars var 1.0
  duckdb var 1.0 corr 1.0
a call of one day, then 10, 11, 12 ms
  pandas var 0.75 std 0.866
  pandas corr 1.1547
  pandas, window alone: var 1.0 corr 1.0
  polars var 1.0
  duckdb var 1.0 corr 1.0
SEEN
