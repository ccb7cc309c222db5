#!/usr/bin/env bash
# MLflow with polars: a dataset whose columns are swapped by name, or whose rows stand in another order, has the same digest
#
# Expected: the digest of a dataset is its fingerprint: from_polars and from_pandas differ in how they make it, but in both another
#   dataset has another one, and runs with one digest saw the same data.
# Happens: of a polars frame the digest is the sum of its rows' hashes. Names are not in it: two features under each other's name, a label
#   that was renamed, are the same dataset. Nor is the order of rows, so a split "the first 80 %" of the same digest is another split.
#   from_pandas tells all of these apart (and is blind elsewhere: it looks at 10,000 rows).
# Seen: mlflow-skinny 3.17.2 with polars 2.1.0 and pandas 2.3.3, 2026-11-29.
# Matters to: whoever looks up by the digest which models were trained on which features of agents, or skips a training because the digest
#   is known: a crossed pair of columns, the fault one looks for, is just what it does not show. Give a digest of your own.
. "$(dirname "$0")/common"

python_packages mlflow-skinny==3.17.2 polars==2.1.0 pandas==2.3.3 numpy==2.4.6 pyarrow==25.0.1
cat >"$work/program.py" <<'PYTHON'
import os

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

import polars as pl
from mlflow.data.pandas_dataset import from_pandas
from mlflow.data.polars_dataset import from_polars

usual = pl.DataFrame({"calls": [7, 2, 9], "errors": [1, 0, 3], "failed": [0, 0, 1]})
OTHERS = {
    "calls and errors under each other's name": usual.rename({"calls": "errors", "errors": "calls"}),
    "the label under another name": usual.rename({"failed": "succeeded"}),
    "rows in reverse order": usual.reverse(),
    "the label of two rows exchanged": usual.with_columns(failed=pl.Series([1, 0, 0])),
    "a row more": pl.concat([usual, usual.head(1)]),
}
for said, other in OTHERS.items():
    in_polars = from_polars(usual).digest == from_polars(other).digest
    in_pandas = from_pandas(usual.to_pandas()).digest == from_pandas(other.to_pandas()).digest
    print(f"{said}: polars {'the same' if in_polars else 'another'}, pandas {'the same' if in_pandas else 'another'}")
PYTHON

seen=$(run program.py)
compare "$seen" <<'SEEN'
calls and errors under each other's name: polars the same, pandas another
the label under another name: polars the same, pandas another
rows in reverse order: polars the same, pandas another
the label of two rows exchanged: polars another, pandas another
a row more: polars another, pandas another
SEEN
