#!/usr/bin/env bash
# MLflow: a metric that is logged again with a smaller value keeps the larger one
#
# Expected: after log_metric(psi, 0.9) and then log_metric(psi, 0.1), with the same step and timestamp, the run shows 0.1, the last
#   one logged, or the second call is refused. The documentation calls it the latest value.
# Happens: the latest is the largest by step, then timestamp, then value: the run shows 0.9 and search finds no run with psi < 0.5. The
#   history keeps both values, sorted by value, so the order of logging is gone; equal values are kept once. A batch that holds 1, 5
#   and 2 shows 5. An older step that is logged later does not show either. Corrected upwards, all is as expected.
# Seen: mlflow-skinny 3.17.2 with sqlalchemy 2.0.58 on SQLite, 2026-11-28.
# Matters to: whoever recomputes a day and logs its quality or drift again under the day's own step and time, which is what makes the
#   curve right: the chart, the comparison and the search keep the wrong day when the corrected value is smaller. Use a new run.
. "$(dirname "$0")/common"

python_packages mlflow-skinny==3.17.2 sqlalchemy==2.0.58 alembic==1.20.1 pandas==2.3.3 numpy==2.4.6 sqlparse==0.6.1
cat >"$work/program.py" <<'PYTHON'
import os

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

from mlflow.entities import Metric
from mlflow.tracking import MlflowClient

DAY = 1764288000000
client = MlflowClient("sqlite:///mlflow.db")
experiment = client.create_experiment("drift")
run = client.create_run(experiment).info.run_id


def shown(key):
    history = [each.value for each in client.get_metric_history(run, key)]
    return f"shown {client.get_run(run).data.metrics[key]}, history {history}"


def log(key, *values):
    for value, step in values:
        client.log_metric(run, key, value, timestamp=DAY, step=step)
    return shown(key)


print("0.9, then 0.1:", log("psi", (0.9, 0), (0.1, 0)))
print("  runs with psi < 0.5:", len(client.search_runs([experiment], "metrics.psi < 0.5")))
print("0.1, then 0.9:", log("upwards", (0.1, 0), (0.9, 0)))
print("0.5, then 0.5:", log("again", (0.5, 0), (0.5, 0)))
print("0.9 at step 2, then 0.1 at step 1:", log("older", (0.9, 2), (0.1, 1)))
client.log_batch(run, metrics=[Metric("batch", value, DAY, 0) for value in (1.0, 5.0, 2.0)])
print("1, 5, 2 in one batch:", shown("batch"))
PYTHON

seen=$(run program.py)
compare "$seen" <<'SEEN'
0.9, then 0.1: shown 0.9, history [0.1, 0.9]
  runs with psi < 0.5: 0
0.1, then 0.9: shown 0.9, history [0.1, 0.9]
0.5, then 0.5: shown 0.5, history [0.5]
0.9 at step 2, then 0.1 at step 1: shown 0.9, history [0.1, 0.9]
1, 5, 2 in one batch: shown 5.0, history [1.0, 2.0, 5.0]
SEEN
