"""Two pictures of an experiment: whether its probabilities can be taken at their word, and which features move its predictions."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final

from detektor_pipelines.training.experiment import MODEL

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from detektor_pipelines.training.experiment import Experiment

_WIDTH: Final = 52
"""Characters of a description before it is broken into the next line."""
_SPREAD: Final = 0.3


def calibration(made: Experiment) -> Figure:
    """Draw what was predicted against what came, and how many predictions there are of each probability."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 6), layout="constrained")
    upper, lower = figure.subplots(2, 1, height_ratios=(4, 1), sharex=True)
    upper.plot((0, 1), (0, 1), linestyle="--", color="grey", label="as predicted")
    upper.plot([each.predicted for each in made.bins], [each.observed for each in made.bins], marker="o", label="as it came")
    upper.set(ylim=(-0.02, 1.02), ylabel=f"share that was {made.found.label_name}")
    upper.set_title(f"{made.found.agent}: {made.found.label_name}, {len(made.parts.test):,} decisions")
    upper.legend()
    lower.hist(made.predicted[MODEL], bins=[place / 20 for place in range(21)])
    lower.set(xlim=(0, 1), xlabel="predicted probability", ylabel="decisions")
    return figure


def attributions(made: Experiment) -> Figure:
    """Draw each explained decision's SHAP values, the features that matter most on top, under their descriptions."""
    import numpy as np
    from matplotlib.figure import Figure

    order = np.argsort(made.attributions.importance(), kind="stable")
    figure = Figure(figsize=(11, 1.2 + 0.55 * len(order)), layout="constrained")
    axes = figure.subplots()
    generator = np.random.default_rng(made.seed)
    points = None
    for height, place in enumerate(order):
        values = made.attributions.shap[:, place]
        colours = _ranks(made.rows.matrix[made.explained, place])
        heights = height + generator.uniform(-_SPREAD, _SPREAD, len(values))
        points = axes.scatter(values, heights, c=colours, cmap="coolwarm", vmin=0, vmax=1, s=9, linewidths=0)
    axes.axvline(0, color="grey", linewidth=0.8)
    axes.set_yticks(range(len(order)), [textwrap.fill(made.rows.inputs[place]["text"], _WIDTH) for place in order], fontsize=8)
    axes.set_xlabel(f"SHAP value: change of the log-odds of {made.found.label_name}")
    if points is not None:
        figure.colorbar(points, ax=axes, ticks=(0, 1)).ax.set_yticklabels(("low", "high"))
    return figure


def _ranks(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where each value lies among the others, 0 to 1; null in the middle."""
    import numpy as np

    ordered = np.sort(numbers[~np.isnan(numbers)])
    if len(ordered) < 2 or ordered[0] == ordered[-1]:  # noqa: PLR2004  one value has no rank
        return np.full(len(numbers), 0.5)
    return np.where(np.isnan(numbers), 0.5, np.searchsorted(ordered, numbers) / (len(ordered) - 1))
