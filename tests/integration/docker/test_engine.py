"""Where a container engine runs: the images are built, and every program of ours starts as the compose files say and becomes healthy.

The programs run in one network namespace, beside stores from the large image: neither `docker compose` nor an image of others is needed.
Containers of yours are not touched: all names begin with `detektor-test`. `test_compose_stack.py` has the whole stack.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml
from support.container_engine import docker

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[3]
FILES = (ROOT / "docker/features/feast.yml", ROOT / "docker/compose.yml")
PROGRAMS: Final = (
    "migrate",
    "feast-serving",
    "feast-registry",
    "mlflow",
    "stream",
    "collect",
    "exporter",
    "dagster-code",
    "dagster-webserver",
    "dagster-daemon",
)
START_S: Final = 240

_READ: Final = """
import json, sys, urllib.error, urllib.request
body = {"features": ["code_review_features:recent_reviews_count"], "entities": {"agent_id": ["code-reviewer"]}}
headers = {"content-type": "application/json"} | ({"authorization": "Bearer " + sys.argv[1]} if len(sys.argv) > 1 else {})
request = urllib.request.Request("http://127.0.0.1:6566/get-online-features", json.dumps(body).encode(), headers)
try:
    print(urllib.request.urlopen(request).status)
except urllib.error.HTTPError as error:
    print(error.code)
"""

_AS_HOST: Final = """
import http.client, sys
connection = http.client.HTTPConnection("127.0.0.1", 5000)
connection.request("GET", "/api/2.0/mlflow/experiments/search?max_results=1", headers={"Host": sys.argv[1]})
print(connection.getresponse().status)
"""

pytestmark = [pytest.mark.long, pytest.mark.timeout(1_800)]


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("docker")
    shutil.copy(ROOT / "docker/make-secrets.sh", directory)
    subprocess.run(["sh", directory / "make-secrets.sh"], check=True, capture_output=True)
    return directory / "secrets"


class Together:
    """Our programs as containers in one network namespace."""

    def __init__(self, secrets: Path) -> None:
        self.secrets = secrets
        self.prefix = f"detektor-test-{uuid.uuid4().hex[:8]}"
        self.services = {name: each for file in FILES for name, each in yaml.safe_load(file.read_text())["services"].items()}

    def name(self, service: str) -> str:
        return f"{self.prefix}-{service}"

    def mounts(self, names: list[str]) -> list[str]:
        return [f"--volume={self.secrets / name}:/run/secrets/{name}:ro" for name in names]

    def stores(self) -> None:
        """Start PostgreSQL and Redis of the large image, whose namespace is that of all others."""
        given = ["postgres-password", "redis-password"]
        variables = [f"-eDETEKTOR_{name.upper().replace('-', '_')}_FILE=/run/secrets/{name}" for name in given]
        keep = "detektor up postgres redis && exec sleep 3600"
        where = ["--network=none", "--add-host=dagster-code:127.0.0.1"]
        docker(
            "run", "-d", "--name", self.name("stores"), *where, *variables, *self.mounts(given), "detektor-features:0.2.0", "sh", "-c", keep
        )
        self.wait(lambda: "Logs:" in docker("logs", self.name("stores")), "stores")

    def start(self, service: str) -> None:
        """Start a program with the limits, settings, secrets and the check of the compose file."""
        said = self.services[service]
        check = said["healthcheck"].get("test", [])[1:]
        words = [
            "-d",
            f"--name={self.name(service)}",
            f"--network=container:{self.name('stores')}",
            "--init",
            "--read-only",
            "--cap-drop=ALL",
        ]
        words += [f"--user={said['user']}", f"--memory={said['mem_limit']}", f"--pids-limit={said['pids_limit']}"]
        words += [f"--security-opt={each}" for each in said["security_opt"]]
        words += [f"--tmpfs={each}" for each in said["tmpfs"]] + [f"--volume={self.prefix}-state:/var/lib/detektor"]
        words += [f"-e{name}={self.here(value)}" for name, value in said["environment"].items() if name != "MLFLOW_HOSTS"]
        words += self.mounts(said["secrets"])
        words += [f"--health-cmd={' '.join(check)}", "--health-interval=3s", "--health-start-period=180s"] if check else []
        docker("run", *words, said["image"], *map(str, said["command"]))

    def here(self, value: str) -> str:
        """Return a setting's value where all are one host, and the stores have the ports of `detektor up`."""
        ports = {"@postgres:5432": "@127.0.0.1:15432", "//redis:6379": "//127.0.0.1:16379", "mlflow:5000": "127.0.0.1:5000"}
        for there, here in ({"feast-serving": "127.0.0.1", "feast-registry": "127.0.0.1"} | ports).items():
            value = value.replace(there, here)
        return value

    def healthy(self, service: str) -> bool:
        state = json.loads(docker("inspect", "--format", "{{json .State}}", self.name(service)))
        assert state["Running"] or service == "migrate", docker("logs", self.name(service))
        return bool(state["ExitCode"] == 0 and not state["Running"] if service == "migrate" else state["Health"]["Status"] == "healthy")

    def wait(self, ready: Any, what: str) -> None:
        ends = time.monotonic() + START_S
        while not ready():
            assert time.monotonic() < ends, f"{what}: {docker('logs', self.name(what))[-2_000:]}"
            time.sleep(0.5)

    def end(self) -> None:
        for name in docker("ps", "-aq", "--filter", f"name=^{self.prefix}-", check=False).split():
            docker("rm", "-f", "-v", name, check=False)
        docker("volume", "rm", f"{self.prefix}-state", check=False)


@pytest.fixture(scope="module")
def together(images: None, secrets: Path) -> Iterator[Together]:
    together = Together(secrets)
    try:
        together.stores()
        for service in PROGRAMS:
            together.start(service)
            if service in {"migrate", "mlflow", "dagster-code"}:  # others wait for these
                together.wait(lambda service=service: together.healthy(service), service)
        yield together
    finally:
        together.end()


def test_every_program_becomes_healthy(together: Together) -> None:
    for service in PROGRAMS:
        together.wait(lambda service=service: together.healthy(service), service)


def test_features_are_read_with_a_token_alone(together: Together) -> None:
    together.wait(lambda: together.healthy("feast-serving"), "feast-serving")
    name, token = together.name("feast-serving"), (together.secrets / "reader-token").read_text()
    assert docker("exec", name, "python", "-c", _READ) == "401"
    assert docker("exec", name, "python", "-c", _READ, token) == "200"


def test_mlflow_answers_under_its_names_alone(together: Together) -> None:
    together.wait(lambda: together.healthy("mlflow"), "mlflow")
    for host, status in (("mlflow:5000", "200"), ("localhost:15000", "200"), ("elsewhere.example", "403")):
        assert docker("exec", together.name("mlflow"), "python", "-c", _AS_HOST, host) == status, host


def test_a_program_can_write_to_its_state_alone(together: Together) -> None:
    name = together.name("feast-serving")
    assert docker("exec", name, "id", "-u") == "10001"
    assert docker("exec", name, "sh", "-c", "touch /app/x 2>/dev/null || echo refused") == "refused"


def test_no_secret_is_in_an_image_or_in_what_the_engine_says(together: Together) -> None:
    names = [together.name(service) for service in ("stores", *PROGRAMS)]
    said = docker("inspect", *names) + docker("history", "--no-trunc", "detektor-features:0.2.0")
    for file in together.secrets.iterdir():
        if not file.name.endswith("tokens"):
            assert file.read_text() not in said, file.name
