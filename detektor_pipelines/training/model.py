"""A trained model that fetches its own features: what MLflow keeps, and `mlflow.sklearn.load_model` gives back.

    model = mlflow.sklearn.load_model("models:/code-reviewer@production")
    model.get_features_for_prediction({"agent_id": "code-reviewer@shop"})     as they are served now
    model.predict_proba([{"agent_id": "code-reviewer@shop"}])                 of agents, or of rows of features

What it was trained on stands in it as plain data, so that it needs no catalogue: which feature of which view's row each input is, and
version and hash of each view. Before it takes features from the server it asks which definitions are loaded there, and refuses others.

Belongs here: what runs where a model is used. Importing this costs little beside scikit-learn: no pandas, MLflow or Feast.
"""

from __future__ import annotations

import logging
import os
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypedDict

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from detektor_pipelines import clock
from detektor_pipelines.client.connections import CA, TOKEN, FeatureServerError, connections, default_url
from detektor_pipelines.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from detektor_pipelines.client.connections import Connections

    Matrix = NDArray[np.float64]

ENTITY: Final = "agent_id"
DECIDED_AT: Final = "decided_at"
TRUSTED: Final = "detektor_pipelines.training.model.FeatureModel"
"""This class's name for skops, which loads no class that nobody has named."""

_SINCE: Final = "seconds_since_"
_PATH: Final = "/get-online-features"
_TIMEOUT_S: Final = 5.0
_PATIENCE_S: Final = 2.0
_CHECKED_S: Final = 5.0
"""For how long the server is taken to have the definitions that it had."""
_NO_ROW: Final = "NOT_FOUND"
_OLD: Final = "OUTSIDE_MAX_AGE"
_HALF: Final = 0.5

_log: Final = logging.getLogger(__name__)


class Input(TypedDict):
    """One input of a model.

    `column`: its name in a training set; `name`: the input's own; `view`, `feature`: what it is; `agent`: whose; `roll_up`: of the row over
    all projects; `instant`: the input is how long ago that was; `text`: the feature's own description.
    """

    column: str
    name: str
    view: str
    feature: str
    agent: str
    roll_up: bool
    instant: bool
    text: str


class TrainedOn(TypedDict):
    """A view as the model learnt from it."""

    name: str
    version: str
    data_hash: str


class OtherDefinitionsError(UserError):
    """The feature server serves other numbers than the model was trained on."""


def input_name(column: str, *, instant: bool) -> str:
    """Return what an input is called: the column, and of an instant `seconds_since_…`, as a model learns nothing from a date."""
    return f"{_SINCE}{column}" if instant else column


class FeatureModel(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is not typed
    """A classifier over features, and where they come from.

    Args:
        estimator: What learns: a scikit-learn classifier or pipeline that takes a matrix with NaN.
        inputs: The matrix's columns, in order.
        views: The views that they are of.
        agent: Whose decisions it predicts.
        label: What it predicts of them.

    """

    def __init__(
        self,
        estimator: Any = None,
        inputs: Sequence[Input] = (),
        views: Sequence[TrainedOn] = (),
        agent: str = "",
        label: str = "",
    ) -> None:
        self.estimator = estimator
        self.inputs = inputs
        self.views = views
        self.agent = agent
        self.label = label

    # scikit-learn's interface ----------------------------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any) -> FeatureModel:  # noqa: N803  scikit-learn's name
        """Learn `y` (true and false) from rows of features."""
        matrix = self._matrix(X)
        self.empty_ = np.flatnonzero(np.isnan(matrix).all(axis=0))
        self.estimator.fit(self.prepared(matrix), np.asarray(y, dtype=bool))
        self.classes_ = np.asarray(self.estimator.classes_)
        self.n_features_in_ = len(self.inputs)
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "classes_")

    def predict(self, X: Any) -> NDArray[np.bool_]:  # noqa: N803
        """Return what is more probable for each row: true or false.

        Args:
            X: `agent_id`s (a list of texts, of dicts, or a frame with that column): their features are fetched. Or rows of features: a
                frame, a list of dicts, or a matrix in the order of `inputs`. An instant may be given as it is served (a datetime, with
                `decided_at` or now as the moment) or as `seconds_since_…`.

        Raises:
            OtherDefinitionsError: The server has loaded others than the model was trained on.
            FeatureServerError: No features came.
            UserError: The rows are not such, an input is missing, or nothing was ever published of an agent_id.

        """
        found: NDArray[np.bool_] = self.predict_proba(X)[:, 1] >= _HALF
        return found

    def predict_proba(self, X: Any) -> Matrix:  # noqa: N803
        """Return the probabilities of false and true, a row each; takes and raises what `predict` does."""
        matrix = self._matrix(X)
        if not len(matrix):
            return np.empty((0, 2))
        found: Matrix = self.estimator.predict_proba(self.prepared(matrix))
        return found

    def decision_function(self, X: Any) -> NDArray[np.float64]:  # noqa: N803
        """Return the log-odds of true; takes and raises what `predict` does."""
        found: NDArray[np.float64] = self.estimator.decision_function(self.prepared(self._matrix(X)))
        return found

    def prepared(self, matrix: Matrix) -> Matrix:
        """Return the matrix that the estimator gets: 0 in the columns that had no value when it learnt, which trees cannot take."""
        if not len(self.empty_):
            return matrix
        made = matrix.copy()
        made[:, self.empty_] = 0
        return made

    # Features ----------------------------------------------------------------------------------------------------------------------

    def get_features_for_prediction(self, entity: Any) -> Any:
        """Return the model's features as they are served now, by their names in the training set; an instant is a datetime, null is None.

        Args:
            entity: `{"agent_id": "code-reviewer"}` gives one dict; a list of those, `{"agent_id": [...]}` or a frame gives a list of dicts.

        Raises:
            OtherDefinitionsError, FeatureServerError, UserError: As `predict`; an agent_id of which nothing was published gives only None.

        """
        one = isinstance(entity, dict) and isinstance(entity.get(ENTITY), str)
        found = [features for features, _ in self._served(_agent_ids(entity))]
        return found[0] if one else found

    def check_served(self) -> None:
        """Ask the server which definitions it has loaded.

        Raises:
            OtherDefinitionsError: Others than the model was trained on, of a view that it uses.
            FeatureServerError: It does not answer.

        """
        server = self._server()
        loaded = server.loaded(token=_token(), timeout=_TIMEOUT_S, patience=_PATIENCE_S)
        differing = [words for each in self.views if (words := _differs(each, loaded.get(each["name"])))]
        if differing:
            raise OtherDefinitionsError(
                f"The model was trained on other features than are served: {'; '.join(differing)}.",
                where=server.url,
                fix=f"Train it on the present ones: `detektor experiment --agent {self.agent} --label {self.label} --promote`. "
                "Or serve the earlier ones again: `detektor rollback VIEW --to VERSION`.",
            )

    def _check_served(self) -> None:
        url = default_url()
        at, asked = self.__dict__.get("_checked", (float("-inf"), None))
        if asked == url and time.monotonic() - at < _CHECKED_S:
            return
        self.check_served()
        self._checked = (time.monotonic(), url)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name != "_checked"}

    def _server(self) -> Connections:
        return connections(default_url(), os.environ.get(CA) or None)

    def _served(self, agent_ids: Sequence[str]) -> list[tuple[dict[str, Any], set[str]]]:
        """Return of each agent_id its features, and the statuses of the rows that they stand in."""
        strangers = sorted({each for each in agent_ids if each.partition("@")[0] != self.agent})
        if strangers:
            raise UserError(
                f"The model predicts decisions of {self.agent}, not of {', '.join(strangers[:3])}.",
                where=ENTITY,
                fix=f"Give {self.agent} or {self.agent}@PROJECT.",
            )
        self._check_served()
        found: list[tuple[dict[str, Any], set[str]]] = [({}, set()) for _ in agent_ids]
        if not agent_ids:
            return []
        for source in dict.fromkeys((each["view"], each["agent"], each["roll_up"]) for each in self.inputs):
            of_source = [each for each in self.inputs if (each["view"], each["agent"], each["roll_up"]) == source]
            self._read(of_source, agent_ids, found)
        order = [each["column"] for each in self.inputs]
        return [({name: features[name] for name in order}, statuses) for features, statuses in found]

    def _read(self, inputs: Sequence[Input], agent_ids: Sequence[str], found: list[tuple[dict[str, Any], set[str]]]) -> None:
        """Add the features of one view's rows: the same project's, or those over all projects."""
        agent, roll_up = inputs[0]["agent"], inputs[0]["roll_up"]
        rows = [_row_of(agent, each, roll_up=roll_up) for each in agent_ids]
        distinct = list(dict.fromkeys(rows))
        content = {"features": [f"{each['view']}:{each['feature']}" for each in inputs], "entities": {ENTITY: distinct}}
        server = self._server()
        answer = server.post(_PATH, content, token=_token(), timeout=_TIMEOUT_S, patience=_PATIENCE_S)
        try:
            columns = dict(zip(answer.content["metadata"]["feature_names"], answer.content["results"], strict=True))
            places = {row: place for place, row in enumerate(columns[ENTITY]["values"])}
            for (features, statuses), row in zip(found, rows, strict=True):
                for each in inputs:
                    column = columns[each["feature"]]
                    features[each["column"]] = _value(column["values"][places[row]], instant=each["instant"])
                    statuses.add(column["statuses"][places[row]])
        except (KeyError, IndexError, TypeError, ValueError) as error:
            what = f"The answer is not one of Feast's HTTP API ({error!r})."
            raise FeatureServerError(what, where=server.url, fix="Correct DETEKTOR_SERVE_URL.") from error

    # Rows --------------------------------------------------------------------------------------------------------------------------

    def _matrix(self, rows: Any) -> Matrix:
        """Return rows of features as the matrix that the estimator takes."""
        if isinstance(rows, np.ndarray) and rows.dtype.kind in "iufb":
            return self._checked_matrix(rows)
        table = _table(rows)
        inputs = {each["name"] for each in self.inputs} | {each["column"] for each in self.inputs}
        if not inputs & table.keys():
            if ENTITY in table:
                return self._of_agents(table)
            raise UserError(
                f"The rows have neither {ENTITY} nor features; they have {', '.join(map(str, table)) or 'nothing'}.",
                fix=f"Give {ENTITY}, or {', '.join(each['name'] for each in self.inputs)}.",
            )
        missing = [each["name"] for each in self.inputs if each["name"] not in table and each["column"] not in table]
        if missing:
            raise UserError(
                f"The rows have no {', '.join(missing)}.", fix=f"Give every input, null where nothing is known, or {ENTITY} alone."
            )
        return np.column_stack([self._column(each, table) for each in self.inputs])

    def _checked_matrix(self, matrix: Any) -> Matrix:
        if matrix.ndim != 2 or matrix.shape[1] != len(self.inputs):  # noqa: PLR2004  rows and columns
            names = ", ".join(each["name"] for each in self.inputs)
            raise UserError(
                f"A matrix of shape {matrix.shape} has not the {len(self.inputs)} inputs.", fix=f"Give, in this order, {names}."
            )
        made: Matrix = matrix.astype(np.float64, copy=False)
        return made

    def _of_agents(self, table: Mapping[str, Any]) -> Matrix:
        agent_ids = _texts(table[ENTITY])
        if not agent_ids:
            return np.empty((0, len(self.inputs)))
        served = self._served(agent_ids)
        nothing = sorted({agent_id for agent_id, (_, statuses) in zip(agent_ids, served, strict=True) if statuses == {_NO_ROW}})
        if nothing:
            raise UserError(
                f"Nothing was ever published of {', '.join(nothing[:3])}.",
                where=ENTITY,
                fix="Ask about an agent that has worked, or about the agent over all projects, without @.",
            )
        old = [agent_id for agent_id, (_, statuses) in zip(agent_ids, served, strict=True) if _OLD in statuses]
        if old:
            _log.warning("features of %s are older than their view allows (%s): is `detektor stream` running?", ", ".join(old[:3]), _OLD)
        rows = _table([features for features, _ in served])
        return np.column_stack([self._column(each, rows) for each in self.inputs])

    def _column(self, each: Input, table: Mapping[str, Any]) -> Matrix:
        if each["name"] in table:
            return _numbers(table[each["name"]], each["name"])
        instants = _numbers(table[each["column"]], each["column"])
        moments = _numbers(table[DECIDED_AT], DECIDED_AT) if DECIDED_AT in table else np.full(len(instants), clock.now_us() / 1e6)
        found: Matrix = moments - np.floor(instants)
        return found


def _row_of(agent: str, asked: str, *, roll_up: bool) -> str:
    _, at, project = asked.partition("@")
    return agent if roll_up or not at else f"{agent}@{project}"


def _differs(trained: TrainedOn, served: Mapping[str, str] | None) -> str:
    """Say how what is served differs from what was trained on; nothing when it does not."""
    was = f"{trained['name']} {trained['version']} ({trained['data_hash'][:12]}) was trained on"
    if served is None:
        return f"{was}, and is not served"
    if trained["data_hash"].startswith(served["hash"]) and trained["version"] == served["version"]:
        return ""
    return f"{was}, {served['version']} ({served['hash']}) is served"


def _token() -> str | None:
    return os.environ.get(TOKEN, "").strip() or None


def _value(value: Any, *, instant: bool) -> Any:
    return clock.from_us(int(value) * 1_000_000) if instant and value is not None else value


def _agent_ids(entity: Any) -> list[str]:
    table = _table(entity)
    if ENTITY not in table:
        raise UserError(f"No {ENTITY} is given.", fix=f'Give {{"{ENTITY}": "code-reviewer"}}.')
    return _texts(table[ENTITY])


def _texts(values: Sequence[Any]) -> list[str]:
    wrong = next((each for each in values if not isinstance(each, str)), None)
    if wrong is not None or any(each is None for each in values):
        raise UserError(f"{wrong!r} is no {ENTITY}.", where=ENTITY, fix="Give texts such as code-reviewer@shop.")
    return list(values)


def _table(rows: Any) -> dict[str, Any]:
    """Return rows of whatever form as columns."""
    if hasattr(rows, "columns") and hasattr(rows, "loc"):  # a data frame, without importing pandas
        return {str(name): rows[name].array if rows[name].dtype.kind not in "iufb" else rows[name].to_numpy() for name in rows.columns}
    if isinstance(rows, str):
        return {ENTITY: [rows]}
    if isinstance(rows, dict):
        many = [value for value in rows.values() if isinstance(value, list | tuple | np.ndarray)]
        return dict(rows) if many else {name: [value] for name, value in rows.items()}
    listed = list(rows)
    if all(isinstance(each, str) for each in listed):
        return {ENTITY: listed} if listed else {ENTITY: []}
    if not all(isinstance(each, dict) for each in listed):
        raise UserError(
            "These are no rows.", fix=f"Give agent_ids, dicts with {ENTITY} or with features, a data frame, or a matrix of numbers."
        )
    names = list(dict.fromkeys(name for each in listed for name in each))
    ragged = next((name for name in names for each in listed if name not in each), None)
    if ragged is not None:
        raise UserError(f"Some rows have {ragged}, others have not.", fix="Give every row the same names, null where nothing is known.")
    return {name: [each[name] for each in listed] for name in names}


def _numbers(values: Any, name: str) -> Matrix:
    """Return a column as float64, NaN where there is none; instants as seconds since 1970."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "iufb":
        return values.astype(np.float64)
    return np.array([_number(each, name) for each in values], dtype=np.float64)


def _number(value: Any, name: str) -> float:
    if value is None or type(value).__name__ in {"NAType", "NaTType"}:
        return float("nan")
    try:
        if isinstance(value, datetime):
            return clock.to_us(value) / 1e6
        if not isinstance(value, str):
            return float(value)
    except (TypeError, ValueError):
        pass
    raise UserError(f"{value!r} is no number.", where=name, fix="Give a number, null, or for an instant a datetime with a time zone.")
