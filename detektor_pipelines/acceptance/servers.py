"""T1 to T4: the stores and the two servers of Feast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from detektor_pipelines.acceptance import commands
from detektor_pipelines.acceptance.findings import judged, passed
from detektor_pipelines.stack.servers import postgres
from detektor_pipelines.stores.connections import connect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detektor_pipelines.acceptance.findings import Part, Say
    from detektor_pipelines.settings import Settings

_KEYS: Final = 10
_SOME_KEYS: Final = 10_000
_UP: Final = "detektor up"


def raw_log(settings: Settings, _: Say) -> Iterator[Part]:
    r"""T1: `\dn` lists ml_learning, and the raw log is in it."""
    listed = [line.partition("|")[0] for line in postgres.run_sql(settings.postgres_dsn, r"\dn").splitlines()]
    yield judged("ml_learning" in listed, rf"\dn lists {', '.join(listed)}", "detektor up postgres, then detektor demo or detektor ingest")
    with connect(settings) as connection:
        row = connection.execute("SELECT EXISTS (SELECT FROM ml_learning.agent_events)").fetchone()
    yield judged(row == (True,), "ml_learning.agent_events holds events", "detektor ingest ~/.claude, or detektor demo")


def healthy(settings: Settings, _: Say) -> Iterator[Part]:
    """T2: GET /health of both servers holds OK."""
    for title, url in (("feature server", settings.serve_url), ("registry", settings.registry_url)):
        status, text = commands.get(url, "/health")
        holds = status == 200 and '"OK"' in text  # noqa: PLR2004 - HTTP's
        shown = text.strip().replace("\n", " ")[:60]
        yield judged(
            holds, f"{title}, port {url.rpartition(':')[2]}: {status} {shown}", f"curl {url}/health says what is wrong and what to do"
        )


def registry(settings: Settings, _: Say) -> Iterator[Part]:
    r"""T3: `\dt feast.*` lists Feast's tables, the configuration says PostgreSQL and detektor, connections are pooled."""
    import yaml

    from detektor_pipelines.compile.feast_repo import STORE_FILE, render
    from detektor_pipelines.stores.feast.registry import environment

    rows = [line.split("|") for line in postgres.run_sql(settings.postgres_dsn, r"\dt feast.*").splitlines()]
    tables = [row[1] for row in rows if row[0] == "feast"]
    yield judged("feature_views" in tables, rf"\dt feast.* lists {len(tables)} tables", "feast apply, or detektor demo")
    store = yaml.safe_load(render()[STORE_FILE])["registry"]
    path = environment(settings)[store["path"].strip("${}")]
    fits = path.startswith("postgresql") and "/detektor?" in path and "://detektor:" in path
    address = f"postgresql…//{settings.postgres_user}…/{settings.postgres_database}"
    yield judged(fits, f"the registry is at {address}", "Unset DETEKTOR_POSTGRES_USER and _DATABASE: both are detektor")
    pool = store["sqlalchemy_config_kwargs"]["pool_size"]
    yield judged(pool > 0, f"a pool of {pool} connections", "detektor generate writes feature_repo/feature_store.yaml")


def online_keys(settings: Settings, _: Say) -> Iterator[Part]:
    """T4: `redis-cli --scan --pattern "feast:*"` finds ten keys or more."""
    from detektor_pipelines.stores.connections_redis import redis_client, redis_errors

    client = redis_client(settings)
    found = 0
    with client, redis_errors(client):
        for _key in client.scan_iter("feast:*", count=1_000):
            found += 1
            if found == _SOME_KEYS:
                break
    text = f"{found:,}{'+' if found == _SOME_KEYS else ''} keys feast:*"
    yield judged(found >= _KEYS, text, "detektor online repair, or detektor demo")
    if found >= _KEYS:
        yield passed("written by publishing; feast materialize-incremental writes the same")
