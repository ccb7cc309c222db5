"""The command line: help, exit codes, errors without traceback. No server runs here."""

from __future__ import annotations

import errno
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
import redis
from typer.testing import CliRunner

import detektor_pipelines
from detektor_pipelines import __version__, files
from detektor_pipelines.cli import ALONE, build_app
from detektor_pipelines.cli_commands.failures import as_user_error
from detektor_pipelines.errors import UserError
from detektor_pipelines.settings import get_settings
from detektor_pipelines.stack import ports

if TYPE_CHECKING:
    from click.testing import Result

DETEKTOR = Path(sys.executable).parent / "detektor"


def run(*words: str) -> Result:
    return CliRunner().invoke(build_app(), words)


def detektor(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([DETEKTOR, *words], capture_output=True, text=True, check=False)


def python(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("module", ["detektor_pipelines", "detektor_pipelines.cli"])
def test_python_runs_the_command_line_too(module: str) -> None:
    shown = python(module, "version")
    assert (shown.returncode, shown.stdout) == (0, f"{__version__}\n")
    wrong = python(module, "no-such-command")
    assert wrong.returncode == 2
    assert "No such command 'no-such-command'" in wrong.stderr


def test_a_command_that_is_loaded_alone_is_the_one_of_the_whole_command_line() -> None:
    for command, group in ALONE.items():
        alone = CliRunner().invoke(build_app([group]), [command, "--help"])
        assert (alone.exit_code, alone.output) == (0, run(command, "--help").output)


def test_a_module_of_commands_says_that_it_is_no_program() -> None:
    """Python would import it and end with exit code 0, as if the command had run."""
    for module in ("status", "demo"):
        found = python(f"detektor_pipelines.cli_commands.{module}", "--json")
        assert found.returncode == 1
        assert "are not programs. Run: python -m detektor_pipelines --help" in found.stderr


def test_every_module_with_a_main_is_a_program() -> None:
    sources = {path: path.read_text(encoding="utf-8") for path in Path(detektor_pipelines.__file__).parent.rglob("*.py")}
    with_main = {path.stem for path, text in sources.items() if "\ndef main(" in text}
    run = {path.stem for path, text in sources.items() if '\nif __name__ == "__main__":\n    main()\n' in text}

    assert with_main | {"__main__"} == run
    assert {"cli", "hook", "watchdog"} <= with_main


def test_every_command_teaches_with_help_and_an_example() -> None:
    commands = [command for command in build_app().registered_commands if command.name != "version"]
    assert commands
    for command in commands:
        text = command.callback.__doc__ or ""
        assert "Example" in text, f"{command.name} has no example in its help"
        assert run(str(command.name), "--help").exit_code == 0


def test_version() -> None:
    assert run("version").stdout.strip() == __version__
    assert json.loads(run("version", "--json").stdout) == {"version": __version__}


def test_status_without_any_server() -> None:
    status = json.loads(run("status", "--json").stdout)
    assert {name: server["state"] for name, server in status["servers"].items() if name in {"postgres", "redis", "mlflow"}} == {
        "postgres": "stopped",
        "redis": "stopped",
        "mlflow": "stopped",
    }
    assert not get_settings().home.exists(), "asking changes nothing"
    assert "detektor up" in run("status").stdout


def test_down_without_any_server() -> None:
    assert run("down").stdout.strip() == "No server was running."
    assert not get_settings().home.exists()


def test_env_can_be_evaluated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETEKTOR_POSTGRES_PASSWORD", "a 'quoted' $ecret")
    get_settings.cache_clear()
    text = run("env").stdout
    script = text + '\nprintf %s "$DETEKTOR_POSTGRES_PASSWORD|$MLFLOW_TRACKING_URI|$DETEKTOR_REDIS_PORT"'
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, env={})
    assert done.stdout == "a 'quoted' $ecret|http://127.0.0.1:15000|16379"
    as_data = json.loads(run("env", "--json").stdout)
    assert as_data["DAGSTER_HOME"].endswith("dagster_home")
    assert [shlex.split(line)[1].partition("=")[0] for line in text.splitlines()] == list(as_data)


def test_env_says_where_the_feature_server_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def address(**variables: str) -> str:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        get_settings.cache_clear()
        return str(json.loads(run("env", "--json").stdout)["DETEKTOR_SERVE_URL"])

    assert address(DETEKTOR_SERVE_PORT="7000") == "http://127.0.0.1:7000"
    assert address(DETEKTOR_SERVE_HOST="0.0.0.0", DETEKTOR_SERVE_TLS_CERT="/server.pem") == "https://127.0.0.1:7000"  # noqa: S104
    assert address(DETEKTOR_SERVE_HOST="::") == "https://[::1]:7000"
    assert address(DETEKTOR_SERVE_URL="https://features.example") == "https://features.example"


def test_doctor_finds_a_taken_port(monkeypatch: pytest.MonkeyPatch, redis_server: object) -> None:
    monkeypatch.setenv("DETEKTOR_REDIS_PORT", str(redis_server.port))  # type: ignore[attr-defined]
    get_settings.cache_clear()
    done = run("doctor", "--json")
    assert done.exit_code == 1
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert checks["Redis"]["result"] == "failed"
    assert "DETEKTOR_REDIS_PORT=" in checks["Redis"]["fix"]
    assert checks["Python"]["result"] == "ok"
    assert checks["disk space"]["result"] in {"ok", "warning"}


def test_a_mistake_is_a_message_without_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETEKTOR_REDIS_PORT", "many")
    done = detektor("status")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "DETEKTOR_REDIS_PORT" in done.stderr
    assert "what to do" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_server_is_named() -> None:
    done = detektor("up", "postgress")
    assert done.returncode == 1
    assert "postgress" in done.stderr
    assert "redis" in done.stderr, "the choices are listed"


def test_a_span_that_ends_before_it_begins_is_said() -> None:
    done = run("usage", "--from", "2026-02-20", "--to", "2026-02-01")
    assert "The last day, 2026-02-01, is before the first, 2026-02-20." in str(done.exception)


def test_an_unreachable_postgres_names_server_address_and_command() -> None:
    settings = get_settings().model_copy(update={"postgres_port": ports.free_port()})
    with pytest.raises(psycopg.OperationalError) as caught:
        psycopg.connect(settings.postgres_dsn, connect_timeout=2)
    message = as_user_error(caught.value)
    assert message is not None
    assert "PostgreSQL" in message.what
    assert message.where == "127.0.0.1:15432"
    assert "detektor up" in str(message)


def test_an_unreachable_redis_of_the_persons_own(monkeypatch: pytest.MonkeyPatch) -> None:
    port = ports.free_port()
    monkeypatch.setenv("DETEKTOR_EXTERNAL_REDIS_URL", f"redis://:secret@127.0.0.1:{port}/0")
    get_settings.cache_clear()
    with redis.Redis.from_url(get_settings().redis_url) as client, pytest.raises(redis.ConnectionError) as caught:
        client.ping()
    message = as_user_error(caught.value)
    assert message is not None
    assert message.where == f"127.0.0.1:{port}"
    assert "DETEKTOR_EXTERNAL_REDIS_URL" in str(message)
    assert "secret" not in str(message)


def test_a_wrapped_failure_is_recognised_and_a_bug_is_not() -> None:
    wrapped = RuntimeError("job failed")
    wrapped.__cause__ = UserError("the cause")
    assert str(as_user_error(wrapped)) == "the cause"
    assert as_user_error(KeyError("a bug")) is None
    assert as_user_error(psycopg.OperationalError("canceling statement due to lock timeout")) is None


def test_a_state_directory_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every command reads it first: its clock."""
    (tmp_path / "file").touch()
    for home in (tmp_path / "file", tmp_path / "file" / "below"):
        monkeypatch.setenv("DETEKTOR_HOME", str(home))
        done = detektor("version")
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert str(home / "clock") in done.stderr
        assert "DETEKTOR_HOME" in done.stderr


def test_somebody_elses_file_is_named_and_a_process_is_not() -> None:
    outside = as_user_error(PermissionError(errno.EACCES, "Permission denied", "/somewhere/out.html"))
    assert outside is not None
    assert (outside.where, "Permission denied" in outside.what) == ("/somewhere/out.html", True)
    assert "DETEKTOR_HOME" not in str(outside)
    inside = as_user_error(PermissionError(errno.EACCES, "Permission denied", str(files.home() / "stack.json")))
    assert inside is not None
    assert "DETEKTOR_HOME" in str(inside)
    assert as_user_error(PermissionError(errno.EPERM, "Operation not permitted")) is None, "a signal to a process of another user"


def test_the_three_parts_of_an_error() -> None:
    error = UserError("It is broken.", where="file:3", fix="Fix it.")
    assert str(error) == "It is broken.\nwhere: file:3\nwhat to do: Fix it."
    assert str(UserError("It is broken.")) == "It is broken."


@pytest.mark.parametrize(("words", "present", "former"), [(["online"], "repair", "mend"), (["parity"], "--repair", "--mend")])
def test_former_names_work_and_are_hidden(words: list[str], present: str, former: str) -> None:
    shown = CliRunner().invoke(build_app(), [*words, "--help"], env={"COLUMNS": "200"}).stdout
    assert present in shown
    assert former not in shown
    assert CliRunner().invoke(build_app(), [*words, former, "--help"]).exit_code == 0
