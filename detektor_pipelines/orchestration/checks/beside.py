"""The checks beside the gate: evaluated within the `features` step, once it has published, and never a reason to fail it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import dagster as dg
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from detektor_pipelines.quality.findings import BESIDE_THE_GATE, not_computed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date

    from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecord

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.orchestration.resources import Platform
    from detektor_pipelines.quality.findings import Case, Check, Finding

_PLANNED_SECONDS: Final = 600
"""How long a check that a run has planned is left to it: one that is not evaluated by then waits in the queue, or lost its process."""

_SEVERITY: Final = {"error": dg.AssetCheckSeverity.ERROR, "warn": dg.AssetCheckSeverity.WARN}


def beside_specs(key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """Declare the checks that each publication of `key` evaluates; none of them blocks."""
    return [spec(check, key) for check in BESIDE_THE_GATE]


def spec(check: Check, key: dg.AssetKey) -> dg.AssetCheckSpec:
    """Declare `check` of `key`."""
    return dg.AssetCheckSpec(name=check.name, asset=key, description=check.description)


def after_publication(key: dg.AssetKey, view: FeatureView, days: Sequence[date], platform: Platform) -> Iterator[dg.AssetCheckResult]:
    """Judge what was published of `view`; whatever goes wrong with that is a warning, since the rows stand.

    Args:
        key: The asset.
        view: Its definition.
        days: Those that were published, or kept; without any the newest published ones are judged.
        platform: What is asked.

    """
    from detektor_pipelines.quality.examination import examine

    try:
        found = {finding.check: finding for finding in platform.ask(examine, view, days)}
    except Exception as error:  # noqa: BLE001  a check that cannot look must not fail what is published
        found = {check.name: not_computed(check.name, str(error) or type(error).__name__) for check in BESIDE_THE_GATE}
    for check in BESIDE_THE_GATE:
        yield result(key, found.get(check.name) or not_computed(check.name, "it was not reported"))


def result(key: dg.AssetKey, finding: Finding) -> dg.AssetCheckResult:
    """Return a finding as the result of a check that runs."""
    return dg.AssetCheckResult(asset_key=key, **_said(finding))


def news(instance: dg.DagsterInstance, found: Mapping[dg.AssetKey, Finding]) -> list[dg.AssetCheckEvaluation]:
    """Return those findings that Dagster does not show, as events that no run wrote.

    Held against what it shows and not against what a sensor said before, so that a run may have said it, or failed to.
    """
    told = [dg.AssetCheckEvaluation(asset_key=key, **_said(finding)) for key, finding in found.items()]
    shown = instance.event_log_storage.get_latest_asset_check_execution_by_key([each.asset_check_key for each in told])
    return [each for each in told if not _is_shown(each, shown.get(each.asset_check_key))]


def _is_shown(told: dg.AssetCheckEvaluation, record: AssetCheckExecutionRecord | None) -> bool:
    if record is None:
        return False
    if record.status == AssetCheckExecutionRecordStatus.PLANNED:
        return time.time() - record.create_timestamp < _PLANNED_SECONDS
    shown = record.evaluation
    return shown is not None and (shown.passed, shown.severity, shown.description) == (told.passed, told.severity, told.description)


def _said(finding: Finding) -> dict[str, Any]:
    return {
        "check_name": finding.check,
        "passed": finding.passed,
        "severity": _SEVERITY[finding.severity],
        "description": f"{finding.summary} {finding.fix}".strip(),
        "metadata": metadata(finding),
    }


def metadata(finding: Finding) -> Mapping[str, Any]:
    """Return the figures, and for a failure what to do and the rows or days it is about."""
    shown: dict[str, Any] = dict(finding.figures)
    if finding.fix:
        shown["what_to_do"] = finding.fix
    if finding.cases:
        shown["cases"] = table(finding.cases)
    return shown


def table(cases: Sequence[Case]) -> dg.TableMetadataValue:
    """Return cases as a table of text."""
    columns = list(dict.fromkeys(column for case in cases for column in case))
    return dg.MetadataValue.table(
        records=[dg.TableRecord({column: case.get(column, "") for column in columns}) for case in cases],
        schema=dg.TableSchema(columns=[dg.TableColumn(column) for column in columns]),
    )
