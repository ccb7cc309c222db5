"""The compose files: valid by the specification, in agreement with settings, commands, ports and images, and without a secret."""

from __future__ import annotations

import inspect
import json
import re
import stat
import subprocess
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import click
import jsonschema_rs
import pytest
import yaml
from typer.main import get_command

from detektor_pipelines import __version__, sessions
from detektor_pipelines.cli import build_app
from detektor_pipelines.settings import SECRETS_IN_FILES, Settings
from detektor_pipelines.stack.servers import dagster as dagster_servers
from detektor_pipelines.stack.servers import postgres

ROOT = Path(__file__).resolve().parents[3]
DOCKER = ROOT / "docker"
FEAST = DOCKER / "features/feast.yml"
ALL = DOCKER / "compose.yml"
SCHEMA = json.loads((files("check_jsonschema") / "builtin_schemas/vendor/compose-spec.json").read_text(encoding="utf-8"))

OURS = ("detektor-features:", "detektor-features-serving:")
ONCE = {"migrate": "on-failure:5", "acceptance": "no"}
"""What ends by itself, and when it is started again."""


@cache
def _as_json(file: Path) -> str:
    return json.dumps(yaml.safe_load(file.read_text()))


def read(file: Path) -> dict[str, Any]:
    return dict(json.loads(_as_json(file)))


@cache
def command_line() -> Any:
    return get_command(build_app())


def services(*files: Path) -> dict[str, dict[str, Any]]:
    return {name: service for file in files or (FEAST, ALL) for name, service in read(file)["services"].items()}


def ours() -> dict[str, dict[str, Any]]:
    return {name: each for name, each in services().items() if each["image"].startswith(OURS)}


each_service = pytest.mark.parametrize("name", sorted(services()))
each_of_ours = pytest.mark.parametrize("name", sorted(ours()))


@pytest.mark.parametrize("file", [FEAST, ALL], ids=lambda file: file.name)
def test_a_file_is_valid_by_the_specification(file: Path) -> None:
    errors = [f"{'/'.join(map(str, each.instance_path))}: {each.message}" for each in jsonschema_rs.iter_errors(SCHEMA, read(file))]
    assert errors == []


def test_the_names_by_which_serving_is_stopped() -> None:
    assert {"postgres", "redis", "feast-serving", "feast-registry"} <= set(services(FEAST))


def test_all_of_the_platform_is_there() -> None:
    assert read(ALL)["include"] == ["features/feast.yml"]
    dagster = {"dagster-code", "dagster-webserver", "dagster-daemon"}
    started = {name for name, each in services(ALL).items() if "profiles" not in each}
    assert dagster | {"mlflow", "stream", "collect", "exporter", "prometheus", "alertmanager", "grafana"} == started
    assert set(services(ALL)) - started == {"acceptance"}


@each_of_ours
def test_a_program_of_ours_may_do_little(name: str) -> None:
    service = ours()[name]
    assert service["read_only"] is True
    assert service["user"] == "10001:10001"
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert any(each.startswith("/tmp:") for each in service["tmpfs"])  # noqa: S108 - in a container
    assert not service.get("privileged")
    assert service["image"].endswith(f":{__version__}")


@each_service
def test_a_service_has_limits_a_check_and_a_policy(name: str) -> None:
    service = services()[name]
    assert "mem_limit" in service
    assert service["restart"] == ONCE.get(name, "unless-stopped")
    assert ("test" in service["healthcheck"]) is (name not in ONCE)
    assert re.fullmatch(r"[a-z/-]+:v?\d+\.\d+(\.\d+)?(-bookworm)?", service["image"]), "an image without a version is another one tomorrow"


@each_service
def test_who_waits_for_whom_is_there_and_waits_for_health(name: str) -> None:
    for needed, how in services()[name].get("depends_on", {}).items():
        assert how["condition"] == ("service_completed_successfully" if needed == "migrate" else "service_healthy")
        assert needed in services()


@each_of_ours
def test_the_tables_come_first(name: str) -> None:
    def before(one: str) -> set[str]:
        needed = set(services()[one].get("depends_on", {}))
        return needed.union(*map(before, needed))

    assert name in ONCE or {"postgres", "redis", "migrate"} <= before(name)


@each_service
def test_every_variable_is_read(name: str) -> None:
    given = services()[name].get("environment", {})
    settings = {f"DETEKTOR_{each.upper()}" for each in Settings.model_fields}
    provisioning = "".join(file.read_text() for file in (ROOT / "monitoring/grafana/provisioning").rglob("*.yaml"))
    known = {each for each in given if each in settings or (name == "grafana" and f"${each}" in provisioning)}
    assert [each for each in given if each.startswith("DETEKTOR_") and each not in known] == []
    assert all(isinstance(value, str) for value in given.values()), "YAML's own types are written as they are meant"


@each_of_ours
def test_its_settings_can_be_read(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable, value in ours()[name].get("environment", {}).items():
        path = tmp_path / Path(value).name
        if value.startswith("/run/secrets/"):
            path.write_text("s#1\n")
        monkeypatch.setenv(variable, str(path) if value.startswith("/run/secrets/") else value)
    settings = Settings()
    assert settings.postgres_dsn == sessions.fixed("postgresql://detektor:s%231@postgres:5432/detektor")
    assert settings.redis_url == "redis://:s%231@redis:6379/0"


@each_of_ours
def test_its_command_exists(name: str) -> None:
    words = [str(word) for word in ours()[name]["command"]]
    if words[:1] != ["detektor"]:
        return
    command = command_line()
    context = click.Context(command)
    found = command.get_command(context, words[1])
    options = {option for each in found.get_params(click.Context(found)) for option in each.opts}
    assert [word for word in words if word.startswith("--") and word not in options] == []


def test_dagsters_programs_are_those_of_the_embedded_stack() -> None:
    """But for addresses, files of the workspace, and where the programs are."""
    for service, words in (
        ("dagster-code", dagster_servers.code_server_command(Settings())),
        ("dagster-webserver", dagster_servers.webserver_command(Settings())),
        ("dagster-daemon", dagster_servers.daemon_command(Settings())),
    ):
        here = [str(word) for word in services()[service]["command"]]
        assert [Path(here[0]).name, *here[1:]] == [_in_a_container(word) for word in words]


def _in_a_container(word: str) -> str:
    if word.endswith("workspace.yaml"):
        return "docker/workspace.yaml"
    if Path(word).name.startswith("python"):
        return "python"
    return Path(word).name if word.startswith("/") else {"127.0.0.1": "0.0.0.0"}.get(word, word)  # noqa: S104 - in a container


def test_the_workspace_is_the_other_one_but_for_its_host() -> None:
    (theirs,) = read(ROOT / "dagster_home/workspace.yaml")["load_from"]
    (here,) = read(DOCKER / "workspace.yaml")["load_from"]
    port = services()["dagster-code"]["environment"]["DETEKTOR_DAGSTER_CODE_PORT"]
    assert here["grpc_server"] == theirs["grpc_server"] | {"host": "dagster-code", "port": int(port)}


def ports_of(service: dict[str, Any]) -> set[int]:
    """Return the ports that a container listens at, by its command and by MLflow's script."""
    text = " ".join(map(str, service.get("command", [])))
    if "mlflow.sh" in text:
        text = (DOCKER / "mlflow.sh").read_text()
    return {int(port) for port in re.findall(r"(?:port |0\.0\.0\.0:)(\d{4})", text)}


@each_service
def test_ports_agree(name: str) -> None:
    service = services()[name]
    published = {int(each.split(":")[2]) for each in service.get("ports", [])}
    checked = {int(port) for port in re.findall(r"//127\.0\.0\.1:(\d+)", " ".join(service["healthcheck"].get("test", [])))}
    listening = ports_of(service) or {3000 if name == "grafana" else 0}
    assert published | checked <= listening
    assert all(each.startswith("127.0.0.1:") for each in service.get("ports", [])), "published beyond this machine"


def test_acceptance_asks_the_servers_of_the_other_containers(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in services()["acceptance"]["environment"].items():
        if not value.startswith("/run/secrets/"):
            monkeypatch.setenv(variable, value)
    settings = Settings()
    for url, name in (
        (settings.serve_url, "feast-serving"),
        (settings.registry_url, "feast-registry"),
        (settings.exporter_url, "exporter"),
        (settings.mlflow_uri, "mlflow"),
    ):
        host, port = url.removeprefix("http://").split(":")
        assert host == name
        assert int(port) in ports_of(services()[name])


def test_no_two_services_publish_one_port() -> None:
    published = [each.rsplit(":", 1)[0] for service in services().values() for each in service.get("ports", [])]
    assert len(published) == len(set(published))


def test_text_is_ordered_as_in_the_embedded_server() -> None:
    """The official image's own locale is another one."""
    given = services()["postgres"]["environment"]["POSTGRES_INITDB_ARGS"].split()
    embedded = re.findall(r'"(--(?:encoding|locale|builtin-locale)\S*?)"', inspect.getsource(postgres._initdb))
    assert len(embedded) == 4
    assert set(embedded) <= set(given)


def test_servers_that_others_reach_have_access_control() -> None:
    for name, variable in (
        ("feast-serving", "DETEKTOR_SERVE_TOKENS_FILE"),
        ("feast-registry", "DETEKTOR_SERVE_TOKENS_FILE"),
        ("collect", "DETEKTOR_COLLECTOR_TOKENS_FILE"),
    ):
        assert services()[name]["environment"][variable].startswith("/run/secrets/")
        assert "--insecure" not in services()[name]["command"]


def test_the_stores_are_reached_from_containers_alone() -> None:
    assert read(FEAST)["networks"]["data"] == {"internal": True}
    assert all(services()[name]["networks"] == ["data"] and "ports" not in services()[name] for name in ("postgres", "redis"))


def test_prometheus_asks_as_in_the_repository_but_elsewhere() -> None:
    here, theirs = read(DOCKER / "prometheus/prometheus.yml"), read(ROOT / "monitoring/prometheus/prometheus.yml")
    for mine, other in zip(here["scrape_configs"], theirs["scrape_configs"], strict=True):
        (target,) = mine["static_configs"][0]["targets"]
        host, port = target.split(":")
        assert int(port) in ports_of(services()[host])
        assert other["static_configs"][0]["targets"] == [f"127.0.0.1:{port}"]
        assert mine["job_name"] == other["job_name"]
    alerting = here.pop("alerting"), theirs.pop("alerting")
    assert alerting[0]["alertmanagers"][0]["static_configs"] == [{"targets": ["alertmanager:9093"]}]
    del here["scrape_configs"], theirs["scrape_configs"]
    assert here == theirs


# Secrets ---------------------------------------------------------------------------------------------------------------------


@each_service
def test_a_secret_is_a_file_that_is_declared_and_mounted(name: str) -> None:
    service = services()[name]
    declared = read(FEAST)["secrets"] | read(ALL)["secrets"]
    text = json.dumps(service) + (DOCKER / "prometheus/prometheus.yml").read_text() * (name == "prometheus")
    used = set(re.findall(r"/run/secrets/([a-z-]+)", text))
    given = set(service.get("secrets", []))
    assert given <= set(declared)
    assert used <= given
    for variable, value in service.get("environment", {}).items():
        assert not re.search(r"PASSWORD|TOKEN|SECRET|WEBHOOK", variable) or variable.endswith("_FILE"), "`docker inspect` shows it"
        assert not re.search(r"//[^/@\s]*:[^/@\s]+@", value), "`docker inspect` shows it"


def test_every_secret_of_the_settings_can_be_a_file() -> None:
    names = {name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}
    assert names - set(SECRETS_IN_FILES) == {"backup_identity"}, "which has backup_identity_file"
    assert {f"{name}_file" for name in names} <= set(Settings.model_fields)


def test_secrets_are_made_once_and_git_does_not_see_them(tmp_path: Path) -> None:
    script = tmp_path / "make-secrets.sh"
    script.write_text((DOCKER / "make-secrets.sh").read_text())
    subprocess.run(["sh", script], check=True, capture_output=True)
    made = {file.name: file.read_text() for file in (tmp_path / "secrets").iterdir()}
    subprocess.run(["sh", script], check=True, capture_output=True)
    assert made == {file.name: file.read_text() for file in (tmp_path / "secrets").iterdir()}
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700
    declared = {Path(each["file"]).name for file in (FEAST, ALL) for each in read(file)["secrets"].values()}
    assert declared <= set(made)
    assert all(len(text) > 30 for text in made.values())
    ignored = subprocess.run(["git", "-C", ROOT, "check-ignore", "-q", "docker/secrets/redis-password"], check=False)
    assert ignored.returncode == 0


def test_the_tokens_that_are_made_are_known_to_the_servers(tmp_path: Path) -> None:
    from detektor_pipelines.web.tokens import TokenFile, digest_of

    script = tmp_path / "make-secrets.sh"
    script.write_text((DOCKER / "make-secrets.sh").read_text())
    subprocess.run(["sh", script], check=True, capture_output=True)
    secrets = tmp_path / "secrets"
    readers, writers = TokenFile(secrets / "serve-tokens"), TokenFile(secrets / "collector-tokens")
    assert readers.name_of(digest_of((secrets / "prometheus-token").read_text())) == "prometheus"
    assert readers.name_of(digest_of((secrets / "reader-token").read_text())) == "reader"
    assert writers.name_of(digest_of((secrets / "writer-token").read_text())) == "writer"
    assert writers.name_of(digest_of((secrets / "reader-token").read_text())) is None


def test_the_file_that_is_included_is_not_said_again() -> None:
    """Compose refuses a resource that both files define."""
    feast, rest = read(FEAST), read(ALL)
    for kind in ("services", "volumes", "secrets", "networks"):
        assert set(feast.get(kind, {})).isdisjoint(rest.get(kind, {})), kind
    assert feast["name"] == rest["name"]


@each_service
def test_networks_volumes_and_files_are_there(name: str) -> None:
    service, declared = services()[name], read(FEAST)["volumes"] | read(ALL)["volumes"]
    directory = FEAST.parent if name in services(FEAST) else ALL.parent
    assert set(service["networks"]) <= set(read(FEAST)["networks"])
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        assert (directory / source).exists() if source.startswith(".") else source in declared
    if "build" in service:
        assert (directory / service["build"]["context"]).resolve() == ROOT
        assert f" AS {service['build']['target']}\n" in (ROOT / service["build"]["dockerfile"]).read_text()
