#!/usr/bin/env bash
# DuckDB, PyArrow, Delta Lake: a filter that NaN passes finds it in memory, and not in a Parquet file of the same rows
#
# Expected: a filter finds the same rows in a file as in the table that it was written from; statistics only spare reading what cannot
#   match. Parquet's format keeps NaN out of a column's smallest and largest value and tells readers to leave both aside when NaN is
#   looked for. In DuckDB NaN is greater than any number, in PyArrow it is equal to none and fails each comparison but "not equal".
# Happens: the statistics decide without NaN. In a file of PyArrow's, DuckDB finds no NaN by isnan(), "> 5" or "not <= 2"; in a file of its
#   own, in tables and Arrow tables it does. PyArrow loses it by "not <= 2" always, by is_nan and "!= 1" when all numbers of the file are
#   the same: one other number in the file and it is there again. deltalake's to_pyarrow_dataset does the same. polars finds all.
# Seen: duckdb 2.0.1, pyarrow 26.0.1, deltalake 1.6.6, polars 2.1.0, 2026-11-29. DuckDB's makers know it and have the option can_have_nan
#   for it, off so that files are skipped; for PyArrow the case of a file with only NaN is an open issue of 2023.
# Matters to: whoever keeps scores or rates of agents in Parquet with NaN for "nothing to score" and counts what is missing, drops it, or
#   checks "score > 1 is wrong": 0 in the file, while the mean over it is NaN. Write null, or look without a filter.
. "$(dirname "$0")/common"

python_packages duckdb==2.0.1 pyarrow==26.0.1 deltalake==1.6.6 polars==2.1.0
cat >"$work/program.py" <<'PYTHON'
import deltalake
import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

NAN, score = float("nan"), pc.field("score")
SQL = ("isnan(score)", "score > 5", "not (score <= 2)", "score <> 1")
ARROW = {"is_nan": pc.is_nan(score), "not <= 2": ~(score <= 2), "!= 1": score != 1}


def count(sql):
    return duckdb.sql(f"select count(*) from {sql}").fetchall()[0][0]


for scores in ([1.0, 1.0, NAN], [1.0, 0.5, NAN]):
    rows = pa.table({"score": scores})
    pq.write_table(rows, "rows.parquet")
    duckdb.sql("copy rows to 'own.parquet'")
    deltalake.write_deltalake("delta", rows, mode="overwrite")
    print(f"{scores}: one NaN")
    for where in SQL:
        sources = ("rows", "'rows.parquet'", "'own.parquet'", "read_parquet('rows.parquet', can_have_nan = true)")
        memory, file, own, told = (count(f"{source} where {where}") for source in sources)
        print(f"  DuckDB {where}: in memory {memory}, in the file {file}, in its own {own}, with can_have_nan {told}")
    for name, where in ARROW.items():
        delta = deltalake.DeltaTable("delta").to_pyarrow_dataset().to_table(filter=where).num_rows
        file = pq.read_table("rows.parquet", filters=where).num_rows
        print(f"  PyArrow {name}: in memory {rows.filter(where).num_rows}, in the file {file}, in Delta {delta}")
    found = pl.scan_parquet("rows.parquet").filter(pl.col("score").is_nan()).collect().height
    print(f"  polars is_nan: in the file {found}")
    print(f"  the mean of the file: {pc.mean(pq.read_table('rows.parquet')['score'])}")
PYTHON

seen=$(run program.py)
compare "$seen" <<'SEEN'
[1.0, 1.0, nan]: one NaN
  DuckDB isnan(score): in memory 1, in the file 0, in its own 1, with can_have_nan 1
  DuckDB score > 5: in memory 1, in the file 0, in its own 1, with can_have_nan 1
  DuckDB not (score <= 2): in memory 1, in the file 0, in its own 1, with can_have_nan 1
  DuckDB score <> 1: in memory 1, in the file 0, in its own 1, with can_have_nan 1
  PyArrow is_nan: in memory 1, in the file 0, in Delta 0
  PyArrow not <= 2: in memory 1, in the file 0, in Delta 0
  PyArrow != 1: in memory 1, in the file 0, in Delta 0
  polars is_nan: in the file 1
  the mean of the file: nan
[1.0, 0.5, nan]: one NaN
  DuckDB isnan(score): in memory 1, in the file 0, in its own 1, with can_have_nan 1
  DuckDB score > 5: in memory 1, in the file 0, in its own 1, with can_have_nan 1
  DuckDB not (score <= 2): in memory 1, in the file 0, in its own 1, with can_have_nan 1
  DuckDB score <> 1: in memory 2, in the file 2, in its own 2, with can_have_nan 2
  PyArrow is_nan: in memory 1, in the file 1, in Delta 1
  PyArrow not <= 2: in memory 1, in the file 0, in Delta 0
  PyArrow != 1: in memory 2, in the file 2, in Delta 2
  polars is_nan: in the file 1
  the mean of the file: nan
SEEN
