"""Feature services: one for each label in the registry, and those that somebody applies, read by the SDK and over HTTP."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from support.serving_client import Server, running

from detektor_pipelines import clock
from detektor_pipelines.catalog import LABELS, VIEWS, view_named
from detektor_pipelines.client import AgentFeatures, RequestRefusedError
from detektor_pipelines.compile.feast import SERVICES
from detektor_pipelines.stores.feast import registry as feast_repo
from detektor_pipelines.stores.online import values as online

if TYPE_CHECKING:
    from collections.abc import Iterator

    from feast import FeatureStore

    from detektor_pipelines.settings import Settings

pytestmark = pytest.mark.slow

REVIEWER, CODER = view_named("code-reviewer"), view_named("detektor-coder")
OURS = {"code-reviewer@shop": 7, "code-reviewer": 8}


@pytest.fixture(scope="module")
def server(module_store: tuple[FeatureStore, Settings], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    _, settings = module_store
    directory = tmp_path_factory.mktemp("serve")
    named = {
        "DETEKTOR_HOME": str(directory / "home"),
        "DETEKTOR_EXTERNAL_POSTGRES_URL": str(settings.external_postgres_url),
        "DETEKTOR_EXTERNAL_REDIS_URL": str(settings.external_redis_url),
        "DETEKTOR_SERVE_REDIS_TIMEOUT_MS": "10000",
    }
    with running(directory, "serve", environment=named) as server:
        yield server
    assert "Traceback" not in server.log, server.log


@pytest.fixture
def published(store: FeatureStore, redis_db: Settings) -> FeatureStore:
    now = clock.now_us()
    with online.redis_client(redis_db) as client:
        for view, counts in ((REVIEWER, OURS), (CODER, {"detektor-coder@shop": 1, "detektor-coder": 2})):
            rows = [
                online.OnlineRow(agent, now, now, now - 1, "1:1:", {each.name: count for each in view.features})
                for agent, count in counts.items()
            ]
            online.write_values(client, redis_db.project, view, rows, valid_through_us=now)
    return store


def ask(server: Server, agents: list[str], **what: Any) -> Any:
    return server.ask("POST", "/get-online-features", json.dumps({"entities": {"agent_id": agents}} | what).encode())


def test_each_label_has_one_and_applying_again_changes_nothing(store: FeatureStore, redis_db: Settings) -> None:
    assert {each.name for each in store.list_feature_services()} >= set(SERVICES)
    assert len(SERVICES) == len(LABELS)
    for view in VIEWS:
        theirs = [each for each in store.list_feature_services() if each.tags.get("agent") == view.agent]
        assert {each.tags["label"] for each in theirs} == {label.name for label in LABELS if label.agent == view.agent}
        for each in theirs:
            (projection,) = each.feature_view_projections
            assert {feature.name for feature in projection.features} == {feature.name for feature in view.features}


def test_the_sdk_and_the_server_answer_a_labels_service_alike(published: FeatureStore, server: Server) -> None:
    agents = ["code-reviewer@shop", "code-reviewer"]
    by_sdk = published.get_online_features(
        published.get_feature_service("code_reviewer_rejected"), [{"agent_id": each} for each in agents]
    ).to_dict()
    answer = ask(server, agents, feature_service="code_reviewer_rejected")
    assert answer.status == 200, answer.body
    by_http = dict(zip(answer.json["metadata"]["feature_names"], answer.json["results"], strict=True))
    assert by_http.keys() == by_sdk.keys()
    assert by_http["recent_reviews_count"]["values"] == by_sdk["recent_reviews_count"] == [7, 8]


def test_a_service_that_somebody_applied_is_served(published: FeatureStore, server: Server) -> None:
    from feast import FeatureService

    assert ask(server, ["code-reviewer"], feature_service="mine").status == 404
    view = published.get_feature_view(REVIEWER.name)
    published.apply(FeatureService(name="two", features=[view[["max_review_round", "recent_reviews_count"]], f"{CODER.name}:rework_rate"]))
    answer = ask(server, ["code-reviewer@shop"], feature_service="two", full_feature_names=True)
    assert answer.status == 200, answer.body
    names = [f"{REVIEWER.name}__max_review_round", f"{REVIEWER.name}__recent_reviews_count", f"{CODER.name}__rework_rate"]
    assert sorted(answer.json["metadata"]["feature_names"]) == sorted(["agent_id", *names])
    values = dict(zip(answer.json["metadata"]["feature_names"], answer.json["results"], strict=True))
    assert [values[name]["values"] for name in names] == [[7], [7], [1]]


def test_a_service_that_renames_is_refused_in_words(published: FeatureStore, server: Server) -> None:
    from feast import FeatureService

    view = published.get_feature_view(REVIEWER.name)
    published.apply(FeatureService(name="renamed", features=[view.with_name("other")]))
    answer = ask(server, ["code-reviewer"], feature_service="renamed")
    assert answer.status == 422
    assert answer.json["detail"].startswith("renamed cannot be served over HTTP")


def test_another_agents_features_over_http(published: FeatureStore, server: Server) -> None:
    features = [f"{REVIEWER.name}:recent_reviews_count", f"{CODER.name}:rework_rate", f"{CODER.name}@all:rework_rate"]
    answer = ask(server, ["code-reviewer@shop"], features=features, full_feature_names=True)
    assert answer.status == 200, answer.body
    assert [each["values"] for each in answer.json["results"][1:]] == [[7], [1], [2]]
    assert answer.json["metadata"]["rows_of"] == {CODER.name: ["detektor-coder@shop"], f"{CODER.name}@all": ["detektor-coder"]}
    nothing = ask(server, ["code-reviewer@new"], features=[f"{CODER.name}:rework_rate"])
    assert nothing.status == 422
    assert nothing.json["detail"].startswith("coding_features can only be null here")
    assert "detektor-coder@new" in nothing.json["detail"]


def test_a_program_reads_them_without_feast(published: FeatureStore, server: Server) -> None:
    reviewer = AgentFeatures("code-reviewer", "shop", url=f"http://127.0.0.1:{server.port}")
    asked = [f"{REVIEWER.name}:recent_reviews_count", f"{REVIEWER.name}:last_rejection_at", f"{CODER.name}@all:rework_rate"]
    assert reviewer.read(asked) == dict(zip(asked, [7, datetime(1970, 1, 1, tzinfo=UTC), 2], strict=True))
    assert set(reviewer.read_service("code_reviewer_rejected")) == {f"{REVIEWER.name}:{each.name}" for each in REVIEWER.features}
    with pytest.raises(RequestRefusedError, match="can only be null"):
        AgentFeatures("code-reviewer", "new", url=f"http://127.0.0.1:{server.port}").read([f"{CODER.name}:rework_rate"])


def test_what_somebody_applied_stays_when_the_definitions_are_applied(published: FeatureStore, module_store: Any) -> None:
    from feast import FeatureService

    _, settings = module_store
    view = published.get_feature_view(REVIEWER.name)
    published.apply(FeatureService(name="kept", features=[view[["max_review_round"]]]))
    published.delete_feature_service("code_reviewer_rejected")
    assert feast_repo.outdated(settings).services == ("code_reviewer_rejected",)
    assert feast_repo.apply(settings).services == ("code_reviewer_rejected",)
    assert feast_repo.outdated(settings) == feast_repo.Applied()
    with feast_repo.closing_store(settings) as again:
        assert {"kept", "code_reviewer_rejected"} <= {each.name for each in again.list_feature_services()}
    fewer = feast_repo.outdated(settings, VIEWS[1:])
    assert set(fewer.services_removed) == {name for name in SERVICES if name.startswith("code_reviewer_")}
