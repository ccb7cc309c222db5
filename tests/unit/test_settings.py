"""Where addresses, ports and passwords come from."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from detektor_pipelines import sessions
from detektor_pipelines.errors import UserError
from detektor_pipelines.files import default_home
from detektor_pipelines.settings import SECRETS_IN_FILES, Settings, get_settings, origins


def remember(home: Path, **settings: object) -> None:
    home.mkdir(parents=True, exist_ok=True)
    (home / "stack.json").write_text(json.dumps({"settings": settings}))


def test_home_is_in_the_repository_unless_given(monkeypatch: pytest.MonkeyPatch, isolated_environment: Path) -> None:
    assert get_settings().home == isolated_environment
    monkeypatch.delenv("DETEKTOR_HOME")
    get_settings.cache_clear()
    assert get_settings().home == default_home() == Path(__file__).resolve().parents[2] / ".detektor"


def test_home_is_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DETEKTOR_HOME", "state")
    assert Settings().home == tmp_path / "state"
    monkeypatch.setenv("DETEKTOR_HOME", "~/state")
    assert Settings().home == tmp_path / "state"


def test_environment_before_memory_before_default(monkeypatch: pytest.MonkeyPatch, isolated_environment: Path) -> None:
    assert Settings().redis_port == 16379
    remember(isolated_environment, redis_port=20001)
    assert Settings().redis_port == 20001
    monkeypatch.setenv("DETEKTOR_REDIS_PORT", "20002")
    assert Settings().redis_port == 20002
    assert Settings(redis_port=20003).redis_port == 20003


def test_memory_of_the_home_that_is_given_as_argument(tmp_path: Path) -> None:
    remember(tmp_path / "other", mlflow_port=20001)
    assert Settings(home=tmp_path / "other").mlflow_port == 20001
    assert Settings().mlflow_port == 15000


@pytest.mark.parametrize("text", ["", "{", "[]", '{"settings": 3}', '{"settings": null}', "null"])
def test_a_torn_memory_remembers_nothing(isolated_environment: Path, text: str) -> None:
    isolated_environment.mkdir()
    (isolated_environment / "stack.json").write_text(text)
    assert Settings().postgres_port == 15432


def test_passwords_come_from_the_secrets_file(monkeypatch: pytest.MonkeyPatch, isolated_environment: Path) -> None:
    isolated_environment.mkdir()
    (isolated_environment / "secrets.env").write_text("# made by detektor\nDETEKTOR_POSTGRES_PASSWORD=a=b\n\nUNRELATED=1\n")
    assert Settings().postgres_password == SecretStr("a=b")
    monkeypatch.setenv("DETEKTOR_POSTGRES_PASSWORD", "mine")
    assert Settings().postgres_password == SecretStr("mine")


def test_an_empty_variable_is_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETEKTOR_POSTGRES_PORT", "")
    assert Settings().postgres_port == 15432


def test_urls_of_the_embedded_servers() -> None:
    settings = Settings(postgres_password=SecretStr("p@ss/w:rd"), redis_password=SecretStr("r#d"))
    assert sessions.without(settings.postgres_dsn) == "postgresql://detektor:p%40ss%2Fw%3Ard@127.0.0.1:15432/detektor"
    assert sessions.set_in(settings.postgres_dsn) == sessions.ALWAYS
    of_dagster = settings.sqlalchemy_url("dagster")
    assert sessions.without(of_dagster) == "postgresql+psycopg2://detektor:p%40ss%2Fw%3Ard@127.0.0.1:15432/detektor"
    assert sessions.set_in(of_dagster) == {**sessions.ALWAYS, "search_path": "dagster"}
    assert settings.sqlalchemy_url("feast", driver="psycopg").startswith("postgresql+psycopg://")
    assert settings.redis_url == "redis://:r%23d@127.0.0.1:16379/0"
    assert settings.redis_connection_string == "127.0.0.1:16379,db=0,password=r#d"
    assert settings.mlflow_uri == "http://127.0.0.1:15000"


def test_an_external_postgres_fills_its_fields(isolated_environment: Path) -> None:
    isolated_environment.mkdir()
    (isolated_environment / "secrets.env").write_text("DETEKTOR_POSTGRES_PASSWORD=of-the-embedded-one\n")
    settings = Settings(external_postgres_url="postgresql://me:p%40ss@[::1]/features?sslmode=require")
    assert (settings.postgres_host, settings.postgres_port, settings.postgres_user) == ("::1", 5432, "me")
    assert settings.postgres_password == SecretStr("p@ss")
    assert sessions.without(settings.postgres_dsn) == "postgresql://me:p%40ss@[::1]:5432/features?sslmode=require"
    of_feast = settings.sqlalchemy_url("feast")
    assert "/features?sslmode=require&options=" in of_feast
    assert sessions.set_in(of_feast)["search_path"] == "feast"
    without = Settings(external_postgres_url="postgresql://me@db/features")
    assert without.postgres_password is None, "the embedded server's password is never sent to another one"


def test_an_external_password_may_stand_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETEKTOR_POSTGRES_PASSWORD", "apart")
    settings = Settings(external_postgres_url="postgres://me@db:6543/x")
    assert sessions.without(settings.postgres_dsn) == "postgresql://me:apart@db:6543/x"


@pytest.mark.parametrize("name", SECRETS_IN_FILES)
def test_a_secret_may_be_given_as_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    file = tmp_path / "secret"
    file.write_text(" s3#\n")
    monkeypatch.setenv(f"DETEKTOR_{name.upper()}_FILE", str(file))
    settings = Settings()
    assert getattr(settings, name) == SecretStr(" s3#"), "without the end of the line, and nothing else is taken away"
    assert "s3#" not in repr(settings)
    assert "s3#" not in json.dumps(origins(settings))


def test_external_servers_take_their_passwords_from_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, isolated_environment: Path
) -> None:
    isolated_environment.mkdir()
    (isolated_environment / "secrets.env").write_text("DETEKTOR_POSTGRES_PASSWORD=of-the-embedded-one\n")
    (tmp_path / "one").write_text("p@1\n")
    (tmp_path / "two").write_text("r/2\n")
    monkeypatch.setenv("DETEKTOR_POSTGRES_PASSWORD_FILE", str(tmp_path / "one"))
    monkeypatch.setenv("DETEKTOR_REDIS_PASSWORD_FILE", str(tmp_path / "two"))
    settings = Settings(external_postgres_url="postgresql://me@db/x", external_redis_url="redis://cache:6379/0")
    assert sessions.without(settings.postgres_dsn) == "postgresql://me:p%401@db:5432/x"
    assert settings.redis_url == "redis://:r%2F2@cache:6379/0"
    assert settings.redis_connection_string == "cache:6379,db=0,password=r/2"
    assert Settings(external_redis_url="redis://:own@cache/0").redis_url == "redis://:own@cache/0", "the URL's own comes first"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("rediss://me@one:1/0?ssl_ca_certs=/ca", "rediss://me:p%40@one:1/0?ssl_ca_certs=/ca"),
        ("redis+sentinel://one,two:7000/features/2", "redis+sentinel://:p%40@one,two:7000/features/2"),
        ("redis+cluster://one?x=a@b", "redis+cluster://:p%40@one?x=a@b"),
    ],
)
def test_a_password_apart_is_for_every_kind_of_redis(monkeypatch: pytest.MonkeyPatch, url: str, expected: str) -> None:
    monkeypatch.setenv("DETEKTOR_REDIS_PASSWORD", "p@")
    assert Settings(external_redis_url=url).redis_url == expected


@pytest.mark.parametrize("content", [None, "", "\n", b"\xff"])
def test_a_secret_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | bytes | None) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    monkeypatch.setenv("DETEKTOR_REDIS_PASSWORD_FILE", str(file))
    with pytest.raises(UserError, match="DETEKTOR_REDIS_PASSWORD_FILE") as error:
        get_settings()
    assert error.value.where == str(file)


def test_a_secret_and_its_file_together_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("one")
    monkeypatch.setenv("DETEKTOR_REDIS_PASSWORD_FILE", str(tmp_path / "secret"))
    monkeypatch.setenv("DETEKTOR_REDIS_PASSWORD", "another")
    with pytest.raises(UserError, match="are both set"):
        get_settings()


def test_an_external_redis_fills_its_fields() -> None:
    settings = Settings(external_redis_url="rediss://:s3@cache.example:7000/3")
    assert (settings.redis_host, settings.redis_port, settings.redis_db) == ("cache.example", 7000, 3)
    assert settings.redis_url == "rediss://:s3@cache.example:7000/3"
    assert settings.redis_connection_string == "cache.example:7000,db=3,password=s3,ssl=true"


def test_sentinels_name_a_service_and_have_their_own_port() -> None:
    settings = Settings(external_redis_url="redis+sentinel://:s%403@one,two:7000,[::1]/features/2?sentinel_password=x")
    address = settings.redis_address
    assert (address.kind, address.tls, address.service) == ("sentinel", False, "features")
    assert address.nodes == (("one", 26379), ("two", 7000), ("::1", 26379))
    assert address.single_url == "redis://:s%403@one:26379/2?sentinel_password=x"
    assert settings.redis_password == SecretStr("s@3")
    assert (settings.redis_host, settings.redis_port, settings.redis_db) == ("one", 26379, 2)


def test_a_cluster_has_nodes_and_no_database() -> None:
    settings = Settings(external_redis_url="rediss+cluster://one:7000,two?ssl_ca_certs=/etc/ca.pem")
    address = settings.redis_address
    assert (address.kind, address.tls, address.nodes) == ("cluster", True, (("one", 7000), ("two", 6379)))
    assert address.single_url == "rediss://one:7000?ssl_ca_certs=/etc/ca.pem"
    assert settings.redis_connection_string == "one:7000,two:6379,ssl=true"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DETEKTOR_POSTGRES_PORT", "many"),
        ("DETEKTOR_POSTGRES_PORT", "70000"),
        ("DETEKTOR_START_DATE", "yesterday"),
        ("DETEKTOR_EXTERNAL_POSTGRES_URL", "mysql://x/y"),
        ("DETEKTOR_EXTERNAL_POSTGRES_URL", "postgresql://h:port/y"),
        ("DETEKTOR_EXTERNAL_REDIS_URL", "localhost:6379"),
        ("DETEKTOR_EXTERNAL_REDIS_URL", "redis://a:1,b:2/0"),
        ("DETEKTOR_EXTERNAL_REDIS_URL", "redis://h:port/0"),
        ("DETEKTOR_EXTERNAL_REDIS_URL", "redis+sentinel://h:26379"),
        ("DETEKTOR_EXTERNAL_REDIS_URL", "redis+cluster://h:6379/1"),
    ],
)
def test_a_value_that_cannot_be_meant_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(UserError, match=variable):
        get_settings()


def test_no_password_is_shown() -> None:
    settings = Settings(
        postgres_password=SecretStr("hide-me"), external_redis_url="redis://:hide-me@h:1/0", mlflow_tracking_uri="http://u:hide-me@h"
    )
    assert "hide-me" not in repr(settings)
    assert "hide-me" not in json.dumps(origins(settings))


def test_each_setting_says_where_it_comes_from(monkeypatch: pytest.MonkeyPatch, isolated_environment: Path) -> None:
    remember(isolated_environment, redis_port=20001)
    monkeypatch.setenv("DETEKTOR_SERVE_PORT", "20002")
    found = origins(Settings())
    assert found["DETEKTOR_REDIS_PORT"] == {"value": "20001", "from": "stack.json"}
    assert found["DETEKTOR_SERVE_PORT"] == {"value": "20002", "from": "environment"}
    assert found["DETEKTOR_MLFLOW_PORT"] == {"value": "15000", "from": "default"}


def test_settings_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first = get_settings()
    monkeypatch.setenv("DETEKTOR_PROJECT", "other")
    assert get_settings() is first
    get_settings.cache_clear()
    assert get_settings().project == "other"


def test_importing_settings_reads_nothing_heavy() -> None:
    code = "import sys, detektor_pipelines.settings; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"pandas", "feast", "mlflow", "dagster", "sqlalchemy"} & set(loaded)


def test_private_files_are_private(isolated_environment: Path) -> None:
    from detektor_pipelines.stack import remembered

    remembered.make_home(Settings())
    settings = remembered.with_secrets(Settings())
    remembered.remember(settings, ("redis_port",))
    for file in (settings.secrets_file, settings.state_file):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(isolated_environment.stat().st_mode) == 0o700
    assert Settings().postgres_password == settings.postgres_password is not None
    assert remembered.with_secrets(Settings()) == settings, "passwords are generated once"
