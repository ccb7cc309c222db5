"""Dagster's entry: `dagster asset materialize -m detektor_pipelines.definitions …`, and workspace.yaml. Assembles, nothing else."""

from detektor_pipelines.errors import UserError

try:
    from detektor_pipelines.orchestration.build import build_definitions
except UserError as error:  # what, where and what to do: how a catalogue is loaded says nothing to the person whose file it is
    raise error.with_traceback(None) from None

defs = build_definitions()
