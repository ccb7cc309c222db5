"""A reference beside now, as small multiples: the shares by bin that the distances are of, null in a bin of its own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import numpy as np

from detektor_pipelines.quality.drift.judgement import window_counts
from detektor_pipelines.quality.drift.profiles import from_data
from detektor_pipelines.quality.drift.results import WINDOW_DAYS
from detektor_pipelines.quality.drift.samples import read
from detektor_pipelines.quality.drift.statistics import shares
from detektor_pipelines.stores import drift as table
from detektor_pipelines.stores.connections import connect, connect_arrow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.quality.drift.look import Look
    from detektor_pipelines.settings import Settings

COLUMNS: Final = 4
_WIDTH, _HEIGHT = 3.4, 2.2
_BAR: Final = 0.4


@dataclass(frozen=True, slots=True)
class Picture:
    """A feature's shares by bin: `labels` name the bins, null is the last; `words` are what a person reads above."""

    labels: tuple[str, ...]
    reference: NDArray[np.float64]
    current: NDArray[np.float64]
    words: str
    alert: bool


def pictures(settings: Settings, view: FeatureView, found: Look) -> list[Picture]:
    """Return a picture of each feature that was compared; none without results.

    Raises:
        UserError: The database cannot be read.

    """
    if not found.results or found.reference is None:
        return []
    day = found.results[0].day
    with connect(settings) as connection:
        row = next(each for each in table.references(connection, view) if each.number == found.reference.number)
        agent_ids, kept = from_data(table.profiles(connection, row))
    with connect_arrow(settings) as arrow:
        sample = read(arrow, view, day - timedelta(days=WINDOW_DAYS - 1), day)
    made = []
    for name in dict.fromkeys(each.feature for each in found.results):
        profile = kept[name]
        both = shares(profile.cells, window_counts(profile, sample, name, agent_ids))
        if both is None:
            continue
        said = {each.method: each for each in found.results if each.feature == name}
        alert = "alert" in (said["psi"].level, said["null_share"].level)
        level = said["psi"].level.replace("_", " ")
        words = f"{name}\n{level}: {said['psi'].score:.2f} of {said['psi'].observed:.2f}"
        made.append(Picture((*profile.bins.labels(), "null"), both.reference, both.current, words, alert))
    return made


def draw(found: Sequence[Picture], title: str) -> Figure:
    """Draw the pictures, four in a row; both distributions are told apart in black and white too."""
    from matplotlib.figure import Figure

    rows = max(1, -(-len(found) // COLUMNS))
    figure = Figure(figsize=(_WIDTH * COLUMNS, _HEIGHT * rows + 0.8), layout="constrained")
    panels = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axes, picture in zip(panels, found, strict=False):
        _panel(axes, picture)
    for axes in panels[len(found) :]:
        axes.set_axis_off()
    handles, labels = panels[0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside upper right", ncols=2, fontsize=8)
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    return figure


def _panel(axes: Axes, picture: Picture) -> None:
    places = np.arange(len(picture.labels))
    axes.bar(places - _BAR / 2, picture.reference, _BAR, color="#c8c8c8", edgecolor="black", linewidth=0.5, label="reference")
    axes.bar(places + _BAR / 2, picture.current, _BAR, color="#1f5fa8", edgecolor="black", linewidth=0.5, hatch="////", label="now")
    axes.set_title(picture.words, fontsize=7.5, fontweight="bold" if picture.alert else "normal", loc="left")
    axes.set_xticks(places, picture.labels, fontsize=6, rotation=35, ha="right", rotation_mode="anchor")
    axes.tick_params(axis="y", labelsize=6)
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    axes.spines[["top", "right"]].set_visible(False)
