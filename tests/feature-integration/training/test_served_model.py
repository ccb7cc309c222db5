"""A registered model in use: loaded by MLflow's own call beside a real feature server, and served over HTTP by `mlflow models serve`."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from support.mlflow_server import stop_group
from support.serving_client import Server, running
from support.training_sets import training_set_of

from detektor_pipelines import clock
from detektor_pipelines.acceptance import models
from detektor_pipelines.acceptance import run as acceptance
from detektor_pipelines.catalog import VIEWS, view_named
from detektor_pipelines.client import AgentFeatures
from detektor_pipelines.settings import Settings
from detektor_pipelines.stack import ports
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.training import tracking
from detektor_pipelines.training.experiment import Experiment, learn
from detektor_pipelines.training.learning.candidates import CANDIDATES, LOGISTIC, fit, parameters_digest
from detektor_pipelines.training.tracking import client, log

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detektor_pipelines.stack.servers import embedded

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # mlflow and matplotlib warn of themselves

VIEW, CODER = view_named("code-reviewer"), view_named("detektor-coder")
REFERENCES = (VIEW.name, f"{CODER.name}:rework_rate", f"{CODER.name}@all:weekly_implementations_count")
AGENT = "code-reviewer@a"
START_S = 180


class Stranger(BaseEstimator):
    pass


@pytest.fixture(scope="module")
def made() -> Experiment:
    return learn(training_set_of(references=REFERENCES), VIEWS)


@pytest.fixture(scope="module")
def registered(made: Experiment, mlflow_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = Settings(home=tmp_path_factory.mktemp("home"), mlflow_tracking_uri=mlflow_uri)
    assert log(settings, made).production
    return settings


@pytest.fixture(scope="module")
def feature_server(redis_server: embedded.RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a feature server; what it reads is `published`."""
    directory = tmp_path_factory.mktemp("serve")
    settings = Settings(home=directory / "home", external_redis_url=redis_server.url())
    environment = {"DETEKTOR_HOME": str(settings.home), "DETEKTOR_EXTERNAL_REDIS_URL": redis_server.url()}
    with running(directory, "serve", environment=environment) as server:
        yield server


@pytest.fixture(autouse=True)
def published(redis_db: Settings) -> None:
    """Publish some rows to an empty Redis before each test: others of the same process write to it, and empty it, between two of these."""
    settings = redis_db
    now = clock.now_us()
    with online.redis_client(settings) as redis:
        for view, agents in ((VIEW, (AGENT, "code-reviewer")), (CODER, ("detektor-coder@a", "detektor-coder"))):
            rows = [
                online.OnlineRow(agent, now, now, now - 3_600_000_000, "1:1:", _values(view, number)) for number, agent in enumerate(agents)
            ]
            online.write_values(redis, settings.project, view, rows, valid_through_us=now)


@pytest.fixture
def served(feature_server: Server, monkeypatch: pytest.MonkeyPatch, isolated_environment: Path) -> Server:
    del isolated_environment
    monkeypatch.setenv("DETEKTOR_SERVE_URL", f"http://127.0.0.1:{feature_server.port}")
    return feature_server


@pytest.fixture(scope="module")
def loaded(registered: Settings) -> Any:
    with client(registered) as mlflow:
        return mlflow.sklearn.load_model("models:/code-reviewer@production")


@pytest.fixture(scope="module")
def scoring(registered: Settings, feature_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Run `mlflow models serve`; gives its port."""
    port, log_file = ports.free_port(), tmp_path_factory.mktemp("scoring") / "log"
    words = ["models", "serve", "-m", "models:/code-reviewer@production", "--env-manager", "local", "-h", "127.0.0.1", "-p", str(port)]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {
        "PATH": path,
        "MLFLOW_TRACKING_URI": registered.mlflow_uri,
        "DETEKTOR_SERVE_URL": f"http://127.0.0.1:{feature_server.port}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    with log_file.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *words], env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        deadline = time.monotonic() + START_S
        while not ports.http_answers(port, "/ping"):
            assert process.poll() is None, log_file.read_text()[-3000:]
            assert time.monotonic() < deadline, log_file.read_text()[-3000:]
            time.sleep(0.3)
        yield port
    finally:
        stop_group(process)


def _values(view: Any, number: int) -> dict[str, Any]:
    kinds = {"int64": 3 + number, "float64": 0.25, "instant": clock.now_us() - 90_000_000}
    return {each.name: kinds[each.value_type] for each in view.features} | ({"avg_issues_per_review": None} if view is VIEW else {})


def invoke(port: int, content: Any) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", "/invocations", json.dumps(content), {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def row(made: Experiment, **other: Any) -> dict[str, Any]:
    values = dict(zip([each["name"] for each in made.rows.inputs], made.rows.matrix[0].tolist(), strict=True))
    return {name: None if value != value else value for name, value in values.items()} | other  # noqa: PLR0124  NaN


def test_it_loads_as_what_was_logged(made: Experiment, loaded: Any) -> None:
    assert type(loaded) is type(made.model)
    np.testing.assert_array_equal(loaded.predict_proba(made.rows.matrix), made.model.predict_proba(made.rows.matrix))


@pytest.mark.parametrize("name", CANDIDATES)
def test_each_candidate_comes_back_as_it_was_kept(made: Experiment, registered: Settings, tmp_path: Path, name: str) -> None:
    model = fit(name, made.rows, made.parts.refit, seed=made.seed)
    with client(registered) as mlflow:
        mlflow.sklearn.save_model(model, tmp_path / name, pip_requirements=[], skops_trusted_types=tracking._trusted(model))
        back = mlflow.sklearn.load_model(str(tmp_path / name))
    np.testing.assert_array_equal(back.predict_proba(made.rows.matrix), model.predict_proba(made.rows.matrix))
    assert parameters_digest(back) == parameters_digest(model)


def test_a_class_that_nobody_has_looked_at_is_not_trusted(made: Experiment) -> None:
    model = fit(LOGISTIC, made.rows, made.parts.refit, seed=made.seed)
    model.estimator = Stranger()
    with pytest.raises(TypeError, match="which nobody has looked at"):
        tracking._trusted(model)


def test_its_features_are_the_online_features(loaded: Any, served: Server) -> None:
    found = loaded.get_features_for_prediction({"agent_id": "code-reviewer"})
    own = AgentFeatures("code-reviewer").get().as_dict()
    assert {name: found[name] for name in own} == own
    assert found["avg_issues_per_review"] is None
    assert found["weekly_implementations_count"] == AgentFeatures("detektor-coder").get().weekly_implementations_count == 4


def test_acceptance_finds_the_experiment_its_explanation_and_a_model_that_reads_online(
    registered: Settings, loaded: Any, served: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = acceptance.chosen("T13,T14,T19")
    stack = registered.model_copy(update={"serve_port": served.port})
    found = list(acceptance.run(stack, rows, lambda *_: None))
    assert {each.row.name: each.state for each in found} == dict.fromkeys(("T13", "T14", "T19"), "passed"), found
    monkeypatch.setattr(models, "_read", lambda *_: {f"{VIEW.name}:rejection_rate": -1.0})
    (other,) = acceptance.run(stack, acceptance.chosen("T14"), lambda *_: None)
    assert other.state == "failed"
    assert "rejection_rate differ" in other.parts[0].text


def test_it_predicts_an_agent_as_it_predicts_the_agents_features(loaded: Any, served: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETEKTOR_NOW", clock.to_text(clock.now_us()))
    features = loaded.get_features_for_prediction({"agent_id": AGENT})
    assert features["recent_reviews_count"] == 3
    assert features["weekly_implementations_count"] == 4, "of the row over all projects"
    expected = loaded.predict_proba([features])
    np.testing.assert_array_equal(loaded.predict_proba([{"agent_id": AGENT}]), expected)
    np.testing.assert_array_equal(loaded.predict_proba(pd.DataFrame({"agent_id": [AGENT]})), expected)


def test_over_http_rows_of_features_get_what_the_model_says(made: Experiment, scoring: int) -> None:
    expected = made.model.predict_proba(made.rows.matrix[:5])
    rows = [row(made)] + [
        {name: None if np.isnan(value) else value for name, value in zip(row(made), values, strict=True)}
        for values in made.rows.matrix[1:5]
    ]
    assert any(value is None for each in rows for value in each.values()), "nulls go through"
    status, content = invoke(scoring, {"dataframe_records": rows})
    assert status == 200, content
    np.testing.assert_allclose(content["predictions"], expected, rtol=1e-12)
    columns = list(rows[0])
    split = {"columns": columns, "data": [[each[name] for name in columns] for each in rows]}
    status, content = invoke(scoring, {"dataframe_split": split})
    assert status == 200, content
    np.testing.assert_allclose(content["predictions"], expected, rtol=1e-12)


def test_over_http_a_count_may_be_whole_or_not_and_large(made: Experiment, scoring: int) -> None:
    """A column declared long would make 1 of 1.5 and −2^63 of 2^63, with status 200."""
    for value in (2, 2.0, 1.5, 2.0**63):
        status, content = invoke(scoring, {"dataframe_records": [row(made, weekly_reviews_count=value)]})
        assert status == 200, content
        matrix = made.rows.matrix[:1].copy()
        matrix[0, [each["name"] for each in made.rows.inputs].index("weekly_reviews_count")] = value
        np.testing.assert_allclose(content["predictions"], made.model.predict_proba(matrix), rtol=1e-12)


def test_over_http_an_agent_is_predicted_from_its_online_features(loaded: Any, scoring: int, served: Server) -> None:
    status, content = invoke(scoring, {"dataframe_records": [{"agent_id": AGENT}, {"agent_id": "code-reviewer"}]})
    assert status == 200, content
    np.testing.assert_allclose(content["predictions"], loaded.predict_proba([AGENT, "code-reviewer"]), atol=1e-3)


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"rejection_rate": 0.5}, "The rows have no"),
        ({"agent_id": "detektor-coder"}, "predicts decisions of code-reviewer"),
        ({"agent_id": "code-reviewer@nowhere-and-never"}, ""),
    ],
)
def test_over_http_what_cannot_be_predicted_is_no_success(scoring: int, record: dict[str, Any], said: str) -> None:
    status, content = invoke(scoring, {"dataframe_records": [record]})
    if said:
        assert status == 400, content
        assert said in json.dumps(content)
    else:  # the coder's row over all projects is there, so something is known
        assert status == 200, content


def test_a_server_with_another_definition_is_refused(
    loaded: Any, redis_server: embedded.RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, isolated_environment: Path
) -> None:
    """The server has been rolled back to a definition that the model was not trained on."""
    from dataclasses import replace

    from detektor_pipelines.catalog.chosen import FILE, Chosen
    from detektor_pipelines.training.model import OtherDefinitionsError

    del isolated_environment
    home = tmp_path / "home"
    home.mkdir()
    earlier = replace(VIEW, version="1.0.9", features=VIEW.features[:8])
    (home / FILE).write_text(Chosen({VIEW.name: earlier}).as_text())
    environment = {"DETEKTOR_HOME": str(home), "DETEKTOR_EXTERNAL_REDIS_URL": redis_server.url()}
    with running(tmp_path, "serve", environment=environment) as server:
        monkeypatch.setenv("DETEKTOR_SERVE_URL", f"http://127.0.0.1:{server.port}")
        with pytest.raises(OtherDefinitionsError, match=r"code_review_features 1\.1\.0 .* was trained on, 1\.0\.9 .* is served"):
            loaded.predict([{"agent_id": AGENT}])


def test_the_pages_example_runs(registered: Settings, served: Server, capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).resolve().parents[3] / "docs/training-models.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    with client(registered):
        exec(compile(example, "docs/training-models.md", "exec"), {})  # noqa: S102  our own page
    features, decided, first, again = capsys.readouterr().out.strip().splitlines()
    assert "'avg_issues_per_review': None" in features
    assert decided in {"[ True]", "[False]"}
    assert first[:6] == again[:6], "seconds apart, and so much alike"
