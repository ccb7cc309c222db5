"""The end of a version: its rows, the state of its days and its online values go; its definition stays in the lock.

What can be interrupted is done again by the same call: what is gone already is no error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from detektor_pipelines.catalog import DECLARED
from detektor_pipelines.errors import UserError
from detektor_pipelines.language.hashes import SHORT, data_hash
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.stores.connections_redis import redis_client
from detektor_pipelines.stores.feast import registered as feast_registered
from detektor_pipelines.stores.mlflow.model_versions import model_versions
from detektor_pipelines.stores.mlflow.rest import TrackingUnavailableError
from detektor_pipelines.stores.offline.row_tables import SCHEMA
from detektor_pipelines.stores.offline.rows import publication_lock
from detektor_pipelines.stores.online import versions as online_versions
from detektor_pipelines.versions import choice
from detektor_pipelines.versions.lock import History
from detektor_pipelines.versions.plan import users

if TYPE_CHECKING:
    import psycopg

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings

_DIGEST: Final = re.compile(rf"[0-9a-f]{{{SHORT},64}}")
_DAYS: Final = "DELETE FROM ml_learning.partition_state WHERE view = %s AND left(data_hash, %s) = %s"


@dataclass(frozen=True, slots=True)
class Retiring:
    """A version that may go. `rows`, `days`: what stands of it; `models`: who uses it, None when nobody could say."""

    view: FeatureView
    version: str
    digest: str
    rows: int
    days: int
    models: tuple[str, ...] | None

    @property
    def name(self) -> str:
        """View, version and hash in words."""
        return f"{self.view.name} {self.version} ({self.digest[:SHORT]})"

    @property
    def table(self) -> str:
        """The table of its rows, without the schema."""
        return f"{self.view.name}__{self.digest[:SHORT]}"


@dataclass(frozen=True, slots=True)
class Retired:
    """What went."""

    rows: int
    days: int
    values: int


def find(settings: Settings, view: FeatureView, version: str) -> Retiring:
    """Return a version of a view, by its number, or by the beginning of the hash of one that the lock does not know.

    Raises:
        UserError: There is none, or it is in use: in force, declared by the view's file, or Feast's present one.

    """
    digest = version if _DIGEST.fullmatch(version) else History().version(view.name, version).locked.data_hash
    _refuse_in_use(settings, view, version, digest)
    try:
        models: tuple[str, ...] | None = users(model_versions(settings), digest)
    except TrackingUnavailableError:
        models = None
    with connect(settings) as connection:
        rows, days = _standing(connection, view, digest)
    return Retiring(view, version, digest, rows, days, models)


def check_models(found: Retiring) -> None:
    """Refuse a version that a registered model was made from.

    Raises:
        UserError: One was, or MLflow does not say.

    """
    if found.models is None:
        raise UserError(
            f"Whether a registered model uses {found.name} is not known: MLflow does not answer.",
            fix="`detektor up mlflow`, or --force to retire it all the same.",
        )
    if found.models:
        raise UserError(
            f"{found.name} is used by {', '.join(found.models)}.",
            fix="Train the model on the version in force, or delete that model version; --force retires the features all the same.",
        )


def retire(settings: Settings, found: Retiring, *, force: bool = False) -> Retired:
    """Delete what stands of a version; nobody may keep it fresh any longer (`choice.let_go`, and a stream worker that has heard of it).

    Args:
        settings: Where the servers are.
        found: The version.
        force: SQL views that people have made on top of its table go too.

    Raises:
        UserError: A server cannot be reached, or SQL views hang on its table.

    """
    with connect(settings, writes=True) as connection:
        _drop(connection, found, force=force)
    client = redis_client(settings)
    try:
        values = online_versions.drop(client, settings.project, f"{found.view.name}@{found.digest[:SHORT]}")
    finally:
        client.close()
    return Retired(found.rows, found.days, values)


def _refuse_in_use(settings: Settings, view: FeatureView, version: str, digest: str) -> None:
    for why, views in (("in force", choice.in_force(settings)), ("what the view's file declares", DECLARED)):
        if any(each.name == view.name and data_hash(each).startswith(digest) for each in views):
            raise UserError(f"{view.name} {version} is {why}.", fix="Only a version that another one has replaced can be retired.")
    registered = feast_registered.present(settings).get(view.name)
    if registered is not None and registered.data_hash.startswith(digest):
        raise UserError(f"{view.name} {version} is what Feast's registry holds.", fix="`detektor apply` registers the one in force.")


def _standing(connection: psycopg.Connection, view: FeatureView, digest: str) -> tuple[int, int]:
    """Return how many rows and published days there are of a version."""
    from psycopg import sql

    table, rows = f"{view.name}__{digest[:SHORT]}", 0
    exists = connection.execute("SELECT to_regclass(%s) IS NOT NULL", (f'{SCHEMA}."{table}"',)).fetchone()
    if exists and exists[0]:
        counted = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(SCHEMA, table))).fetchone()
        rows = counted[0] if counted else 0
    days = connection.execute(
        "SELECT count(*) FROM ml_learning.partition_state WHERE view = %s AND left(data_hash, %s) = %s", (view.name, SHORT, digest[:SHORT])
    ).fetchone()
    return rows, days[0] if days else 0


def _drop(connection: psycopg.Connection, found: Retiring, *, force: bool) -> None:
    import psycopg
    from psycopg import sql

    connection.execute("SELECT pg_advisory_xact_lock(%s)", (publication_lock(found.view),))
    statement = sql.SQL("DROP TABLE IF EXISTS {} {}").format(sql.Identifier(SCHEMA, found.table), sql.SQL("CASCADE" if force else ""))
    try:
        connection.execute(statement)
    except psycopg.errors.DependentObjectsStillExist as error:
        hanging = "; ".join((error.diag.message_detail or "").splitlines())
        raise UserError(
            f"SQL views of somebody's hang on the rows of {found.name}: {hanging}.",
            where=f"{SCHEMA}.{found.table}",
            fix="Drop them, or --force to have them dropped.",
        ) from None
    connection.execute(_DAYS, (found.view.name, SHORT, found.digest[:SHORT]))
