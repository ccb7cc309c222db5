"""The models that are tried, and digests by which two of them are the same.

    logistic regression    medians in the place of nulls, a column that says where one was, scaled: it shows what goes up with what
    boosted trees          shallow ones, nulls as they are: what one feature means may hang on another

Everything is computed by one thread from logged seeds, so that the same rows give the same model to the bit on one machine.
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines.training.model import FeatureModel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from detektor_pipelines.training.learning.inputs import Examples
    from detektor_pipelines.training.model import TrainedOn

LOGISTIC: Final = "logistic_regression"
BOOSTING: Final = "boosted_trees"


@contextmanager
def one_thread() -> Iterator[None]:
    """Let linear algebra and trees add up in one order: sums of several threads differ in the last bits."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield


def _logistic(seed: int) -> Any:
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    return Pipeline(
        [
            ("impute", SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)),
            ("scale", StandardScaler()),
            ("model", LogisticRegression(C=0.1, max_iter=1_000, random_state=seed)),
        ]
    )


def _boosting(seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        max_iter=80,
        learning_rate=0.05,
        max_leaf_nodes=8,
        min_samples_leaf=20,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=seed,
    )


CANDIDATES: Final[Mapping[str, Callable[[int], Any]]] = {LOGISTIC: _logistic, BOOSTING: _boosting}


def fit(
    name: str, found: Examples, rows: NDArray[np.int64], *, seed: int, views: tuple[TrainedOn, ...] = (), agent: str = "", label: str = ""
) -> FeatureModel:
    """Return a candidate that has learnt from some rows."""
    model = FeatureModel(CANDIDATES[name](seed), [dict(each) for each in found.inputs], [dict(each) for each in views], agent, label)  # type: ignore[misc]
    with one_thread():
        return model.fit(found.matrix[rows], found.labels[rows])


def predict(model: FeatureModel, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probability of true for each row."""
    with one_thread():
        found: NDArray[np.float64] = model.predict_proba(matrix)[:, 1]
    return found


def parameters_digest(model: FeatureModel) -> str:
    """SHA-256 (hex) over all that the model has learnt."""
    digest = hashlib.sha256()
    for name, part in _learnt(model.estimator):
        digest.update(f"{name}\x1f{part.dtype.str}\x1f{part.shape}\x1e".encode())
        digest.update(part.tobytes())
    return digest.hexdigest()


def predictions_digest(probabilities: NDArray[np.float64]) -> str:
    """SHA-256 (hex) over probabilities, to the bit."""
    return hashlib.sha256(probabilities.astype("<f8").tobytes()).hexdigest()


def _learnt(estimator: Any) -> Iterator[tuple[str, Any]]:
    import numpy as np

    if hasattr(estimator, "steps"):
        imputer, scaler, model = (step for _, step in estimator.steps)
        yield "medians", imputer.statistics_
        yield "indicators", imputer.indicator_.features_.astype(np.int64)
        yield "means", scaler.mean_
        yield "scales", scaler.scale_
        yield "coefficients", model.coef_
        yield "intercept", model.intercept_
        return
    yield "base", np.asarray(estimator._baseline_prediction)  # noqa: SLF001  scikit-learn gives no other access
    for number, (tree,) in enumerate(estimator._predictors):  # noqa: SLF001
        for field in tree.nodes.dtype.names:  # field by field: what lies between them is not set
            yield f"{number} {field}", np.ascontiguousarray(tree.nodes[field])
