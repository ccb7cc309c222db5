"""SHAP values: how much each feature moved each prediction away from the mean one, in log-odds, under the features' own descriptions.

Of a logistic regression they are the coefficients times the distance from the learnt rows' mean (Lundberg & Lee 2017, linear SHAP, features
taken as independent); a feature's missing indicator counts to the feature. Of trees they come from shap's TreeExplainer. Both are held to
base + sum = decision_function on every row.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines.training.learning.candidates import one_thread

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from detektor_pipelines.training.model import FeatureModel

    Matrix = NDArray[np.float64]

_TOLERANCE: Final = 1e-6


class AttributionError(Exception):
    """SHAP values do not add up to what the model says: they explain another one."""


@dataclass(frozen=True)
class Attributions:
    """`shap`: rows × inputs, log-odds; `base`: the log-odds that they start from."""

    shap: Matrix
    base: float

    def importance(self) -> NDArray[np.float64]:
        """Return the mean absolute value of each input."""
        import numpy as np

        found: NDArray[np.float64] = np.abs(self.shap).mean(axis=0)
        return found


def attribute(model: FeatureModel, learnt: Matrix, rows: Matrix) -> Attributions:
    """Return SHAP values of some rows.

    Args:
        model: Fitted.
        learnt: What it learnt from, whose mean prediction a logistic regression's values start from.
        rows: To be explained.

    Raises:
        AttributionError: The values do not add up to the model's decision function.

    """
    import numpy as np

    with one_thread():
        given = model.prepared(rows)
        linear = hasattr(model.estimator, "steps")
        found = _linear(model.estimator, model.prepared(learnt), given) if linear else _trees(model.estimator, given)
        said = model.decision_function(rows)
    apart = np.abs(found.base + found.shap.sum(axis=1) - said).max() if len(rows) else 0.0
    if not apart <= _TOLERANCE:
        message = f"SHAP values and decision function lie up to {apart:g} apart"
        raise AttributionError(message)
    return found


def _linear(pipeline: Any, learnt: Matrix, rows: Matrix) -> Attributions:
    import numpy as np

    before, model = pipeline[:-1], pipeline[-1]
    center = before.transform(learnt).mean(axis=0)
    own = model.coef_[0] * (before.transform(rows) - center)
    inputs = rows.shape[1]
    values = own[:, :inputs].copy()
    for place, feature in enumerate(pipeline[0].indicator_.features_):
        values[:, feature] += own[:, inputs + place]
    return Attributions(values, float(np.dot(model.coef_[0], center) + model.intercept_[0]))


def _trees(estimator: Any, rows: Matrix) -> Attributions:
    import numpy as np

    with warnings.catch_warnings():  # shap's import uses what matplotlib is about to drop
        warnings.simplefilter("ignore")
        import shap

        explainer = shap.TreeExplainer(estimator)
        values = np.asarray(explainer.shap_values(rows))
    return Attributions(values, float(np.ravel(explainer.expected_value)[-1]))
