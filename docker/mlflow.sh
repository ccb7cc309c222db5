#!/bin/sh
# MLflow as a container: its database's address holds the password, so it is put together here, where `docker inspect` does not see it.
set -eu
# Other Host headers get 403: it has no passwords, and a web page must not reach it. MLFLOW_HOSTS names more
MLFLOW_BACKEND_STORE_URI=$(python -c 'from detektor_pipelines.settings import get_settings; print(get_settings().sqlalchemy_url("mlflow"))')
export MLFLOW_BACKEND_STORE_URI
exec mlflow server --host 0.0.0.0 --port 5000 --workers 1 --artifacts-destination /var/lib/detektor/servers/mlflow/artifacts \
  --allowed-hosts "${MLFLOW_HOSTS:-mlflow:5000,localhost:*,127.0.0.1:*}"
