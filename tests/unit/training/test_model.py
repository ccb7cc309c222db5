"""A model that fetches its features, against a server in this process that answers as the feature server does."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_classifier
from sklearn.linear_model import LogisticRegression

from detektor_pipelines.errors import UserError
from detektor_pipelines.training import model as module
from detektor_pipelines.training.model import FeatureModel, OtherDefinitionsError

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = "2026-03-05T10:00:00Z"
NOW_S = datetime(2026, 3, 5, 10, tzinfo=UTC).timestamp()
HASHES = {"code_review_features": "a" * 64, "coding_features": "b" * 64}


def an_input(
    name: str, view: str, agent: str, *, roll_up: bool = False, instant: bool = False, feature: str | None = None
) -> dict[str, Any]:
    shown = f"seconds_since_{name}" if instant else name
    return {
        "column": name,
        "name": shown,
        "view": view,
        "feature": feature or name,
        "agent": agent,
        "roll_up": roll_up,
        "instant": instant,
        "text": name,
    }


INPUTS = [
    an_input("rejection_rate", "code_review_features", "code-reviewer"),
    an_input("last_rejection_at", "code_review_features", "code-reviewer", instant=True),
    an_input("rework_rate", "coding_features", "detektor-coder"),
    an_input("coding_features_all__rework_rate", "coding_features", "detektor-coder", roll_up=True, feature="rework_rate"),
]
VIEWS = [{"name": name, "version": "1.1.0", "data_hash": digest} for name, digest in HASHES.items()]
NAMES = [each["name"] for each in INPUTS]


class FakeServer(ThreadingHTTPServer):
    """Answers with the values of `rows` by (view, feature, agent_id); what is not there is NOT_FOUND."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.rows: dict[tuple[str, str, str], Any] = {}
        self.views = {name: {"version": "1.1.0", "hash": digest[:12]} for name, digest in HASHES.items()}
        self.asked: list[str] = []
        self.status = "PRESENT"


class _Handler(BaseHTTPRequestHandler):
    server: FakeServer

    def log_message(self, *words: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.server.asked.append("health")
        self._say({"status": "OK", "definitions": {"views": self.server.views}})

    def do_POST(self) -> None:
        self.server.asked.append("features")
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        agent_ids = question["entities"]["agent_id"]
        results = [{"values": agent_ids, "statuses": ["PRESENT"] * len(agent_ids)}]
        for reference in question["features"]:
            view, feature = reference.split(":")
            keys = [(view, feature, agent_id) for agent_id in agent_ids]
            known = [any(row[0] == view and row[2] == key[2] for row in self.server.rows) for key in keys]
            statuses = [self.server.status if each else "NOT_FOUND" for each in known]
            results.append({"values": [self.server.rows.get(key) for key in keys], "statuses": statuses})
        names = ["agent_id", *(reference.split(":")[1] for reference in question["features"])]
        self._say({"metadata": {"feature_names": names}, "results": results})

    def _say(self, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def answering() -> Iterator[FakeServer]:
    with FakeServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
            module.connections(f"http://127.0.0.1:{server.server_address[1]}", None).close()


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    with answering() as server:
        monkeypatch.setenv("DETEKTOR_SERVE_URL", f"http://127.0.0.1:{server.server_address[1]}")
        monkeypatch.setenv("DETEKTOR_NOW", NOW)
        for project, rate in (("shop", 0.25), ("bank", 0.5)):
            server.rows["code_review_features", "rejection_rate", f"code-reviewer@{project}"] = rate
            server.rows["code_review_features", "last_rejection_at", f"code-reviewer@{project}"] = int(NOW_S) - 60
            server.rows["coding_features", "rework_rate", f"detektor-coder@{project}"] = rate * 2
        server.rows["coding_features", "rework_rate", "detektor-coder"] = 0.75
        yield server


class Echo(LogisticRegression):
    """Says of each row what it was given."""

    def predict_proba(self, X: Any) -> Any:  # noqa: N803
        self.seen_ = np.array(X)
        return super().predict_proba(np.nan_to_num(X))


@pytest.fixture
def model() -> FeatureModel:
    drawn = np.random.default_rng(1)
    rows = drawn.normal(size=(50, 4))
    return FeatureModel(Echo(), INPUTS, VIEWS, "code-reviewer", "rejected").fit(rows, rows[:, 0] > 0)


def test_it_is_a_classifier_of_scikit_learn(model: FeatureModel) -> None:
    assert is_classifier(model)
    assert clone(model).get_params()["label"] == "rejected"
    assert list(model.classes_) == [False, True]


def test_features_are_those_of_the_same_project_and_of_the_roll_up(model: FeatureModel, served: FakeServer) -> None:
    found = model.get_features_for_prediction({"agent_id": "code-reviewer@shop"})
    last = datetime.fromtimestamp(NOW_S, UTC) - timedelta(minutes=1)
    assert found == {"rejection_rate": 0.25, "last_rejection_at": last, "rework_rate": 0.5, "coding_features_all__rework_rate": 0.75}


def test_several_agents_are_one_request_a_source(model: FeatureModel, served: FakeServer) -> None:
    found = model.get_features_for_prediction([{"agent_id": "code-reviewer@bank"}, {"agent_id": "code-reviewer@shop"}] * 2)
    assert [each["rejection_rate"] for each in found] == [0.5, 0.25, 0.5, 0.25]
    assert served.asked == ["health", "features", "features", "features"]


@pytest.mark.parametrize(
    "rows",
    [
        ["code-reviewer@shop"],
        [{"agent_id": "code-reviewer@shop"}],
        {"agent_id": "code-reviewer@shop"},
        pd.DataFrame({"agent_id": ["code-reviewer@shop"]}),
    ],
    ids=["texts", "dicts", "dict", "frame"],
)
def test_agents_are_predicted_from_the_served_features(model: FeatureModel, served: FakeServer, rows: Any) -> None:
    said = model.predict_proba(rows)
    assert said.shape == (1, 2)
    assert model.estimator.seen_.tolist() == [[0.25, 60.0, 0.5, 0.75]]
    assert model.predict(rows).tolist() == [bool(said[0, 1] >= 0.5)]


def test_features_that_were_fetched_may_be_given_back(model: FeatureModel, served: FakeServer) -> None:
    found = model.get_features_for_prediction({"agent_id": "code-reviewer@shop"})
    np.testing.assert_array_equal(model.predict_proba([found]), model.predict_proba(["code-reviewer@shop"]))


def test_rows_of_features_need_no_server(model: FeatureModel) -> None:
    frame = pd.DataFrame([[0.25, 60, None, pd.NA]], columns=NAMES, dtype=object)
    model.predict_proba(frame)
    np.testing.assert_array_equal(model.estimator.seen_, [[0.25, 60, np.nan, np.nan]])
    decided = pd.Timestamp(NOW)
    served_form = {"rejection_rate": 1, "last_rejection_at": decided - pd.Timedelta(seconds=90), "rework_rate": None}
    model.predict_proba([served_form | {"coding_features_all__rework_rate": 2.5, "decided_at": decided}])
    np.testing.assert_array_equal(model.estimator.seen_, [[1, 90, np.nan, 2.5]])


def test_an_order_of_columns_makes_no_difference_and_others_are_passed_over(model: FeatureModel) -> None:
    frame = pd.DataFrame([[4.0, 3.0, 2.0, 1.0, "x"]], columns=[*reversed(NAMES), "more"])
    model.predict_proba(frame)
    assert model.estimator.seen_.tolist() == [[1, 2, 3, 4]]


def test_no_rows_are_no_predictions(model: FeatureModel, served: FakeServer) -> None:
    assert model.predict([]).shape == (0,)
    assert model.get_features_for_prediction([]) == []
    assert model.predict_proba(pd.DataFrame({"agent_id": []})).shape == (0, 2)


def test_other_definitions_are_refused(model: FeatureModel, served: FakeServer) -> None:
    served.views["coding_features"] = {"version": "2.0.0", "hash": "c" * 12}
    with pytest.raises(OtherDefinitionsError) as caught:
        model.predict(["code-reviewer@shop"])
    assert "coding_features 1.1.0 (bbbbbbbbbbbb) was trained on, 2.0.0 (cccccccccccc) is served" in caught.value.what
    assert "detektor experiment --agent code-reviewer --label rejected --promote" in str(caught.value.fix)
    assert served.asked == ["health"], "no feature of another definition was asked for"
    del served.views["coding_features"]
    with pytest.raises(OtherDefinitionsError, match="and is not served"):
        model.get_features_for_prediction({"agent_id": "code-reviewer@shop"})


def test_the_same_numbers_under_another_version_are_refused_too(model: FeatureModel, served: FakeServer) -> None:
    served.views["coding_features"] = {"version": "1.1.1", "hash": "b" * 12}
    with pytest.raises(OtherDefinitionsError, match=r"1\.1\.1"):
        model.check_served()


def test_definitions_are_asked_for_again_after_a_while(model: FeatureModel, served: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    model.predict(["code-reviewer@shop"])
    served.views["coding_features"] = {"version": "2.0.0", "hash": "c" * 12}
    model.predict(["code-reviewer@shop"])
    monkeypatch.setattr(module, "_CHECKED_S", 0)
    with pytest.raises(OtherDefinitionsError):
        model.predict(["code-reviewer@shop"])


def test_a_server_that_is_down_is_said_to_be(model: FeatureModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETEKTOR_SERVE_URL", "http://127.0.0.1:1")
    monkeypatch.setattr(module, "_PATIENCE_S", 0)
    with pytest.raises(UserError, match="cannot be reached"):
        model.predict(["code-reviewer@shop"])


def test_an_agent_that_never_worked_is_refused_but_its_features_are_none(model: FeatureModel, served: FakeServer) -> None:
    del served.rows["coding_features", "rework_rate", "detektor-coder"]
    with pytest.raises(UserError, match="Nothing was ever published of code-reviewer@nowhere"):
        model.predict(["code-reviewer@shop", "code-reviewer@nowhere"])
    assert set(model.get_features_for_prediction({"agent_id": "code-reviewer@nowhere"}).values()) == {None}


def test_old_features_are_warned_of(model: FeatureModel, served: FakeServer, caplog: pytest.LogCaptureFixture) -> None:
    served.status = "OUTSIDE_MAX_AGE"
    model.predict(["code-reviewer@shop"])
    assert "older than their view allows" in caplog.text


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["detektor-coder@shop"], "not of detektor-coder@shop"),
        ([{"agent": "code-reviewer"}], "neither agent_id nor features; they have agent"),
        ([{"agent_id": None}], "None is no agent_id"),
        ([3], "These are no rows"),
        ([{"rejection_rate": 1}], "no seconds_since_last_rejection_at, rework_rate"),
        ([dict.fromkeys(NAMES, "much")], "'much' is no number"),
        ([dict.fromkeys(NAMES, 1.0), {"rejection_rate": 1}], "Some rows have"),
        (np.zeros((2, 3)), "has not the 4 inputs"),
        ([{"rejection_rate": 1, "last_rejection_at": datetime(2026, 1, 1), "rework_rate": 1, NAMES[3]: 1}], "is no number"),  # noqa: DTZ001
    ],
)
def test_what_cannot_be_predicted_is_said(model: FeatureModel, served: FakeServer, rows: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        model.predict(rows)


def test_what_it_asked_the_server_is_not_kept_with_it(model: FeatureModel, served: FakeServer) -> None:
    model.predict(["code-reviewer@shop"])
    assert "_checked" in model.__dict__
    assert "_checked" not in model.__getstate__()
