"""Where and when things happen: projects, their days, how busy a day is, what state each project's work is in.

All is a function of (seed, project, date), not of how long the history is; only the project that starts late and the one that goes
idle are placed from the history's end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from detektor_pipelines.simulation.calibration import DAY_SIGMA, HOURS, WEEKDAYS
from detektor_pipelines.simulation.draws import Draws, child

if TYPE_CHECKING:
    from detektor_pipelines.simulation.arrays import Floats, Ints, Keys, Truths

DAY_US: Final = 86_400_000_000
HOUR_US: Final = 3_600_000_000

LATE_PROJECT: Final = 2
LATE_START_DAYS: Final = 75
"""The third project's first day is this many days before the end."""
IDLE_PROJECT: Final = 4
IDLE_DAYS: Final = 40
"""The fifth project's last day is this many days before the end: longer than any window, so that its features empty."""

INCIDENT_BLOCK: Final = 91
"""One day in each block of 91 days everything breaks."""
LOCAL_INCIDENT_RATE: Final = 0.008

_NAMES: Final = (
    "detektor-core", "camera-gateway", "frame-store", "alert-service", "face-redaction", "operator-console", "event-bus", "model-registry",
    "mobile-app", "billing", "object-tracker", "telemetry", "site-docs", "auth-proxy", "archive-search", "edge-agent",
    "plate-reader", "notification-hub", "scene-editor", "data-export", "fleet-manager", "audio-events", "partner-api", "infra-modules",
    "design-system",
)  # fmt: skip
_UTC_OFFSETS: Final = (1, 1, 1, -5, 1, 1, 2, 1)
_NEW_YEAR: Final = ((12, 22), (1, 2))
_HOLIDAYS: Final = ((1, 6), (5, 1), (5, 3), (8, 15), (11, 1), (11, 11))
_SUMMER: Final = ((8, 1), (8, 21))
_KNOT_DAYS: Final = 18
_WEEKEND: Final = 5


@dataclass(frozen=True)
class Cells:
    """One element for each (project, local day): its key, the day as days since 1970, and what shapes it.

    `busy` is relative activity (1 on an ordinary weekday of an ordinary project), `incident` whether things break that day;
    `care` (the coder's), `strictness` (the reviewer's), `stability` (of what runs) and `craft` (of texts) are slow states with mean 0 and
    standard deviation about 1: they keep for weeks, and outcomes hang on them, so the past tells something about the future.
    """

    keys: Keys
    project: Ints
    day: Ints
    busy: Floats
    incident: Truths
    care: Floats
    strictness: Floats
    stability: Floats
    craft: Floats


def project_name(index: int) -> str:
    """Name of the index-th project."""
    return _NAMES[index] if index < len(_NAMES) else f"service-{index + 1:03d}"


def utc_offset_us(project: Ints) -> Ints:
    """Local time minus UTC of each project's team, in µs; no summer time."""
    return np.asarray(_UTC_OFFSETS, dtype=np.int64)[project % len(_UTC_OFFSETS)] * HOUR_US


def make_cells(seed: int, projects: int, first_day: int, end_day: int) -> Cells:
    """Cells of the days first_day … end_day (inclusive; days since 1970) of each project."""
    span = np.arange(first_day, end_day + 1, dtype=np.int64)
    project = np.repeat(np.arange(projects, dtype=np.int64), len(span))
    day = np.tile(span, projects)
    homes = child(np.full(len(project), seed, dtype=np.uint64), project, "project")
    keys = child(homes, day, "day")
    incident = _incidents(seed, keys, day)
    weight = Draws(homes).lognormal("weight", 1.0, 0.45)
    burst = Draws(keys).lognormal("burst", np.exp(-(DAY_SIGMA**2) / 2), DAY_SIGMA)
    return Cells(
        keys,
        project,
        day,
        weight * burst * _season(day) * _alive(project, day, end_day),
        incident,
        _state(homes, day, "care") - 0.4 * incident,
        _state(homes, day, "strictness"),
        _state(homes, day, "stability") - 1.6 * incident,
        _state(homes, day, "craft"),
    )


def start_of_work(cell_draws: Draws, day: Ints, project: Ints) -> Ints:
    """An instant (µs UTC) on the local day, by the hours people work at."""
    edges = np.concatenate(([0.0], np.cumsum(HOURS))) / sum(HOURS)
    local = np.interp(cell_draws.uniform("hour"), edges, np.arange(25)) * HOUR_US
    return day * DAY_US + local.astype(np.int64) - utc_offset_us(project)


def at_waking_hours(draws: Draws, instant: Ints, project: Ints) -> Ints:
    """The instant, or where it falls into the night (22 to 7), some time the next morning."""
    offset = utc_offset_us(project)
    local = instant + offset
    hour = local % DAY_US / HOUR_US
    late, early = hour >= 22, hour < 7  # noqa: PLR2004  the night, in hours
    morning = local - local % DAY_US + np.where(late, DAY_US, 0) + ((7.5 + 2.5 * draws.uniform("morning")) * HOUR_US).astype(np.int64)
    return np.where(late | early, morning, local) - offset


def is_holiday(day: Ints) -> Truths:
    """Whether hardly anybody works: public holidays on fixed dates, and the days around New Year."""
    month, number = _month_and_day(day)
    fixed = np.zeros(len(day), dtype=np.bool_)
    for of_month, of_day in _HOLIDAYS:
        fixed |= (month == of_month) & (number == of_day)
    after = (month == _NEW_YEAR[0][0]) & (number >= _NEW_YEAR[0][1])
    before = (month == _NEW_YEAR[1][0]) & (number <= _NEW_YEAR[1][1])
    return np.asarray(fixed | after | before, dtype=np.bool_)


def weekday(day: Ints) -> Ints:
    """0 for Monday … 6 for Sunday (1970-01-01 was a Thursday)."""
    return (day + 3) % 7


def _season(day: Ints) -> Floats:
    month, number = _month_and_day(day)
    summer = (month == _SUMMER[0][0]) & (number >= _SUMMER[0][1]) & (number <= _SUMMER[1][1])
    return np.asarray(WEEKDAYS)[weekday(day)] * np.where(is_holiday(day), 0.15, 1.0) * np.where(summer, 0.7, 1.0)


def _alive(project: Ints, day: Ints, end_day: int) -> Floats:
    late = (project == LATE_PROJECT) & (day < end_day - LATE_START_DAYS)
    idle = (project == IDLE_PROJECT) & (day >= end_day - IDLE_DAYS)
    return np.where(late | idle, 0.0, 1.0)


def _incidents(seed: int, keys: Keys, day: Ints) -> Truths:
    block = day // INCIDENT_BLOCK
    within = Draws(child(np.full(len(day), seed, dtype=np.uint64), block, "incident")).uniform("day")
    chosen = block * INCIDENT_BLOCK + 2 + (within * (INCIDENT_BLOCK - 2)).astype(np.int64)
    chosen -= np.maximum(weekday(chosen) - (_WEEKEND - 1), 0)
    return np.asarray((day == chosen) | Draws(keys).chance("incident", LOCAL_INCIDENT_RATE), dtype=np.bool_)


def _state(homes: Keys, day: Ints, name: str) -> Floats:
    """A slow curve through a random height every eighteen days, plus what the project is like in general."""
    knot = day // _KNOT_DAYS
    before = Draws(child(homes, knot, name)).normal("height")
    after = Draws(child(homes, knot + 1, name)).normal("height")
    blend = 0.5 - 0.5 * np.cos(np.pi * (day % _KNOT_DAYS) / _KNOT_DAYS)
    return np.asarray(0.45 * Draws(homes).normal(name) + before + (after - before) * blend, dtype=np.float64)


def _month_and_day(day: Ints) -> tuple[Ints, Ints]:
    dates = day.astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    return months.astype(np.int64) % 12 + 1, (dates - months.astype("datetime64[D]")).astype(np.int64) + 1
