#!/usr/bin/env bash
# DataFusion, Daft, Pathway: the square of a duration in microseconds is negative, and so is a sum past 2^63
#
# Expected: what does not fit into 64 bits is an error or wider, as in DuckDB, PostgreSQL and Spark, whose SQL or names these engines speak;
#   a mean of positive values is positive. None of the pages on sum, avg or mean says otherwise.
# Happens: it wraps around without a word. 51 minutes and 40 seconds are 3,100,000,000 microseconds, their square is -8.8e18. A sum of three
#   squares of 4e18 is -6.4e18; avg is right in DataFusion (it adds doubles) and -2.1e18 in Daft and in Pathway.
# Seen: datafusion 55.0.0, daft 0.7.26, pathway 0.33.0, duckdb 2.0.1 beside them, pyarrow 25.0.1, 2026-11-29. (Known to DataFusion's makers.)
# Matters to: whoever computes a deviation of durations or tokens from sums of squares, which is what windows that can be subtracted need:
#   one call of an hour makes the variance of an agent's month negative or, worse, plausible. Use milliseconds or doubles, and check.
. "$(dirname "$0")/common"

python_packages datafusion==55.0.0 daft==0.7.26 pathway==0.33.0 duckdb==2.0.1 pyarrow==25.0.1 pandas==2.3.3 numpy==2.4.6
cat >"$work/program.py" <<'PYTHON'
import daft
import datafusion
import duckdb
import pathway as pw
import pyarrow as pa

LONG, LARGE = 3_100_000_000, 4 * 10**18
rows = pa.table({"us": [LONG, 60_000_000, 5_000_000], "square": [LARGE] * 3})
print(f"by hand: the square of {LONG} is {LONG**2}, three times {LARGE} are {3 * LARGE}, their mean is {LARGE}")


def show(engine, square, total, mean):
    print(f"{engine}: {square}, {total}, {float(mean):.4g}")


session = datafusion.SessionContext()
session.from_arrow(rows, "calls")
seen = session.sql("select min(us * us) as square, sum(square) as total, avg(square) as mean from calls").to_pylist()[0]
show("DataFusion", seen["square"], seen["total"], seen["mean"])

calls = daft.from_arrow(rows)
us, square = daft.col("us"), daft.col("square")
first = calls.select((us * us).alias("square")).to_pydict()["square"][0]
seen = calls.agg(square.sum().alias("total"), square.mean().alias("mean")).to_pydict()
show("Daft", first, seen["total"][0], seen["mean"][0])

calls = pw.debug.table_from_rows(pw.schema_from_types(us=int, square=int), [tuple(row.values()) for row in rows.to_pylist()])
first = pw.debug.table_to_pandas(calls.select(square=pw.this.us * pw.this.us)).square.min()
seen = pw.debug.table_to_pandas(calls.reduce(total=pw.reducers.sum(pw.this.square), mean=pw.reducers.avg(pw.this.square)))
show("Pathway", first, seen.total.iloc[0], seen["mean"].iloc[0])

for query in ("select us * us from rows", "select sum(square), avg(square) from rows"):
    try:
        print("DuckDB:", *duckdb.sql(query).fetchall()[0])
    except duckdb.Error as error:
        print("DuckDB:", type(error).__name__)
PYTHON

seen=$(run program.py)
compare "$seen" <<'SEEN'
by hand: the square of 3100000000 is 9610000000000000000, three times 4000000000000000000 are 12000000000000000000, their mean is 4000000000000000000
DataFusion: -8836744073709551616, -6446744073709551616, 4e+18
Daft: -8836744073709551616, -6446744073709551616, -2.149e+18
Pathway: -8836744073709551616, -6446744073709551616, -2.149e+18
DuckDB: OutOfRangeException
DuckDB: 12000000000000000000 4e+18
SEEN
