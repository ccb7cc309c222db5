"""The raw log as an asset: nothing here writes it, but an observation says how much is in it and how new that is.

No `from __future__ import annotations` here: Dagster reads the annotations of asset functions.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import dagster as dg
from dagster._core.definitions.data_version import DATA_VERSION_IS_USER_PROVIDED_TAG, DATA_VERSION_TAG, DEFAULT_DATA_VERSION

from detektor_pipelines.clock import to_us
from detektor_pipelines.compile.loaded import definitions
from detektor_pipelines.language.events import CATEGORIES, EXTRA_CATEGORIES, EXTRA_MEASURES, MEASURES
from detektor_pipelines.orchestration.keys import RAW_LOG
from detektor_pipelines.orchestration.resources import Platform
from detektor_pipelines.stores.raw_log.volume import AgentVolume, CommittedTotals, LogVolume, log_volume

DEFINITIONS: Final = "definitions"
"""Metadata of the asset: which definitions the code location has loaded."""

LOG_VERSION: Final = DEFAULT_DATA_VERSION.value
"""The log's data version, always: that of an asset which nobody has observed yet.

Were it another one after each event, Dagster would call every day of every view out of date, of which an event reaches few or none. Which
days it reaches, `partition_state` knows and the sensor `repair_late_data` computes again.
"""

_SETTLED: Final = "settled"
"""Metadata of an observation: the totals that the next one goes on from."""

_COLUMNS: Final = (
    dg.TableColumn("event_id", "text", "What happened, once; a better reading of it has a higher revision."),
    dg.TableColumn("revision", "integer", "The highest one counts."),
    dg.TableColumn("agent_type", "text", "Which of the agents; a feature view reads one."),
    dg.TableColumn("project", "text", "The repository it worked on; null where that is not known."),
    dg.TableColumn("session_id", "text", "The agent's session."),
    dg.TableColumn("task_id", "text", "What outcome and feedback share with the work they are about."),
    dg.TableColumn("operation", "text", "What was done."),
    dg.TableColumn("occurred_at", "timestamptz", "When it happened."),
    dg.TableColumn("known_at", "timestamptz", "From when on a feature could know it."),
    dg.TableColumn("ingested_at", "timestamptz", "When it arrived here."),
    dg.TableColumn("xid", "xid8", "The transaction that wrote it: what is newer than a publication is found by it."),
)


def raw_log() -> dg.AssetsDefinition:
    """Return the log of agent events: written by `detektor ingest`, read by every `features` asset, observed by Dagster."""
    spec = dg.AssetSpec(
        RAW_LOG,
        group_name="raw_logs",
        description="What the agents did: table ml_learning.agent_events, append-only, written by `detektor ingest` and the hooks.\n\n"
        "An observation tells how much each agent wrote and how new it is. Which days of the views late"
        " events reach is known apart from it: `detektor status` counts them, `repair_late_data` computes them.",
        kinds={"postgres"},
        owners=["team:ml-platform"],
        tags={"detektor/layer": "raw"},
        metadata={
            "dagster/column_schema": dg.TableSchema(columns=[*_COLUMNS, *_measured()]),
            "dagster/table_name": "ml_learning.agent_events",
            DEFINITIONS: dg.MetadataValue.json({name: found for name, found in definitions().items() if name != "since"}),
        },
    )

    @dg.multi_observable_source_asset(specs=[spec], name="agent_events")  # type: ignore[untyped-decorator]  # Dagster's own
    def agent_events(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[dg.ObserveResult]:
        volume = platform.ask(log_volume, last_totals(context.instance))
        yield dg.ObserveResult(asset_key=RAW_LOG, data_version=dg.DataVersion(LOG_VERSION), metadata=of_volume(volume))

    observed: dg.AssetsDefinition = agent_events
    return observed


def observation(volume: LogVolume) -> dg.AssetObservation:
    """Return an observation that no run makes."""
    tags = {DATA_VERSION_TAG: LOG_VERSION, DATA_VERSION_IS_USER_PROVIDED_TAG: "true"}
    return dg.AssetObservation(RAW_LOG, metadata=of_volume(volume), tags=tags)


def last_totals(instance: dg.DagsterInstance) -> CommittedTotals | None:
    """Return the totals of the newest observation, None when there is none that can be read."""
    records = instance.fetch_observations(RAW_LOG, limit=1).records
    observation = records[0].asset_observation if records else None
    noted = observation.metadata.get(_SETTLED) if observation else None
    return totals_of(noted.value) if isinstance(noted, dg.JsonMetadataValue) else None


def totals_of(noted: object) -> CommittedTotals | None:
    """Return what `as_noted` wrote, None for anything else."""
    try:
        return CommittedTotals(str(noted["life"]), int(noted["horizon"]), {str(k): int(v) for k, v in noted["totals"].items()})  # type: ignore[index]
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def as_noted(known: CommittedTotals) -> dict[str, Any]:
    """Return the totals for JSON; the identifier as text, since a browser's numbers end at 2**53."""
    return {"life": known.life, "horizon": known.horizon, "totals": dict(known.totals)}


def of_volume(volume: LogVolume) -> Mapping[str, Any]:
    """Return what an observation shows: a table of the agents, and the numbers that Dagster plots over time."""
    total = sum(each.events for each in volume.agents)
    arrival = volume.newest_arrival
    figures = {
        "dagster/row_count": total,
        "events": total,
        "log_version": volume.version,
        "events_last_day": sum(each.last_day for each in volume.agents),
        "events_last_7_days": sum(each.last_week for each in volume.agents),
        "rejected_last_7_days": volume.rejected_last_week,
        **{f"events_last_day/{each.agent}": each.last_day for each in volume.agents},
    }
    ages = {"newest_event_age_hours": volume.newest_event, "newest_arrival_age_hours": arrival}
    return {
        "agents": dg.MetadataValue.md(table(volume)),
        **figures,
        **{name: round(hours(volume.at, at), 2) for name, at in ages.items() if at},
        **({"newest_arrival": dg.MetadataValue.timestamp(arrival)} if arrival else {}),
        _SETTLED: dg.MetadataValue.json(as_noted(volume.settled)),
    }


def table(volume: LogVolume) -> str:
    """Return a Markdown table with a line for each agent."""
    head = "| agent | events | last day | last 7 days | newest event | age | newest arrival |\n|---|---:|---:|---:|---|---:|---|"
    return "\n".join([head, *(_line(each, volume.at) for each in volume.agents)])


def hours(now: datetime, at: datetime) -> float:
    """Return how many hours `at` lies before `now`; never less than 0, whatever a log's clock said."""
    return max(0, to_us(now) - to_us(at)) / 3_600_000_000


def age(number: float) -> str:
    """Return a number of hours as a person says it: `40 min`, `7 h`, `12 d`."""
    if number < 1:
        return f"{number * 60:.0f} min"
    return f"{number:.0f} h" if number < 48 else f"{number / 24:.0f} d"  # noqa: PLR2004  two days in hours are still readable


def _line(each: AgentVolume, now: datetime) -> str:
    event = f"{each.newest_event:%Y-%m-%d %H:%M}" if each.newest_event else "never"
    old = age(hours(now, each.newest_event)) if each.newest_event else ""
    arrival = f"{each.newest_arrival:%Y-%m-%d %H:%M}" if each.newest_arrival else ""
    return f"| {each.agent} | {each.events:,} | {each.last_day:,} | {each.last_week:,} | {event} | {old} | {arrival} |"


def _measured() -> list[dg.TableColumn]:
    measures = (dg.TableColumn(each.name, "bigint", f"{each.description} Unit: {each.unit}.") for each in MEASURES.values())
    found = [*measures, *(dg.TableColumn(each.name, "text", each.description) for each in CATEGORIES.values())]
    own = [f"{each.name}: {each.description}" for each in EXTRA_MEASURES.values()]
    own += [f"{each.name}: {each.description}" for each in EXTRA_CATEGORIES.values()]
    return [*found, *([dg.TableColumn("extra", "jsonb", " ".join(own))] if own else [])]
