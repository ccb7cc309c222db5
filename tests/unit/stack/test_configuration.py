"""What is written for the process manager and the servers, without starting them."""

from __future__ import annotations

import configparser
import os
import socket
import stat
from pathlib import Path

import pytest

from detektor_pipelines.errors import UserError
from detektor_pipelines.settings import Settings
from detektor_pipelines.stack import lifecycle, ports, remembered, supervisor
from detektor_pipelines.stack.programs import PROGRAMS, chosen
from detektor_pipelines.stack.servers import privileges
from detektor_pipelines.stack.servers import redis as redis_server


def written(settings: Settings) -> configparser.RawConfigParser:
    remembered.make_home(settings)
    supervisor._write_configuration(settings, list(PROGRAMS.values()))
    parsed = configparser.RawConfigParser()
    parsed.read(settings.home / "supervisord.conf")
    return parsed


def test_what_a_server_needs_starts_before_it() -> None:
    assert [program.name for program in chosen(("mlflow", "redis"))] == ["postgres", "mlflow", "redis"]
    assert [program.name for program in chosen(("postgres", "mlflow"))] == ["postgres", "mlflow"]


def test_needs_have_no_circle_and_stand_before() -> None:
    names = list(PROGRAMS)
    for program in PROGRAMS.values():
        assert all(names.index(needed) < names.index(program.name) for needed in program.needs)


def test_no_two_servers_share_a_port() -> None:
    settings = Settings()
    wanted = [port for program in PROGRAMS.values() if (port := program.port(settings))]
    assert len(set(wanted)) == len(wanted)


def test_passwords_are_in_a_private_file_and_on_no_command_line() -> None:
    settings = remembered.with_secrets(_with_home(Settings()))
    parsed = written(settings)
    assert settings.postgres_password is not None
    secret = settings.postgres_password.get_secret_value()
    commands = [parsed[section]["command"] for section in parsed.sections() if section.startswith("program:")]
    assert not any(secret in command for command in commands)
    assert stat.S_IMODE((settings.home / "supervisord.conf").stat().st_mode) == 0o600


def test_percent_signs_are_escaped() -> None:
    environment = written(remembered.with_secrets(_with_home(Settings())))["program:mlflow"]["environment"]
    assert "search_path%%3Dmlflow" in environment


def test_a_running_programs_environment_is_the_one_it_was_started_with(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = remembered.with_secrets(_with_home(Settings()))
    monkeypatch.setenv("DETEKTOR_NOW", "2026-05-01T00:00:00Z")
    first = written(settings)
    monkeypatch.delenv("DETEKTOR_NOW")
    supervisor._write_configuration(settings, list(PROGRAMS.values()), {"dagster-daemon"})
    again = configparser.RawConfigParser()
    again.read(settings.home / "supervisord.conf")
    assert again["program:dagster-daemon"] == first["program:dagster-daemon"]
    assert 'DETEKTOR_NOW="2026-05-01T00:00:00Z"' in again["program:dagster-daemon"]["environment"]
    assert "DETEKTOR_NOW" not in again["program:dagster"]["environment"]


def test_variables_reach_the_programs_whatever_they_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    from supervisor.datatypes import dict_of_key_value_pairs

    given = {"DETEKTOR_ALERT_WEBHOOK": 'https://hooks.example/a?b="c",d=%20', "DETEKTOR_SOURCE_URL": "it's; # fine"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    settings = remembered.with_secrets(_with_home(Settings()))
    line = written(settings)["program:dagster"]["environment"].replace("%%", "%")
    assert given.items() <= dict_of_key_value_pairs(line).items()
    monkeypatch.setenv("DETEKTOR_ALERT_WEBHOOK", "both \" and '")
    with pytest.raises(UserError, match="DETEKTOR_ALERT_WEBHOOK"):
        written(settings)


@pytest.mark.parametrize("name", ["a ;b", "a #b", "100%", 'a"b', "a\nb"])
def test_a_path_that_cannot_be_written_down_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="characters"):
        written(Settings(home=tmp_path / name))


def test_the_control_socket_of_a_long_path_stands_elsewhere(tmp_path: Path) -> None:
    short = supervisor.socket_path(Settings(home=Path("/srv/detektor")))
    assert short == Path("/srv/detektor/supervisor.sock")
    deep = supervisor.socket_path(Settings(home=tmp_path / ("x" * 120)))
    assert len(os.fsencode(deep)) < 95
    assert deep != supervisor.socket_path(Settings(home=tmp_path / ("y" * 120)))


def test_redis_configuration_is_private(tmp_path: Path) -> None:
    file = redis_server.write_configuration(tmp_path / "redis", 20001, "secret")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert 'requirepass "secret"' in file.read_text()


def test_a_server_with_two_ports_moves_when_its_second_one_is_taken() -> None:
    registry = PROGRAMS["registry"]
    port = ports.free_port(second=3)
    with socket.create_server(("127.0.0.1", port + 3)):
        settings = Settings(registry_port=port)
        moved = lifecycle._settle_ports(settings, [registry], [], lambda _: None, free_ports=True)
        assert moved.registry_port != port
        assert ports.is_free(moved.registry_port)
        assert ports.is_free(moved.registry_grpc)
        ports.release(settings.home)


def test_a_free_port_is_free_and_not_among_those_to_avoid() -> None:
    port = ports.free_port()
    assert ports.is_free(port)
    assert not ports.answers(port)
    assert ports.free_port(frozenset({port})) != port


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another OS user")
def test_without_namespaces_root_names_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(privileges, "namespaces_work", lambda: False)
    monkeypatch.setenv("DETEKTOR_OS_USER", "no-such-user")
    with pytest.raises(UserError, match="no-such-user"):
        privileges.unprivileged(tmp_path)
    monkeypatch.setenv("DETEKTOR_OS_USER", "nobody")
    closed = tmp_path / "closed"
    (closed / "data").mkdir(parents=True)
    closed.chmod(0o700)
    with pytest.raises(UserError, match="cannot enter"):
        privileges.unprivileged(closed / "data")


def _with_home(settings: Settings) -> Settings:
    remembered.make_home(settings)
    return settings
