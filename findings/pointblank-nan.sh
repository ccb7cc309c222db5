#!/usr/bin/env bash
# pointblank: NaN is at least 0 and at most 1, but not between 0 and 1, and whether it passes depends on whose table it is
#
# Expected: a step says the same of the same values in a polars, a pandas and an Arrow table. na_pass, which is for what is missing, lets NaN
#   through each step or none: between two bounds is what is at least the one and at most the other.
# Happens: with na_pass NaN passes "at least 0" and "at most 1" and fails "between 0 and 1" on polars and Arrow, on pandas it passes all. It fails
#   "not between 5 and 6" on Arrow alone. Without na_pass, too, it passes that step on polars, and "none of 7", which knows no na_pass, on
#   polars and Arrow. A null has the same verdict everywhere, and the expected one.
# Seen: pointblank 1.1.1 with polars 2.1.0, pandas 2.3.3, pyarrow 25.0.1, 2026-11-29.
# Matters to: whoever keeps rates and scores within bounds by it: a gate that is written as one step stops what the same gate in two lets pass,
#   and moving a table from pandas to polars changes which. Make NaN null before the first step, and ask for nulls by a step of their own.
. "$(dirname "$0")/common"

python_packages pointblank==1.1.1 polars==2.1.0 pandas==2.3.3 numpy==2.4.6 pyarrow==25.0.1
cat >"$work/program.py" <<'PYTHON'
import pandas as pd
import pointblank
import polars as pl
import pyarrow as pa

STEPS = {
    "at least 0": lambda checks, **kept: checks.col_vals_ge("score", 0, **kept),
    "at most 1": lambda checks, **kept: checks.col_vals_le("score", 1, **kept),
    "between 0 and 1": lambda checks, **kept: checks.col_vals_between("score", 0, 1, **kept),
    "not between 5 and 6": lambda checks, **kept: checks.col_vals_outside("score", 5, 6, **kept),
    "none of 7": lambda checks, **_: checks.col_vals_not_in_set("score", [7]),
}


def passed(frame, step, **kept):
    return step(pointblank.Validate(frame), **kept).interrogate().n_failed(i=1, scalar=True) == 0


for said, values in (("NaN", [0.5, float("nan")]), ("null", [0.5, None])):
    arrow = pa.table({"score": pa.array(values, pa.float64())})
    frames = {"polars": pl.from_arrow(arrow), "pandas": pd.DataFrame({"score": values}), "Arrow": arrow}
    for kept in ({"na_pass": True}, {}):
        print(f"0.5 and {said}{', na_pass' if kept else ''}")
        for name, step in STEPS.items():
            print(f"  {name}: " + ", ".join(f"{who} {'passes' if passed(frame, step, **kept) else 'fails'}" for who, frame in frames.items()))
PYTHON

seen=$(run program.py)
compare "$seen" <<'SEEN'
0.5 and NaN, na_pass
  at least 0: polars passes, pandas passes, Arrow passes
  at most 1: polars passes, pandas passes, Arrow passes
  between 0 and 1: polars fails, pandas passes, Arrow fails
  not between 5 and 6: polars passes, pandas passes, Arrow fails
  none of 7: polars passes, pandas fails, Arrow passes
0.5 and NaN
  at least 0: polars fails, pandas fails, Arrow fails
  at most 1: polars fails, pandas fails, Arrow fails
  between 0 and 1: polars fails, pandas fails, Arrow fails
  not between 5 and 6: polars passes, pandas fails, Arrow fails
  none of 7: polars passes, pandas fails, Arrow passes
0.5 and null, na_pass
  at least 0: polars passes, pandas passes, Arrow passes
  at most 1: polars passes, pandas passes, Arrow passes
  between 0 and 1: polars passes, pandas passes, Arrow passes
  not between 5 and 6: polars passes, pandas passes, Arrow passes
  none of 7: polars fails, pandas fails, Arrow fails
0.5 and null
  at least 0: polars fails, pandas fails, Arrow fails
  at most 1: polars fails, pandas fails, Arrow fails
  between 0 and 1: polars fails, pandas fails, Arrow fails
  not between 5 and 6: polars fails, pandas fails, Arrow fails
  none of 7: polars fails, pandas fails, Arrow fails
SEEN
