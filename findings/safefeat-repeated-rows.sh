#!/usr/bin/env bash
# safefeat: a row of the spine that stands there twice doubles its counts and sums, and allowed_lag does nothing to a window
#
# Expected: each row of the spine, an agent and the time of a prediction, gets what happened to the agent until then; what stands in other rows
#   changes nothing. allowed_lag lets in what came a little later: with an hour's grace a window sees the event 30 minutes after.
# Happens: every event is counted once for each row with the same agent and time: 2 calls are 4 where the row is there twice and 6 where it is
#   there three times; mean and nunique stay right. Its page says one row for each such pair, but nothing refuses or tells of a second,
#   which two labels of one call make, or rows drawn with replacement. Windows end at the prediction's time whatever allowed_lag says;
#   the recency does follow it, and is -1 day.
# Seen: safefeat 0.1.3 with pandas 2.3.3, 2026-11-29.
# Matters to: whoever makes training sets of event logs with it: the number of calls tells how often a row was drawn, which the label often
#   depends on, a leak by the tool that is to prevent them; at serving, one row at a time, the counts are half. Drop repeated rows before.
. "$(dirname "$0")/common"

python_packages safefeat==0.1.3 pandas==2.3.3 numpy==2.4.6
cat >"$work/program.py" <<'PYTHON'
import pandas as pd
from safefeat import RecencyBlock, WindowAgg, build_features

NOON = "2026-11-20 12:00:00"
events = pd.DataFrame({
    "entity_id": ["a", "a", "a"],
    "event_time": ["2026-11-20 10:00", "2026-11-20 11:00", "2026-11-20 12:30"],
    "seconds": [10.0, 20.0, 60.0],
})  # fmt: skip
SPEC = [WindowAgg(table="events", windows=["7D"], metrics={"*": ["count"], "seconds": ["sum", "mean"]}), RecencyBlock(table="events")]


def show(said, times, lag="0s"):
    spine = pd.DataFrame({"entity_id": ["a"] * len(times), "cutoff_time": times})
    rows = build_features(spine, {"events": events}, SPEC, event_time_cols={"events": "event_time"}, allowed_lag=lag)
    seen = ["; ".join(f"{value:.0f}" for value in row) for row in rows.iloc[:, 2:].itertuples(index=False)]
    print(f"{said}: {' | '.join(seen)}")


print("agent a until noon, by hand: 2 calls, sum 30, mean 15; with an hour's grace 3 calls, sum 90, mean 30; the last call is 0 days ago")
print("count; sum; mean; days since the last call")
show("one row", [NOON])
show("two rows", [NOON, NOON])
show("three rows", [NOON] * 3)
show("two rows, a second apart", [NOON, "2026-11-20 12:00:01"])
show("one row, an hour's grace", [NOON], "1h")
PYTHON

seen=$(run program.py)
compare "$seen" <<'SEEN'
agent a until noon, by hand: 2 calls, sum 30, mean 15; with an hour's grace 3 calls, sum 90, mean 30; the last call is 0 days ago
count; sum; mean; days since the last call
one row: 2; 30; 15; 0
two rows: 4; 60; 15; 0 | 4; 60; 15; 0
three rows: 6; 90; 15; 0 | 6; 90; 15; 0 | 6; 90; 15; 0
two rows, a second apart: 2; 30; 15; 0 | 2; 30; 15; 0
one row, an hour's grace: 2; 30; 15; -1
SEEN
