"""Which versions of a view Feast's registry holds, read without importing Feast, which takes seconds.

    feast.feature_views                   the present version of each view
    feast.feature_view_version_history    number → what was registered under it

What is wanted stands in tags (`compile.feast`), and those are found in the registered bytes by their shape.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from detektor_pipelines.compile.feast import DATA_HASH, FEATURE_VERSION, MAX_AGE
from detektor_pipelines.stores.connections import connect

if TYPE_CHECKING:
    import psycopg

    from detektor_pipelines.settings import Settings

_PRESENT: Final = "SELECT feature_view_name, feature_view_proto FROM feast.feature_views WHERE project_id = %s"
_HISTORY: Final = """
SELECT version_number, feature_view_proto FROM feast.feature_view_version_history
WHERE project_id = %s AND feature_view_name = %s ORDER BY version_number
"""


class Registered(NamedTuple):
    """A version as it was registered; `number` is Feast's own, 0 for the present one of `present`."""

    number: int
    version: str
    data_hash: str
    max_age_us: int | None


def present(settings: Settings) -> dict[str, Registered]:
    """Return the present version of each view of ours, by its name.

    Raises:
        UserError: PostgreSQL cannot be reached.

    """
    with connect(settings) as connection:
        if not _exists(connection, "feast.feature_views"):
            return {}
        rows = connection.execute(_PRESENT, (settings.project,)).fetchall()
    return {name: found for name, proto in rows if (found := _registered(0, bytes(proto))) is not None}


def history(settings: Settings, view: str) -> list[Registered]:
    """Return all versions of a view, by Feast's numbers.

    Raises:
        UserError: PostgreSQL cannot be reached.

    """
    with connect(settings) as connection:
        if not _exists(connection, "feast.feature_view_version_history"):
            return []
        rows = connection.execute(_HISTORY, (settings.project, view)).fetchall()
    return [found for number, proto in rows if (found := _registered(number, bytes(proto))) is not None]


def _exists(connection: psycopg.Connection, table: str) -> bool:
    row = connection.execute("SELECT to_regclass(%s) IS NOT NULL", (table,)).fetchone()
    return bool(row and row[0])


def _registered(number: int, proto: bytes) -> Registered | None:
    digest, max_age = _tag(proto, DATA_HASH), _tag(proto, MAX_AGE)
    if not digest:
        return None
    return Registered(number, (_tag(proto, FEATURE_VERSION) or "").removeprefix("v"), digest, int(max_age) if max_age else None)


def _tag(proto: bytes, name: str) -> str | None:
    """Return a tag's value: an entry of a protobuf map is field 1, its length and the name, then field 2, its length and the text."""
    head = b"\x0a" + bytes([len(name)]) + name.encode() + b"\x12"
    match = re.search(re.escape(head) + rb"([\x00-\x7f])", proto)
    if match is None:
        return None
    return proto[match.end() : match.end() + match[1][0]].decode()


def texts(settings: Settings, view: str) -> dict[str, dict[str, str]]:
    """Return description, unit and null_means of each feature of a view as they are registered; nothing of one that is not. Imports Feast.

    Raises:
        UserError: PostgreSQL cannot be reached.

    """
    from feast.protos.feast.core.FeatureView_pb2 import FeatureView

    with connect(settings) as connection:
        row = connection.execute(f"{_PRESENT} AND feature_view_name = %s", (settings.project, view)).fetchone()
    if row is None:
        return {}
    fields = FeatureView.FromString(bytes(row[1])).spec.features
    return {
        each.name: {"description": each.description} | {key: each.tags.get(key, "") for key in ("unit", "null_means")} for each in fields
    }
