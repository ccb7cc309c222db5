"""Dagster's entry: `dagster asset materialize -m detektor_pipelines.definitions …`, and workspace.yaml. Assembles, nothing else."""

from detektor_pipelines.orchestration.build import build_definitions

defs = build_definitions()
