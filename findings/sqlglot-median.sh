#!/usr/bin/env bash
# sqlglot: the median of ClickHouse and the median of DuckDB are the same, translated from one to the other it is another
#
# Expected: transpile() writes SQL that means in the target what it meant in the source, or warns. median(x) is the mean of the two middle
#   values of an even number in both engines; quantile(0.95)(x) lies between two values where it falls between them.
# Happens: median(x), and quantile(0.5)(x), become QUANTILE(x, 0.5), which in DuckDB is the discrete one and takes the lower middle value: 4
#   for 6.5. The 95th percentile becomes the largest value. ClickHouse rounds 2.5 to 2, what becomes of it to 3.
#   No warning, not with unsupported_level=RAISE either. Functions that sqlglot does not know, sumIf or stddevPop, at least fail.
# Seen: sqlglot 30.30.0, chdb 4.4.0 (ClickHouse in process), duckdb 2.0.1, 2026-11-29.
# Matters to: whoever develops features of agents' calls in ClickHouse and tests or backfills them in DuckDB, or builds on sqlglot: for few
#   calls a window the median jumps to the lower one, so durations look short, most of all those of agents that are seldom called.
#   Write quantile_cont in the target by hand.
. "$(dirname "$0")/common"

python_packages sqlglot==30.30.0 chdb==4.4.0 duckdb==2.0.1
cat >"$work/program.py" <<'PYTHON'
import statistics

import chdb
import duckdb
import sqlglot

SECONDS = [2, 4, 9, 11]
CALLS = "(select 2 as x union all select 4 union all select 9 union all select 11) as calls"
print(f"{SECONDS}: median by hand {statistics.median(SECONDS)}, 95th percentile between 9 and 11 at 0.85: {9 + 0.85 * 2:.1f}")
for what in ("median(x)", "quantile(0.5)(x)", "quantile(0.95)(x)", "round(avg(x) - 4)"):
    query = f"select {what} as value from {CALLS}"
    (translated,) = sqlglot.transpile(query, read="clickhouse", write="duckdb", unsupported_level=sqlglot.ErrorLevel.RAISE)
    source = float(chdb.query(query, "TSV").bytes())
    target = float(duckdb.sql(translated).fetchall()[0][0])
    print(f"{what}: ClickHouse {source:.1f}, translated {target:.1f} by {translated.split(' AS value')[0].removeprefix('SELECT ')}")
print(f"median(x) in DuckDB itself: {duckdb.sql(f'select median(x) from {CALLS}').fetchall()[0][0]}")
PYTHON

seen=$(run program.py)
compare "$seen" <<'SEEN'
[2, 4, 9, 11]: median by hand 6.5, 95th percentile between 9 and 11 at 0.85: 10.7
median(x): ClickHouse 6.5, translated 4.0 by QUANTILE(x, 0.5)
quantile(0.5)(x): ClickHouse 6.5, translated 4.0 by QUANTILE(x, 0.5)
quantile(0.95)(x): ClickHouse 10.7, translated 11.0 by QUANTILE(x, 0.95)
round(avg(x) - 4): ClickHouse 2.0, translated 3.0 by ROUND(AVG(x) - 4)
median(x) in DuckDB itself: 6.5
SEEN
