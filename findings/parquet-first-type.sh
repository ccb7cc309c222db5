#!/usr/bin/env bash
# DuckDB, Daft, chDB, fastparquet: of Parquet files read together one has whole numbers, and the fractions of all others are cut or rounded
#
# Expected: a folder with a file a day is one table: a column that is int64 on one day and float64 on another becomes float64, or reading
#   fails. A column is whole numbers on a day on which nothing is missing and all is 0 or 1, which is how pandas writes it.
# Happens: the type is the first file's, and what stands in the others is cast to it without a word. DuckDB rounds, 0.25 is 0 and 0.75 is 1;
#   Daft, chDB and fastparquet cut, both are 0; which file is first goes by its name, and the other way round all is right. With
#   union_by_name DuckDB finds the wider type, and Dask has float64. PyArrow, pandas, polars and DataFusion refuse; of them the first two
#   read the other order, where fractions come first.
# Seen: duckdb 2.0.1, daft 0.7.26, chdb 4.4.0, fastparquet 2026.9.0, pyarrow 25.0.1, pandas 2.3.3, polars 2.1.0, datafusion 55.0.0,
#   dask 2026.8.0, 2026-11-29.
# Matters to: whoever keeps rates of agents in a file a day: after one quiet first day all rates of the year are 0 and 1, the mean with them.
#   Write files by a schema of your own, or read each with it.
. "$(dirname "$0")/common"

python_packages duckdb==2.0.1 daft==0.7.26 chdb==4.4.0 fastparquet==2026.9.0 pyarrow==25.0.1 pandas==2.3.3 numpy==2.4.6 polars==2.1.0 \
  datafusion==55.0.0 "dask[dataframe]==2026.8.0"
cat >"$work/program.py" <<'PYTHON'
from pathlib import Path

import chdb
import daft
import dask.dataframe
import datafusion
import duckdb
import fastparquet
import pandas as pd
import polars as pl
import pyarrow.dataset

DAYS = {"whole": [1, 0], "fractions": [0.25, 0.75]}
FORMS = {
    "DuckDB": lambda files: duckdb.sql(f"select rate from read_parquet({files})").df(),
    "DuckDB, union_by_name": lambda files: duckdb.sql(f"select rate from read_parquet({files}, union_by_name = true)").df(),
    "Daft": lambda files: daft.read_parquet(files).to_pandas(),
    "chDB": lambda files: chdb.query("select rate from file('days/*.parquet') settings max_threads = 1", "DataFrame"),
    "fastparquet": lambda files: fastparquet.ParquetFile(files).to_pandas(),
    "PyArrow": lambda files: pyarrow.dataset.dataset(files).to_table().to_pandas(),
    "pandas": lambda files: pd.read_parquet("days"),
    "polars": lambda files: pl.read_parquet(files).to_pandas(),
    "DataFusion": lambda files: datafusion.SessionContext().read_parquet("days").to_pandas(),
    "Dask": lambda files: dask.dataframe.read_parquet(files).compute(scheduler="sync"),
}


def read(form, files):
    try:
        frame = form(files)
    except Exception as error:  # what each of them raises is its own
        return f"refused, {type(error).__name__}"
    return f"{sorted(frame['rate'].tolist())}, {frame['rate'].dtype}"


Path("days").mkdir()
for first, second in (("whole", "fractions"), ("fractions", "whole")):
    files = ["days/2026-11-19.parquet", "days/2026-11-20.parquet"]
    for file, day in zip(files, (first, second), strict=True):
        pd.DataFrame({"rate": DAYS[day]}).to_parquet(file)
    print(f"{DAYS[first]} on the first day, {DAYS[second]} on the second")
    for who, form in FORMS.items():
        print(f"  {who}: {read(form, files)}")
PYTHON

seen=$(run program.py)
compare "$seen" <<'SEEN'
[1, 0] on the first day, [0.25, 0.75] on the second
  DuckDB: [0, 0, 1, 1], int64
  DuckDB, union_by_name: [0.0, 0.25, 0.75, 1.0], float64
  Daft: [0, 0, 0, 1], int64
  chDB: [0, 0, 0, 1], int64
  fastparquet: [0, 0, 0, 1], int64
  PyArrow: refused, ArrowInvalid
  pandas: refused, ArrowInvalid
  polars: refused, SchemaError
  DataFusion: refused, Exception
  Dask: [0.0, 0.25, 0.75, 1.0], float64
[0.25, 0.75] on the first day, [1, 0] on the second
  DuckDB: [0.0, 0.25, 0.75, 1.0], float64
  DuckDB, union_by_name: [0.0, 0.25, 0.75, 1.0], float64
  Daft: [0.0, 0.25, 0.75, 1.0], float64
  chDB: [0.0, 0.25, 0.75, 1.0], float64
  fastparquet: [0.0, 0.25, 0.75, 1.0], float64
  PyArrow: [0.0, 0.25, 0.75, 1.0], float64
  pandas: [0.0, 0.25, 0.75, 1.0], float64
  polars: refused, SchemaError
  DataFusion: refused, Exception
  Dask: [0.0, 0.25, 0.75, 1.0], float64
SEEN
