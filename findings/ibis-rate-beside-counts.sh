#!/usr/bin/env bash
# ibis: a rate is right by itself and 0 beside the counts that it is made of, on DataFusion and PostgreSQL
#
# Expected: errors / calls is 0.75 for 3 errors of 4 calls, wherever it stands: ibis says float64 of it, and its to_sql shows a cast to
#   DOUBLE PRECISION before the division.
# Happens: where the numerator is a column of the result too, which mutate makes it, what is executed has no cast, and both engines cut the
#   quotient of integers to a whole number: 0.0 for everybody. Where the numerator stands behind the rate, the cast is put on *it*: the
#   rate is 0 and the count a double. Alone, beside other columns, of sums, on SQLite and on DuckDB it is right, and to_sql shows the
#   cast in every case. (One column object stands in two places of the query, and the cast is written into one of them.)
# Seen: ibis-framework 12.0.0 with sqlglot 28.0.0 (25.34, 26.12, 27.8 and 27.29 alike), datafusion 50.1.0, psycopg 3.3.9, 2026-11-29.
# Matters to: whoever makes rates of agents in ibis: tried on DuckDB or looked at alone the feature is right, put into the training set beside
#   its counts it is 0, or 1 for who always fails. Multiply by 1.0 or cast before dividing.
. "$(dirname "$0")/common"

python_packages ibis-framework==12.0.0 sqlglot==28.0.0 datafusion==50.1.0 "psycopg[binary]==3.3.9" regex==2026.11.19 \
  pandas==2.3.3 numpy==2.4.6 pyarrow==25.0.1 pyarrow-hotfix==0.7 rich==15.0.0 packaging==26.4
cat >"$work/program.py" <<'PYTHON'
import ibis
import pyarrow as pa
from ibis.backends.postgres import Backend

rows = pa.table({"agent": ["a", "b"], "calls": [4, 4], "errors": [3, 4]})
FORMS = {
    "alone": lambda t: t.select(rate=t.errors / t.calls),
    "beside the agent": lambda t: t.select("agent", rate=t.errors / t.calls),
    "by mutate": lambda t: t.mutate(rate=t.errors / t.calls).drop("agent"),
    "the errors behind it": lambda t: t.select(rate=t.errors / t.calls, errors="errors"),
    "by mutate, times 1.0": lambda t: t.mutate(rate=t.errors * 1.0 / t.calls).drop("agent"),
}
tables = {name: getattr(ibis, name).connect().create_table("calls", rows) for name in ("datafusion", "sqlite")}
unbound = ibis.table(tables["datafusion"].schema(), name="calls")
for said, form in FORMS.items():
    print(said)
    for name, table in tables.items():
        seen = form(table).to_pyarrow()
        print(f"  {name}:", seen["rate"].to_pylist(), "of type", form(table).schema()["rate"])
    for who, text in (("PostgreSQL gets", Backend().compile(form(unbound))), ("to_sql says", str(ibis.to_sql(form(unbound), dialect="postgres")))):
        print(f"  {who}:", " ".join(text.split()).replace('"t0".', "").replace(' FROM "calls" AS "t0"', ""))
PYTHON

seen=$(run program.py)
compare "$seen" <<'SEEN'
alone
  datafusion: [0.75, 1.0] of type float64
  sqlite: [0.75, 1.0] of type float64
  PostgreSQL gets: SELECT CAST("errors" AS DOUBLE PRECISION) / "calls" AS "rate"
  to_sql says: SELECT CAST("errors" AS DOUBLE PRECISION) / "calls" AS "rate"
beside the agent
  datafusion: [0.75, 1.0] of type float64
  sqlite: [0.75, 1.0] of type float64
  PostgreSQL gets: SELECT "agent", CAST("errors" AS DOUBLE PRECISION) / "calls" AS "rate"
  to_sql says: SELECT "agent", CAST("errors" AS DOUBLE PRECISION) / "calls" AS "rate"
by mutate
  datafusion: [0.0, 1.0] of type float64
  sqlite: [0.75, 1.0] of type float64
  PostgreSQL gets: SELECT "calls", "errors", "errors" / "calls" AS "rate"
  to_sql says: SELECT "calls", "errors", CAST("errors" AS DOUBLE PRECISION) / "calls" AS "rate"
the errors behind it
  datafusion: [0.0, 1.0] of type float64
  sqlite: [0.75, 1.0] of type float64
  PostgreSQL gets: SELECT "errors" / "calls" AS "rate", CAST("errors" AS DOUBLE PRECISION)
  to_sql says: SELECT CAST("errors" AS DOUBLE PRECISION) / "calls" AS "rate", "errors"
by mutate, times 1.0
  datafusion: [0.75, 1.0] of type float64
  sqlite: [0.75, 1.0] of type float64
  PostgreSQL gets: SELECT "calls", "errors", CAST(("errors" * 1.0) AS DOUBLE PRECISION) / "calls" AS "rate"
  to_sql says: SELECT "calls", "errors", CAST(( "errors" * 1.0 ) AS DOUBLE PRECISION) / "calls" AS "rate"
SEEN
