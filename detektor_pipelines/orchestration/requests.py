"""Requests of runs over ranges of days, which runs are under way, and what is behind: what schedules and sensors share.

A request with Dagster's two range tags becomes one run over exactly that range: the daemon hands its tags to the run, the run's planned
events and its step's partition keys are read from them.
"""

from __future__ import annotations

import time
from datetime import timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import dagster as dg
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG, PRIORITY_TAG

from detektor_pipelines.orchestration.keys import features_key, online_key

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import date

    from detektor_pipelines.language.views import FeatureView

Reason: TypeAlias = Literal["hourly", "nightly", "late data", "online"]
Range: TypeAlias = "tuple[date, date]"

REASON_TAG: Final = "detektor/reason"
"""Run tag: why the run was started; a person filters by it."""

_PRIORITY: Final[Mapping[str, str]] = {"hourly": "10", "nightly": "10", "late data": "5", "online": "10"}
_CREATED_SECONDS: Final = 600
"""A run that was made but handed to no queue for so long never will be: the daemon died in between, or could not start it."""
_ACTIVE: Final = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)


def tags_of(reason: Reason) -> dict[str, str]:
    """Return the tags that say why, and how urgent it is."""
    return {REASON_TAG: reason, PRIORITY_TAG: _PRIORITY[reason]}


def both_assets(views: Iterable[FeatureView]) -> list[dg.AssetKey]:
    """Return the keys of `features` and `online` of the views."""
    return [key for view in views for key in (features_key(view), online_key(view))]


def range_request(
    views: Sequence[FeatureView],
    days: Range,
    reason: Reason,
    *,
    tags: Mapping[str, str] | None = None,
    run_key: str | None = None,
) -> dg.RunRequest:
    """Ask for one run over the days of `days` (both included) of the views, offline and online."""
    first, last = days
    between = {ASSET_PARTITION_RANGE_START_TAG: first.isoformat(), ASSET_PARTITION_RANGE_END_TAG: last.isoformat()}
    return dg.RunRequest(run_key=run_key, asset_selection=both_assets(views), tags=tags_of(reason) | between | dict(tags or {}))


def ranges(days: Iterable[date]) -> list[Range]:
    """Return the contiguous ranges that `days` make, ascending."""
    runs = (list(run) for _, run in groupby(enumerate(sorted(set(days))), key=lambda pair: pair[1] - timedelta(days=pair[0])))
    return [(run[0][1], run[-1][1]) for run in runs]


def by_range(days: Mapping[FeatureView, Collection[date]]) -> dict[Range, list[FeatureView]]:
    """Return which views share which contiguous range, the oldest range first."""
    shared: dict[Range, list[FeatureView]] = {}
    for view, some in days.items():
        for each in ranges(some):
            shared.setdefault(each, []).append(view)
    return dict(sorted(shared.items()))


def said(days: Range) -> str:
    """Return the range as a person reads it."""
    first, last = days
    return f"{first}" if first == last else f"{first} to {last}"


def command(view: FeatureView, days: Range) -> str:
    """Return the command that computes these days of the view."""
    return f"detektor backfill --view {view.name} --from {days[0]} --to {days[1]}"


def active_runs(instance: dg.DagsterInstance, tags: Mapping[str, str] | None = None) -> list[dg.DagsterRun]:
    """Return the runs that are queued or under way."""
    records = instance.get_run_records(dg.RunsFilter(statuses=list(_ACTIVE), tags=dict(tags or {})))
    return [record.dagster_run for record in records if not _abandoned(record)]


def views_at_work(instance: dg.DagsterInstance, views: Sequence[FeatureView], *, backfills: bool) -> dict[FeatureView, str]:
    """Return the views that a run, or with `backfills` a backfill that still makes runs, is about to write, with words for which."""
    found: dict[FeatureView, str] = {}
    if backfills:
        for backfill in instance.get_backfills(filters=BulkActionsFilter(statuses=[BulkActionStatus.REQUESTED])):
            for view in _among(views, backfill.asset_selection or ()):
                found[view] = f"backfill {backfill.backfill_id}"
    for run in active_runs(instance):
        for view in views if _is_of_all(run) else _among(views, run.asset_selection or ()):
            found[view] = f"run {run.run_id[:8]}"
    return found


def behind(instance: dg.DagsterInstance, views: Sequence[FeatureView]) -> dict[FeatureView, int]:
    """Return the views whose features are newer than their online values, with the number of the features' newest event."""
    keys = [key for view in views for key in (features_key(view), online_key(view))]
    entries = {record.asset_entry.asset_key: record.asset_entry for record in instance.get_asset_records(keys)}
    newest = {key: entry.last_materialization_storage_id or 0 for key, entry in entries.items()}
    return {view: newest[features_key(view)] for view in views if newest.get(features_key(view), 0) > newest.get(online_key(view), 0)}


def writes(run: dg.DagsterRun, view: FeatureView) -> bool:
    """Say whether the run was made to write an asset of the view."""
    return _is_of_all(run) or bool(_among([view], run.asset_selection or ()))


def _among(views: Sequence[FeatureView], keys: Collection[dg.AssetKey]) -> list[FeatureView]:
    return [view for view in views if features_key(view) in keys or online_key(view) in keys]


def _is_of_all(run: dg.DagsterRun) -> bool:
    """Say whether the run is of assets, and of all that there are: one of a job of ours, such as housekeeping, is of none."""
    return run.asset_selection is None and run.job_name.startswith("__")


def _abandoned(record: dg.RunRecord) -> bool:
    age = time.time() - record.create_timestamp.timestamp()
    return record.dagster_run.status == dg.DagsterRunStatus.NOT_STARTED and age > _CREATED_SECONDS
