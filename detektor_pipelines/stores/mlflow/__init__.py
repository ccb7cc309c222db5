"""MLflow: the run of a computation with the hashes of what it computed, and which models were made of which features.

Belongs here: what is written to and asked of a tracking server. Does not belong here: training (`training`), how MLflow is started
(`stack`).
"""
