#!/usr/bin/env bash
# Hamilton: its cache gives back another table's result when columns change places, or when only an agent's earlier rows differ
#
# Expected: with the cache on, a node is computed anew when its code or the data it gets are others, and taken from the cache when both are
#   the same. So execute() with other inputs gives what the function gives without a cache.
# Happens: names of columns are in no fingerprint, of pandas nor of polars: errors and calls under each other's name are the same table. Of
#   a pandas frame only the last row under each label of the index counts, so of calls indexed by agent all others can be anything. Nor
#   is the shape of an array in it: two rows of three and three of two are one. The first result comes back, without a word.
# Seen: apache-hamilton 1.90.0 (the same under sf-hamilton), pandas 2.3.3, polars 2.1.0, numpy 2.4.6, 2026-11-29. Mended in its repository
#   since May 2026, in no release yet.
# Matters to: whoever computes features of event logs with it: a corrected or swapped column, another day's rows of the same agents, and the
#   rate is the old one. Reset the index and name a version of the data as an input of its own.
. "$(dirname "$0")/common"

python_packages apache-hamilton==1.90.0 pandas==2.3.3 polars==2.1.0 numpy==2.4.6
cat >"$work/features.py" <<'PYTHON'
from typing import Any


def error_rate(calls: Any) -> float:
    return float(calls["errors"].sum() / calls["calls"].sum())


def calls_of_first(matrix: Any) -> float:
    return float(matrix[0].sum())
PYTHON
cat >"$work/program.py" <<'PYTHON'
import features
import numpy as np
import pandas as pd
import polars as pl
from hamilton import driver


def show(said, node, argument, first, second):
    cached = driver.Builder().with_modules(features).with_cache(path=said).build()
    seen = [cached.execute([node], inputs={argument: each})[node] for each in (first, second)]
    truth = [getattr(features, node)(each) for each in (first, second)]
    print(f"{said}: the function {truth[0]:.3f} and {truth[1]:.3f}, through the cache {seen[0]:.3f} and {seen[1]:.3f}")


table = pd.DataFrame({"errors": [1, 0, 3], "calls": [7, 2, 9]})
swapped = {"errors": "calls", "calls": "errors"}
show("pandas, two columns under each other's name", "error_rate", "calls", table, table.rename(columns=swapped))
show("polars, two columns under each other's name", "error_rate", "calls", pl.from_pandas(table), pl.from_pandas(table).rename(swapped))

agents = ["a", "a", "b", "b"]
before = pd.DataFrame({"errors": [1, 0, 3, 0], "calls": [7, 2, 9, 5]}, index=agents)
after = pd.DataFrame({"errors": [6, 0, 8, 0], "calls": [7, 2, 9, 5]}, index=agents)
show("pandas, rows indexed by agent", "error_rate", "calls", before, after)
show("the same rows, numbered", "error_rate", "calls", before.reset_index(drop=True), after.reset_index(drop=True))

numbers = np.arange(6)
show("numpy, two rows of three and three of two", "calls_of_first", "matrix", numbers.reshape(2, 3), numbers.reshape(3, 2))
PYTHON

seen=$(run program.py)
compare "$seen" <<'SEEN'
pandas, two columns under each other's name: the function 0.222 and 4.500, through the cache 0.222 and 0.222
polars, two columns under each other's name: the function 0.222 and 4.500, through the cache 0.222 and 0.222
pandas, rows indexed by agent: the function 0.174 and 0.609, through the cache 0.174 and 0.174
the same rows, numbered: the function 0.174 and 0.609, through the cache 0.174 and 0.609
numpy, two rows of three and three of two: the function 3.000 and 1.000, through the cache 3.000 and 3.000
SEEN
