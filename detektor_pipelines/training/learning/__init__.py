"""What is learnt from a training set and how it is judged: arrays in, models, figures and SHAP values out.

Belongs here: split, candidates, baselines, metrics, attributions; functions of their arguments alone. Does not belong here: the
log, MLflow, and the course that puts these together (`training.experiment`).
"""
