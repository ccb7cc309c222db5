"""`detektor validate` over real servers: a sound history passes, one fault of each kind is found, and nothing to compare is no success."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from typer.testing import CliRunner

from detektor_pipelines.catalog import view_named
from detektor_pipelines.cli import build_app
from detektor_pipelines.clock import to_us
from detektor_pipelines.engine.backfill import backfill
from detektor_pipelines.engine.online import publish_online
from detektor_pipelines.language.hashes import data_hash
from detektor_pipelines.language.records import AgentEvent
from detektor_pipelines.quality.parity import judgement
from detektor_pipelines.quality.validation.check import NAMES, validate
from detektor_pipelines.quality.validation.feast_bytes import FEAST_TYPES, read_view
from detektor_pipelines.settings import Settings
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.feast.registry import apply
from detektor_pipelines.stores.offline.rows import row_table
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.stores.raw_log.bulk import append

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from redis import Redis

    from detektor_pipelines.stack.servers import embedded

pytestmark = pytest.mark.slow

VIEW = view_named("code_review_features")
TABLE = f'feast."{row_table(VIEW)}"'
SHOP = "code-reviewer@shop"
BANK = "code-reviewer@bank"
NOW = "2026-03-08T00:30:00Z"
PREPARED = "validation_prepared"


class Prepared(NamedTuple):
    """A sound history: the database to clone, and what stands in Redis."""

    database: str
    redis: dict[bytes, bytes]


def review(number: int, at: datetime, project: str, **categories: str) -> AgentEvent:
    instant = to_us(at)
    measures = {"issues_found": number % 5, "issues_critical": number % 2}
    identity = f"e{number}", "code-reviewer", "reviewer", "review", instant, "test"
    return AgentEvent(*identity, project=project, known_at=instant, measures=measures, categories={"verdict": "rejected", **categories})


@pytest.fixture(scope="module")
def prepared(
    postgres_server: embedded.PostgresServer,
    redis_server: embedded.RedisServer,
    template_database: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Prepared]:
    """Publish reviews of three days in two projects, and register the view."""
    postgres_server.sql(f"CREATE DATABASE {PREPARED} TEMPLATE {template_database} STRATEGY FILE_COPY")
    settings = Settings(
        home=tmp_path_factory.mktemp("home"),
        external_postgres_url=postgres_server.dsn(PREPARED),
        external_redis_url=redis_server.url(),
    )
    client = online.redis_client(settings)
    client.flushall()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DETEKTOR_NOW", NOW)
        first = datetime(2026, 3, 5, 9, tzinfo=UTC)
        append(settings, [review(number, first + timedelta(hours=5 * number), ("shop", "bank")[number % 2]) for number in range(12)])
        list(backfill(settings, [VIEW], [date(2026, 3, day) for day in (5, 6, 7)]))
        publish_online(settings, VIEW)
        apply(settings, [VIEW])
    stored = {key: client.dump(key) for key in client.scan_iter()}
    client.close()
    yield Prepared(PREPARED, stored)
    postgres_server.sql(f"DROP DATABASE {PREPARED} WITH (FORCE)")


@pytest.fixture
def stored(
    prepared: Prepared,
    postgres_server: embedded.PostgresServer,
    redis_server: embedded.RedisServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Settings]:
    """Give the test a copy of the sound history."""
    monkeypatch.setenv("DETEKTOR_NOW", NOW)
    monkeypatch.setattr(judgement, "AGAIN_S", 0.1)  # the clock stands still, so nobody is waited for
    name = "validation_copy"
    postgres_server.sql(f"CREATE DATABASE {name} TEMPLATE {prepared.database} STRATEGY FILE_COPY")
    settings = Settings(home=tmp_path, external_postgres_url=postgres_server.dsn(name), external_redis_url=redis_server.url())
    client = online.redis_client(settings)
    client.flushall()
    for key, value in prepared.redis.items():
        client.restore(key, 0, value)
    client.close()
    yield settings
    postgres_server.sql(f"DROP DATABASE {name} WITH (FORCE)")


def key(settings: Settings, agent_id: str) -> str:
    return online.value_key(settings.project, VIEW, agent_id)


def wrong_online(**values: float) -> Callable[[Settings, Redis], None]:
    """Put other values of the shop's reviewer online, with the stamps of the right ones."""

    def plant(settings: Settings, client: Redis) -> None:
        (right,) = online.read(client, settings.project, VIEW, [SHOP])
        assert right is not None
        client.delete(key(settings, SHOP))
        changed = replace(right, values={**right.values, **values})
        online.write_values(client, settings.project, VIEW, [changed], valid_through_us=None)

    return plant


def by_sql(statement: str) -> Callable[[Settings, Redis], None]:
    def plant(settings: Settings, _client: Redis) -> None:
        with connect(settings) as connection:
            done = connection.execute(statement)
            assert done.rowcount

    return plant


def row(number: int) -> str:
    """The WHERE of one of the rows of the shop's reviewer, its last not among them."""
    key = f"SELECT agent_id, event_timestamp FROM {TABLE} WHERE agent_id = '{SHOP}' ORDER BY event_timestamp OFFSET {number} LIMIT 1"
    return f"WHERE (agent_id, event_timestamp) = ({key})"


def state(day: str) -> str:
    return f"view = '{VIEW.name}' AND partition = '{day}'"


COLUMNS = ", ".join(f'"{each.name}"' for each in VIEW.features)


def late_event(settings: Settings, _client: Redis) -> None:
    append(settings, [review(77, datetime(2026, 3, 6, 3, tzinfo=UTC), "shop")])


def renamed_in_the_registry(settings: Settings, _client: Redis) -> None:
    with connect(settings) as connection:
        (proto,) = connection.execute("SELECT feature_view_proto FROM feast.feature_views").fetchone() or (b"",)
        changed = bytes(proto).replace(b"rejection_rate", b"rejection_ratE")
        assert changed != bytes(proto)
        connection.execute("UPDATE feast.feature_views SET feature_view_proto = %s", (changed,))


def another_hash_in_the_registry(settings: Settings, _client: Redis) -> None:
    with connect(settings) as connection:
        (proto,) = connection.execute("SELECT feature_view_proto FROM feast.feature_views").fetchone() or (b"",)
        digest = data_hash(VIEW).encode()
        connection.execute("UPDATE feast.feature_views SET feature_view_proto = %s", (bytes(proto).replace(digest, digest[::-1]),))


def altered(statement: str) -> Callable[[Settings, Redis], None]:
    return by_sql(f"{statement}; SELECT 1")


class Faults(NamedTuple):
    """Faults that are planted together, each with words that must be said of it, and the checks that must fail, no others."""

    planted: dict[str, Callable[[Settings, Redis], Any]]
    checks: set[str]


FAULTS = {
    "identities": Faults(
        {
            "e3 has no identity": by_sql("DELETE FROM ml_learning.event_ids WHERE event_id = 'e3'"),
            "ghost has an identity and no event": by_sql(
                "INSERT INTO ml_learning.event_ids VALUES ('ghost', 1, md5('x')::uuid, '2026-03-05')"
            ),
        },
        {"log"},
    ),
    "an operation that nobody declares": Faults(
        {"code-reviewer / dance": by_sql("UPDATE ml_learning.agent_events SET operation = 'dance' WHERE event_id = 'e3'")},
        {"log", "online against offline", "parity"},
    ),
    "days": Faults(
        {
            "are not published. 1 of 3 days, 2026-03-06": by_sql(f"DELETE FROM ml_learning.partition_state WHERE {state('2026-03-06')}"),
            "belong to days that were never published. 2026-03-06": lambda _settings, _client: None,  # the same, seen from the rows
            "while they were open, and not since. 1 of 3 days, 2026-03-05": by_sql(
                f"UPDATE ml_learning.partition_state SET published_at = '2026-03-05 12:00' WHERE {state('2026-03-05')}"
            ),
            "events came since they were published. 1 of 3 days, 2026-03-07": late_event,
        },
        {"days", "recorded"},
    ),
    "values of rows": Faults(
        {
            "rejection_rate is 3.0, and must be: at most 1": by_sql(f"UPDATE {TABLE} SET rejection_rate = 3 {row(0)}"),
            "recent_reviews_count is None, and must be: not null": by_sql(f"UPDATE {TABLE} SET recent_reviews_count = NULL {row(1)}"),
            "a value or a key was changed": by_sql(f"UPDATE {TABLE} SET weekly_reviews_count = weekly_reviews_count + 1 {row(2)}"),
        },
        {"schema", "recorded"},
    ),
    "a number that is possible, and wrong": Faults(
        {"a value or a key was changed": by_sql(f"UPDATE {TABLE} SET weekly_reviews_count = weekly_reviews_count + 1 {row(2)}")},
        {"recorded"},
    ),
    "rows": Faults(
        {
            "rows stand where": by_sql(f"DELETE FROM {TABLE} {row(3)}"),
            "says the same twice": by_sql(
                f"INSERT INTO {TABLE} (agent_id, event_timestamp, created_at, written_at, {COLUMNS})"
                f" SELECT agent_id, event_timestamp, created_at, written_at + interval '1 s', {COLUMNS} FROM {TABLE} {row(4)}"
            ),
        },
        {"recorded"},
    ),
    "a key of another agent": Faults(
        {"debugger@shop": by_sql(f"UPDATE {TABLE} SET agent_id = 'debugger@shop' {row(2)}")},
        {"schema", "recorded", "online", "online against offline", "parity"},
    ),
    "newest rows that the log does not give": Faults(
        {
            "is 99 offline, and the log gives": by_sql(
                f"UPDATE {TABLE} t SET weekly_reviews_count = 99"
                f" WHERE event_timestamp = (SELECT max(event_timestamp) FROM {TABLE} WHERE agent_id = t.agent_id)"
            ),
            "online and 99 offline": lambda _settings, _client: None,  # the same, seen from Redis
        },
        {"recorded", "online against offline"},
    ),
    "the registry and the tables": Faults(
        {
            "rejection_ratE": renamed_in_the_registry,
            "another version of code_review_features": another_hash_in_the_registry,
            "the feature service code_reviewer_": by_sql("DELETE FROM feast.feature_services"),
            "Column stray of": altered(f"ALTER TABLE {TABLE} ADD stray bigint"),
            "The primary key of": altered(f'ALTER TABLE {TABLE} DROP CONSTRAINT "{row_table(VIEW)}_pkey"'),
            "agent_features_historical is missing": altered("DROP VIEW feast.agent_features_historical"),
        },
        {"registry"},
    ),
    "a view that is not registered": Faults(
        {"does not hold code_review_features": by_sql("DELETE FROM feast.feature_views")},
        {"registry"},
    ),
    "a column that is gone": Faults(
        {"Column rejection_rate of code_review_features is missing": altered(f"ALTER TABLE {TABLE} DROP rejection_rate CASCADE")},
        {"schema", "recorded", "registry", "online against offline"},
    ),
    "keys online": Faults(
        {
            f"{SHOP} has rows, and no value online": lambda settings, client: client.delete(key(settings, SHOP)),
            "for code-reviewer@nobody, of which there is no event and no row": lambda settings, client: client.copy(
                key(settings, BANK), key(settings, "code-reviewer@nobody")
            ),
            "cannot be read": lambda settings, client: client.set(key(settings, BANK), b"\x00nonsense"),
            "old_features@0123456789ab, which nobody": lambda settings, client: client.copy(
                key(settings, "code-reviewer"), f"feast:{settings.project}:old_features@0123456789ab:{SHOP}"
            ),
        },
        {"online", "parity"},
    ),
    "a value online that is out of bounds": Faults(
        {"rejection_rate of code-reviewer@shop is 7.0 online, and must be: at most 1": wrong_online(rejection_rate=7.0)},
        {"online", "online against offline", "parity"},
    ),
    "a value online that is possible, and wrong": Faults(
        {
            "is 9 online and": wrong_online(recent_reviews_count=9),
            f"of {SHOP} is wrong: recent_reviews_count is served as 9": lambda _settings, _client: None,  # the same, asked of the log
        },
        {"online against offline", "parity"},
    ),
}


def test_a_sound_history_passes_and_each_check_says_what_it_compared(stored: Settings) -> None:
    found = validate(stored, [VIEW])
    assert [each.check for each in found] == list(NAMES)
    assert [(each.check, each.problems) for each in found if not each.passed] == []
    compared = {each.check: each.compared for each in found}
    assert (compared["log"], compared["days"], compared["recorded"], compared["registry"]) == (12, 3, 3, len(VIEW.features))
    assert (compared["online against offline"], compared["parity"]) == (6, 3)


@pytest.mark.parametrize("faults", FAULTS.values(), ids=list(FAULTS))
def test_one_fault_of_each_kind_is_found(stored: Settings, faults: Faults) -> None:
    client = online.redis_client(stored)
    try:
        for plant in faults.planted.values():
            plant(stored, client)
    finally:
        client.close()
    found = {each.check: each for each in validate(stored, [VIEW])}
    said = [f"{one.what} {one.where}" for each in found.values() for one in each.problems]
    assert [words for words in faults.planted if not any(words in each for each in said)] == [], said
    assert {name for name, each in found.items() if not each.passed} == faults.checks
    assert all(one.what and one.where and one.fix for each in found.values() for one in each.problems)


def test_nothing_to_compare_is_no_success(servers: Settings) -> None:
    found = {each.check: each for each in validate(servers, [VIEW])}
    assert not any(each.passed for each in found.values())
    assert "Compared nothing" in found["parity"].problems[0].what


def test_the_command_says_what_failed_and_its_exit_code_is_1(servers: Settings) -> None:
    del servers
    done = CliRunner().invoke(build_app(), ["validate", "--check-all"])
    assert done.exit_code == 1
    assert "All validations passed" not in done.stdout
    assert "what to do:" in done.stdout
    answer = CliRunner().invoke(build_app(), ["validate", "--json"])
    assert answer.exit_code == 1
    assert json.loads(answer.stdout)["passed"] is False


def test_the_command_prints_exactly_that_all_passed(stored: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detektor_pipelines.catalog.VIEWS", (VIEW,))
    monkeypatch.setattr("detektor_pipelines.settings.get_settings", lambda: stored)
    done = CliRunner().invoke(build_app(), ["validate", "--check-all"])
    assert (done.exit_code, done.stdout) == (0, "All validations passed\n")
    data = json.loads(CliRunner().invoke(build_app(), ["validate", "--json"]).stdout)
    assert data["passed"]
    assert [each["check"] for each in data["checks"]] == list(NAMES)


def test_registered_bytes_are_read_as_feast_reads_them() -> None:
    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.compile.feast import feature_view

    for view in VIEWS:
        message = feature_view(view).to_proto()
        found = read_view(message.SerializeToString())
        assert found.features == {each.name: each.value_type for each in message.spec.features}
        assert found.tags == dict(message.spec.tags)
        assert found.features == {each.name: FEAST_TYPES[each.value_type] for each in view.features}
    with pytest.raises(ValueError, match="ends inside"):
        read_view(b"\xff\xff\xff")
