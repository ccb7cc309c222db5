#!/usr/bin/env bash
# SQLFrame: groupBy().pivot().agg(count("*")) splits an agent into several rows, and collect_list keeps the nulls
#
# Expected: the API of PySpark on DuckDB, whose results it is to have: groupBy("agent").pivot("outcome") has a row for each agent, with how
#   many calls ended in each way. collect_list, as in Spark, leaves nulls out.
# Happens: by count("*") there is a row for each agent, outcome and number of seconds, with 1 where one row has 2: all columns stay in the table
#   that is pivoted, and what is not counted is grouped by. With nothing but the two columns selected there is still a row for each
#   outcome. By count(lit(1)), count("seconds") and sum("seconds") it is right. collect_list has None between the numbers, and a set of
#   one value has two.
# Seen: sqlframe 4.10.0, duckdb 2.0.1, sqlglot 30.29.0, 2026-11-29.
# Matters to: whoever tries features on DuckDB that Spark is to compute: joined to labels by agent, such a table repeats rows of the training
#   set, and each has a part of the count. Count lit(1) or a column, and filter nulls before collecting.
. "$(dirname "$0")/common"

python_packages sqlframe==4.10.0 duckdb==2.0.1 sqlglot==30.29.0
cat >"$work/program.py" <<'PYTHON'
from sqlframe.duckdb import DuckDBSession
from sqlframe.duckdb import functions as F

ROWS = [("a", "ok", 10), ("a", "ok", 20), ("a", "failed", 20), ("b", "ok", 40)]
session = DuckDBSession()
calls = session.createDataFrame(ROWS, ["agent", "outcome", "seconds"])


def show(said, frame, value):
    pivoted = frame.groupBy("agent").pivot("outcome", ["ok", "failed"]).agg(value)
    print(f"{said}: {sorted(tuple(row) for row in pivoted.collect())}")


print("by hand: a has 2 ok and 1 failed, b has 1 ok")
show('count("*")', calls, F.count("*"))
show("count(lit(1))", calls, F.count(F.lit(1)))
show('count("seconds")', calls, F.count("seconds"))
show('sum("seconds")', calls, F.sum("seconds"))
show('count("*") of the two columns', calls.select("agent", "outcome"), F.count("*"))

tokens = session.createDataFrame([("a", 5), ("a", None), ("a", 5)], ["agent", "tokens"]).groupBy("agent")
listed, distinct = (tokens.agg(each("tokens")).collect()[0][1] for each in (F.collect_list, F.collect_set))
print(f"of 5, null, 5: collect_list {sorted(listed, key=str)}, collect_set {sorted(distinct, key=str)}")
PYTHON

seen=$(run program.py)
compare "$seen" <<'SEEN'
by hand: a has 2 ok and 1 failed, b has 1 ok
count("*"): [('a', 0, 1), ('a', 1, 0), ('a', 1, 0), ('b', 1, 0)]
count(lit(1)): [('a', 2, 1), ('b', 1, 0)]
count("seconds"): [('a', 2, 1), ('b', 1, 0)]
sum("seconds"): [('a', 30, 20), ('b', 40, None)]
count("*") of the two columns: [('a', 0, 1), ('a', 2, 0), ('b', 1, 0)]
of 5, null, 5: collect_list [5, 5, None], collect_set [5, None]
SEEN
