"""The OpenAPI document is held to: schemathesis asks a running server what the document allows, and what it does not."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.serving_client import Server, running

from detektor_pipelines import clock
from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.web.tokens import add_token

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stack.servers import embedded

SCHEMATHESIS = str(Path(sys.executable).with_name("schemathesis"))
CONFIGURATION = """
[checks.negative_data_rejection]
# as by default, and the one for too many agents
expected-statuses = [400, 401, 403, 404, 405, 406, 409, 413, 415, 422, 428, 429]
"""


@pytest.fixture(params=["guarded", pytest.param("open", marks=pytest.mark.long)], scope="module")
def served(
    request: pytest.FixtureRequest,
    module_database: Settings,
    redis_server: embedded.RedisServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Server, str | None]]:
    directory = tmp_path_factory.mktemp("serve")
    named = {
        "DETEKTOR_HOME": str(directory / "home"),
        "DETEKTOR_EXTERNAL_POSTGRES_URL": str(module_database.external_postgres_url),
        "DETEKTOR_EXTERNAL_REDIS_URL": redis_server.url(),
        "DETEKTOR_SERVE_REDIS_TIMEOUT_MS": "10000",
        "DETEKTOR_SERVE_ENTITIES_LIMIT": "50",  # lists of 10,001 take schemathesis all its time
    }
    token = add_token(directory / "tokens", "schemathesis") if request.param == "guarded" else None
    if token:
        named["DETEKTOR_SERVE_TOKENS_FILE"] = str(directory / "tokens")
    with running(directory, "serve", environment=named) as server:
        server.token = token
        yield server, token
    assert "Traceback" not in server.log, server.log


def publish(settings: Settings) -> None:
    now = clock.now_us()
    with online.redis_client(settings) as client:
        for view in VIEWS:
            values: dict[str, Any] = {each.name: 1 for each in view.features}
            rows = [online.OnlineRow(agent, now, now, now - 1, None, values) for agent in ("", "0", view.agent)]
            online.write_values(client, settings.project, view, rows, valid_through_us=now)


def schemathesis(served: tuple[Server, str | None], directory: Path, *words: str) -> str:
    server, token = served
    (directory / "schemathesis.toml").write_text(CONFIGURATION)
    command = [SCHEMATHESIS, "run", f"http://127.0.0.1:{server.port}/openapi.json", "--checks", "all", "--no-color", *words]
    command += ["--generation-database", "none", "--warnings", "off", *(("-H", f"Authorization: Bearer {token}") if token else ())]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=directory)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_server_does_what_its_description_says(served: tuple[Server, str | None], redis_db: Settings, tmp_path: Path) -> None:
    publish(redis_db)
    said = schemathesis(served, tmp_path, "--max-examples", "40", "--max-time", "8", "--seed", "1")
    generated = re.search(r"(\d+) generated", said)
    assert generated
    assert int(generated[1]) > 100


@pytest.mark.long
@pytest.mark.timeout(1_200)
def test_the_same_for_minutes(served: tuple[Server, str | None], redis_db: Settings, tmp_path: Path) -> None:
    publish(redis_db)
    schemathesis(served, tmp_path, "--max-examples", "3000", "--max-time", "240")
