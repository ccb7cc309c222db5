# %% [markdown]
# # From labels to a served model
#
# A notebook kept as text: editors that know the percent format (VS Code, PyCharm, Spyder, Jupytext) show the cells, and
# `python docs/notebooks/training.py` runs them all. It takes an installation of its own, as it simulates half a year of work:
#
# ```sh
# export DETEKTOR_HOME=$(mktemp -d)
# detektor up --free-ports
# eval "$(detektor env)"
# python docs/notebooks/training.py
# ```

# %%
import subprocess
import sys
from datetime import timedelta

import mlflow

from detektor_pipelines import clock
from detektor_pipelines.catalog import labels_of, view_named
from detektor_pipelines.engine.materialize import materialize
from detektor_pipelines.engine.online import publish_online
from detektor_pipelines.settings import get_settings
from detektor_pipelines.training.experiment import MODEL, PRIOR, run
from detektor_pipelines.training.reproduction import reproduce
from detektor_pipelines.training.sets import training_set
from detektor_pipelines.training.shadow import shadow
from detektor_pipelines.training.tracking import log

AGENT, LABEL = "detektor-coder", "reworked"
settings, view = get_settings(), view_named(AGENT)

# %% [markdown]
# ## A history
#
# Half a year of eight agents in eight projects: made up, but like real logs in what they do and how often. Refused beside real events.

# %%
subprocess.run([sys.executable, "-m", "detektor_pipelines", "simulate"], check=True)

# %% [markdown]
# ## Labels
#
# What became of a decision. `reworked` looks forward: it is known a week after the implementation.

# %%
for label in labels_of(AGENT):
    print(f"{label.name:12} {label.description}")

# %% [markdown]
# ## A training set
#
# Each decision with the features that serving would have said a microsecond before, without anything of its own task. What cannot be a row
# is left out and counted.

# %%
made = training_set(settings, agent=AGENT, label=LABEL)
print(f"{made.table.num_rows:,} decisions, {made.classes}, left out: {dict(made.dropped)}")
print(f"hash {made.set_hash[:16]}, by snapshot {made.snapshot}")
print(made.to_pandas()[["agent_id", "decided_at", "label", "rework_rate", "first_attempt_success_rate"]].tail())

# %% [markdown]
# ## An experiment
#
# Two small models, learnt from the earlier decisions, chosen by later ones, judged by the latest, with the longest window left out between.
# A simulated history has little to foretell: whether the model is better than no model at all is what the summary says.

# %%
found = run(settings, agent=AGENT, label=LABEL)
print(found.summary())
for who in (MODEL, PRIOR):
    print(f"{who:12} AUC {found.metrics[who]['auc']}, log loss {found.metrics[who]['log_loss']}")

# %% [markdown]
# In MLflow: the run with all that it takes to make it again, and the model under the agent's name.

# %%
logged = log(settings, found, promote=True)
print(f"models:/{logged.model}/{logged.version} in production: {logged.production}")

again = reproduce(settings, logged.run_id)
print(again.summary())
assert again.equal

# %% [markdown]
# ## The model in use
#
# Features have to be served: the rows of yesterday go into the offline store, the newest of each agent_id into the online store. With
# `detektor up` Dagster and the stream do this.

# %%
yesterday = clock.from_us(clock.now_us()).date() - timedelta(days=1)
materialize(settings, view, [yesterday])
print(f"{publish_online(settings, view).keys:,} agent_ids are served")

# %% [markdown]
# The model fetches its own features, and refuses definitions other than those that it learnt from.

# %%
mlflow.set_tracking_uri(settings.mlflow_uri)
model = mlflow.sklearn.load_model(f"models:/{AGENT}@production")
print(model.get_features_for_prediction({"agent_id": AGENT})["rework_rate"])
print(f"reworked with a probability of {model.predict_proba([{'agent_id': AGENT}])[0, 1]:.2f}")

# %% [markdown]
# ## Beside the work
#
# From now on `detektor shadow` predicts every new decision before its outcome is known: here those of the last week.

# %%
print(shadow(settings, AGENT).summary())
