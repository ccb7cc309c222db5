"""An experiment: can a small model tell what becomes of a decision from the features of its instant, better than no model at all?

    training set ──▶ split by time, with an embargo ──▶ two candidates learn, the later part chooses one
                                                    ──▶ the chosen learns again from all before the latest part
                                                    ──▶ the latest part judges it, beside two baselines

`learn` is a function of the training set, the definitions and the seed: what `training.reproduction` repeats.

Belongs here: that course, and what is said of the result. Does not belong here: how it is written to MLflow (`training.tracking`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypedDict

from detektor_pipelines.catalog import label_named, labels_of
from detektor_pipelines.language.labels import Label
from detektor_pipelines.language.windows import DAY
from detektor_pipelines.training.learning.attributions import Attributions, attribute
from detektor_pipelines.training.learning.baselines import last_rate, prior_rate
from detektor_pipelines.training.learning.candidates import CANDIDATES, fit, parameters_digest, predict, predictions_digest
from detektor_pipelines.training.learning.inputs import Examples, examples
from detektor_pipelines.training.learning.metrics import (
    METRICS,
    Bin,
    Estimate,
    auc,
    calibration_error,
    difference,
    draws,
    estimate,
    log_loss,
    reliability,
)
from detektor_pipelines.training.learning.split import Split, split
from detektor_pipelines.training.references import in_force
from detektor_pipelines.training.sets import TrainingSet, training_set

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from typing import Unpack

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings
    from detektor_pipelines.training.model import FeatureModel, TrainedOn
    from detektor_pipelines.training.sets import Progress

    Places = NDArray[np.int64]
    Probabilities = NDArray[np.float64]

MODEL: Final = "model"
PRIOR: Final = "prior rate"
LAST: Final = "last rate"
SEED: Final = 20_260_101
EXPLAINED: Final = 2_000
"""Rows of the test part that SHAP values are made of, evenly spaced."""

Verdict = Literal["better", "no clear difference", "worse"]


@dataclass(frozen=True)
class Experiment:
    """A model, how it came about, and how good it is.

    Attributes:
        found: The training set.
        label: Its definition; None of labels that were given as a table.
        definitions: Of the views that its features are of.
        rows: The set as arrays.
        parts: Which rows served for what.
        seed: Of everything that is drawn.
        chosen: The candidate with the least log loss on the validation part.
        validation: Log loss of each candidate there.
        model: The chosen one, which has learnt from `parts.refit`.
        predicted: By forecaster, the probabilities that it gives to the test part.
        metrics: By forecaster and metric, on the test part.
        gained: By baseline and metric, the model's less the baseline's.
        bins: Whether the model's probabilities can be taken at their word.
        attributions: SHAP values of `explained`, places in the set.

    """

    found: TrainingSet
    label: Label | None
    definitions: tuple[FeatureView, ...]
    rows: Examples
    parts: Split
    seed: int
    chosen: str
    validation: Mapping[str, float]
    model: FeatureModel
    predicted: Mapping[str, Probabilities]
    metrics: Mapping[str, Mapping[str, Estimate]]
    gained: Mapping[str, Mapping[str, Estimate]]
    bins: tuple[Bin, ...]
    attributions: Attributions
    explained: Places

    @property
    def own_view(self) -> FeatureView:
        """The agent's own view where a feature is of it, else the first one that a feature is of."""
        return next((view for view in self.definitions if view.agent == self.found.agent), self.definitions[0])

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 of what was learnt, and of what it predicts for the test part."""
        return {"parameters": parameters_digest(self.model), "predictions": predictions_digest(self.predicted[MODEL])}

    @property
    def strongest(self) -> str:
        """The baseline with the least log loss."""
        return min(self.gained, key=lambda name: self.metrics[name]["log_loss"].value)

    @property
    def verdict(self) -> Verdict:
        """Whether the model's log loss is below the strongest baseline's by more than chance explains (95 %)."""
        gained = self.gained[self.strongest]["log_loss"]
        if gained.high < 0:
            return "better"
        return "worse" if gained.low > 0 else "no clear difference"

    @property
    def importance(self) -> list[tuple[str, str, float]]:
        """Name, description and mean absolute SHAP value (log-odds) of each input, the greatest first."""
        values = self.attributions.importance()
        named = [(each["name"], each["text"], float(value)) for each, value in zip(self.rows.inputs, values, strict=True)]
        return sorted(named, key=lambda each: (-each[2], each[0]))

    def summary(self) -> str:
        """Say in a few plain sentences what was found."""
        metrics, parts, labels = self.metrics[MODEL], self.parts, self.rows.labels
        gained = self.gained[self.strongest]
        first = {
            "better": f"The model is better than the {self.strongest}",
            "worse": f"The model is WORSE than the {self.strongest}: do not use it",
            "no clear difference": f"The model is not clearly better than the {self.strongest}, which needs no feature",
        }[self.verdict]
        share = float(labels[parts.test].mean())
        said = f"log loss {metrics['log_loss']}, {_signed(gained['log_loss'])} against it"
        ranks = (
            f"It ranks a {self.found.label_name} decision above another one in {metrics['auc'].value:.0%} of pairs (AUC {metrics['auc']})"
        )
        judged = f"{share:.0%} of the {len(parts.test):,} judged decisions are {self.found.label_name}"
        lines = [
            f"{first}: {said}. {ranks}; 0.5 is chance. {judged}. Its probabilities are {calibration_error(self.bins):.3f} off on average."
        ]
        top = ", ".join(name for name, _, value in self.importance[:3] if value > 0)
        return " ".join([*lines, f"What moves it most: {top}." if top else "No feature moves it."])


class Asked(TypedDict, total=False):
    """What `training_set` is asked for beside agent and label."""

    features: Sequence[str] | None
    version: str | None
    start: datetime | None
    end: datetime | None
    until: datetime | None
    snapshot: str | None
    progress: Progress | None


def run(
    settings: Settings,
    *,
    agent: str,
    label: str | Label | pa.Table | None = None,
    definitions: Sequence[FeatureView] = (),
    seed: int = SEED,
    **asked: Unpack[Asked],
) -> Experiment:
    """Make a training set and learn from it.

    Args:
        settings: Where the log is.
        agent: Whose decisions.
        label: As `training_set`; by default the first one of the agent's.
        definitions: As `training_set`.
        seed: Of everything that is drawn.
        asked: As `training_set`.

    Raises:
        UserError: No set can be made, its labels are numbers or of one class, or they are too few.

    """
    definition = labels_of(agent)[0] if label is None else label_named(agent, label) if isinstance(label, str) else label
    found = training_set(settings, agent=agent, label=definition, definitions=definitions, **asked)
    return learn(found, in_force(definitions), label=definition if isinstance(definition, Label) else None, seed=seed)


def learn(found: TrainingSet, views: Sequence[FeatureView], *, label: Label | None = None, seed: int = SEED) -> Experiment:
    """Learn from a training set, and judge what was learnt.

    Args:
        found: Of labels that are true or false.
        views: Definitions, among them those that it was made from.
        label: The definition of its label.
        seed: Of everything that is drawn.

    Raises:
        UserError: Its labels are numbers, of one class, or too few.

    """
    used = {each.name for each in found.views}
    definitions = tuple(view for view in views if view.name in used)
    rows = examples(found, definitions)
    embargo = max(view.longest.size + view.longest.hop for view in definitions)
    parts = split(rows.decided_at, rows.known_at, rows.labels, embargo)
    trained_on: tuple[TrainedOn, ...] = tuple(
        {"name": each.name, "version": each.version, "data_hash": each.data_hash} for each in found.views
    )
    validation = _losses(rows, parts, seed)
    chosen = min(validation, key=lambda name: (validation[name], name))
    model = fit(chosen, rows, parts.refit, seed=seed, views=trained_on, agent=found.agent, label=found.label_name)
    predicted = {
        MODEL: predict(model, rows.matrix[parts.test]),
        PRIOR: prior_rate(rows, parts.refit, parts.test),
        LAST: last_rate(rows, parts.refit, parts.test),
    }
    metrics, gained = _judge(rows, parts, predicted, seed)
    explained = parts.test[:: -(-len(parts.test) // EXPLAINED)]
    return Experiment(
        found=found,
        label=label,
        definitions=definitions,
        rows=rows,
        parts=parts,
        seed=seed,
        chosen=chosen,
        validation=validation,
        model=model,
        predicted=predicted,
        metrics=metrics,
        gained=gained,
        bins=reliability(rows.labels[parts.test], predicted[MODEL]),
        attributions=attribute(model, rows.matrix[parts.refit], rows.matrix[explained]),
        explained=explained,
    )


def _signed(each: Estimate) -> str:
    return f"{each.value:+.4f} [{each.low:+.4f}, {each.high:+.4f}]"


def _losses(rows: Examples, parts: Split, seed: int) -> dict[str, float]:
    """Return each candidate's log loss on the validation part."""
    found = {}
    for name in CANDIDATES:
        model = fit(name, rows, parts.train, seed=seed)
        found[name] = log_loss(rows.labels[parts.validation], predict(model, rows.matrix[parts.validation]))
    return found


def _judge(
    rows: Examples, parts: Split, predicted: Mapping[str, Probabilities], seed: int
) -> tuple[dict[str, dict[str, Estimate]], dict[str, dict[str, Estimate]]]:
    """Return the metrics of each forecaster, and by how much the model's differ from each baseline's."""
    labels = rows.labels[parts.test]
    drawn = draws(rows.decided_at[parts.test] // DAY, seed)
    metrics = {
        who: {name: estimate(metric, labels, probabilities, drawn) for name, metric in METRICS.items()}
        for who, probabilities in predicted.items()
    }
    compared = {"log_loss": log_loss, "auc": auc}
    gained = {
        who: {name: difference(metric, labels, predicted[MODEL], predicted[who], drawn) for name, metric in compared.items()}
        for who in predicted
        if who != MODEL
    }
    return metrics, gained
