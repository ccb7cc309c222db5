"""Checks as Dagster shows them: the gate, what is looked at beside it after each publication, and freshness when nothing runs.

Belongs here: specifications of checks and their results. Does not belong here: what they judge, and how (`engine.gate`, `quality`).
"""

from detektor_pipelines.orchestration.checks.beside import after_publication, beside_specs
from detektor_pipelines.orchestration.checks.gate import GATE, failing_rows, gate_result, gate_spec, summary

__all__ = ["GATE", "after_publication", "beside_specs", "failing_rows", "gate_result", "gate_spec", "summary"]
