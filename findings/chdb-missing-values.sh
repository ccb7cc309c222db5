#!/usr/bin/env bash
# chDB's DataStore, in the place of pandas: != loses the rows without a value, and a grouped rate is over fewer rows
#
# Expected: import chdb.datastore instead of pandas gives what pandas gives. There a missing number is unequal to 1 and not above 2, so
#   v != 1, ~(v == 1) and v.ne(1) are one mask, and the mean of v > 2 is over all rows, which the DataStore has so for a whole column.
# Happens: df[df["v"] != 1] leaves out what is missing, 3 rows of 5, of text and of two columns too; the other three ways to write it keep
#   them. A column made of v > 2 has nulls, so its mean by agent is 0.50 for 0.33 and 1.00 for 0.50, while the mean of all is right.
# Seen: chdb 4.4.0 (chdb-core 26.9.0), pandas 2.3.3, 2026-11-29.
# Matters to: whoever moves a notebook of features over by its import: error rates and shares of slow calls rise for the agents whose calls
#   have no duration, and filters drop what is unknown. Fill in what is missing first.
. "$(dirname "$0")/common"

python_packages chdb==4.4.0 chdb-core==26.9.0 pandas==2.3.3 numpy==2.4.6 pyarrow==25.0.1
cat >"$work/program.py" <<'PYTHON'
import chdb.datastore
import pandas as pd

CALLS = {"id": [1, 2, 3, 4, 5, 6], "agent": ["a", "b", "a", None, "b", "a"], "v": [1.0, None, 3.0, 4.0, 5.0, None]}
FORMS = {
    "v != 1": lambda t: t[t["v"] != 1]["id"].tolist(),
    "~(v == 1)": lambda t: t[~(t["v"] == 1)]["id"].tolist(),
    "v.ne(1)": lambda t: t[t["v"].ne(1)]["id"].tolist(),
    "query('v != 1')": lambda t: t.query("v != 1")["id"].tolist(),
    "agent != 'a'": lambda t: t[t["agent"] != "a"]["id"].tolist(),
    "v != id": lambda t: t[t["v"] != t["id"]]["id"].tolist(),
    "share of v > 2": lambda t: f"{(t['v'] > 2).mean():.2f}",
    "share of v > 2 by agent": lambda t: {
        agent: f"{share:.2f}" for agent, share in t.assign(slow=t["v"] > 2).groupby("agent")["slow"].mean().to_dict().items()
    },
}
frame = pd.DataFrame(CALLS)
print(f"v: {CALLS['v']}")
for said, form in FORMS.items():
    pandas, datastore = form(frame), form(chdb.datastore.DataFrame(CALLS))
    print(f"{said}: pandas {pandas}, DataStore {datastore}{'' if pandas == datastore else ' (!)'}")
PYTHON

seen=$(run program.py)
compare "$seen" <<'SEEN'
v: [1.0, None, 3.0, 4.0, 5.0, None]
v != 1: pandas [2, 3, 4, 5, 6], DataStore [3, 4, 5] (!)
~(v == 1): pandas [2, 3, 4, 5, 6], DataStore [2, 3, 4, 5, 6]
v.ne(1): pandas [2, 3, 4, 5, 6], DataStore [2, 3, 4, 5, 6]
query('v != 1'): pandas [2, 3, 4, 5, 6], DataStore [2, 3, 4, 5, 6]
agent != 'a': pandas [2, 4, 5], DataStore [2, 5] (!)
v != id: pandas [2, 6], DataStore [] (!)
share of v > 2: pandas 0.50, DataStore 0.50
share of v > 2 by agent: pandas {'a': '0.33', 'b': '0.50'}, DataStore {'a': '0.50', 'b': '1.00'} (!)
SEEN
