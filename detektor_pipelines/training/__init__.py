"""From decisions to models: labels with the features of their instants, and what is learnt from them.

Belongs here: training sets and their hashes, references to features of other agents, experiments, reproduction, inference, shadow
runs, lineage. Does not belong here: what a label or a feature is (`language`, `catalog`), how their values are computed (`compile`,
`engine`), how MLflow is spoken to (`stores.mlflow`). What takes long to import (pandas, scikit-learn, MLflow, Feast) is imported inside
functions: a command that trains nothing does not wait for it.
"""
