#!/usr/bin/env bash
# MLflow: the value of a metric that a run shows is neither the one logged last nor the one with the latest timestamp
#
# Expected: of values logged under one step and timestamp the last one is shown, or the second call is refused; of others the one
#   with the latest timestamp: so says the docstring of RunData.metrics (and, of equal timestamps, the maximum; the pages on logging
#   say neither).
# Happens: the largest by step, then timestamp, then value is shown and searched. After 0.9 and then 0.1 under one step and time the run
#   shows 0.9 and no run has psi < 0.5; corrected upwards it is as expected. A later timestamp with a smaller step does not show. The
#   history of values with equal step and time is in the order of values, not of logging, and equal ones are kept once.
# Seen: mlflow-skinny 3.17.2 with sqlalchemy 2.0.58 on SQLite, 2026-11-28.
# Matters to: whoever recomputes a day and logs its quality or drift again under the day's own step and time, which is what makes the
#   curve right: the page of the run, the comparison and the search keep the wrong value when the right one is smaller. Use a new run.
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
    for value, step, timestamp in values:
        client.log_metric(run, key, value, timestamp=timestamp, step=step)
    return shown(key)


print("0.9, then 0.1, one step and time:", log("psi", (0.9, 0, DAY), (0.1, 0, DAY)))
print("  runs with psi < 0.5:", len(client.search_runs([experiment], "metrics.psi < 0.5")))
print("0.1, then 0.9, one step and time:", log("upwards", (0.1, 0, DAY), (0.9, 0, DAY)))
print("0.5, then 0.5, one step and time:", log("again", (0.5, 0, DAY), (0.5, 0, DAY)))
print("0.9 at step 2, an hour later 0.1 at step 1:", log("earlier step", (0.9, 2, DAY), (0.1, 1, DAY + 3_600_000)))
client.log_batch(run, metrics=[Metric("batch", value, DAY, 0) for value in (1.0, 5.0, 2.0)])
print("1, 5, 2 in one batch:", shown("batch"))
PYTHON

seen=$(run program.py)
compare "$seen" <<'SEEN'
0.9, then 0.1, one step and time: shown 0.9, history [0.1, 0.9]
  runs with psi < 0.5: 0
0.1, then 0.9, one step and time: shown 0.9, history [0.1, 0.9]
0.5, then 0.5, one step and time: shown 0.5, history [0.5]
0.9 at step 2, an hour later 0.1 at step 1: shown 0.9, history [0.9, 0.1]
1, 5, 2 in one batch: shown 5.0, history [1.0, 2.0, 5.0]
SEEN
