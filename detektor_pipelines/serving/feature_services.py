"""Which features a feature service has that somebody applied with Feast's SDK: Feast's registry keeps them, the feature server serves them.

    feast.feature_services    name → FeatureService, as Feast's protobuf message

Services of the definitions need none of this: `compile.feast.SERVICES`. Feast, which takes seconds to import, is not: of its messages the
few fields that matter are read by their numbers.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from detektor_pipelines.errors import UserError
from detektor_pipelines.stores.connections import connect
from detektor_pipelines.web.problems import ProblemError

if TYPE_CHECKING:
    from google.protobuf.unknown_fields import UnknownFieldSet

    from detektor_pipelines.settings import Settings

KEPT_S: Final = 60
"""How long what a service has is taken without looking again: it may be applied anew."""

FRESH_S: Final = 5
"""How long a service that is not there is taken not to be."""

_LIMIT: Final = 1_000
"""How many are remembered: names are whatever callers send."""

_PATIENCE_S: Final = 3

_SERVICE: Final = "SELECT feature_service_proto FROM feast.feature_services WHERE project_id = %s AND feature_service_name = %s"
_NO_TABLE: Final = "SELECT to_regclass('feast.feature_services') IS NULL"

# Numbers of the fields in Feast's messages.
_SPEC: Final = 1
_PROJECTIONS: Final = 3
_VIEW, _COLUMNS, _ALIAS, _KEY_MAP, _VERSION = 1, 2, 3, 4, 10
_COLUMN_NAME: Final = 1


class _Kept(NamedTuple):
    until: float
    references: tuple[str, ...] | None


class FeatureServices:
    """What the services are; to be used inside one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._kept: dict[str, _Kept] = {}
        self._one_reader = asyncio.Lock()

    async def of(self, name: str) -> tuple[str, ...]:
        """Return a service's features, as references.

        Raises:
            ProblemError: 404 for one that is not registered, 422 for one that cannot be read here, 503 when PostgreSQL does not answer and
                nothing is known of it.

        """
        async with self._one_reader:
            kept = self._kept.get(name)
            if kept is None or time.monotonic() >= kept.until:
                kept = await self._look(name, kept)
        if kept.references is None:
            detail = "Registered is none of that name: apply it with Feast, or see `feast feature-services list` for those there are."
            raise ProblemError(404, f"There is no feature service {name!r:.100}", detail)
        return kept.references

    async def _look(self, name: str, known: _Kept | None) -> _Kept:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                references = await asyncio.to_thread(_read, self._settings, name)
        except (UserError, TimeoutError) as error:
            if known is not None and known.references is not None:
                return known  # what it was a minute ago is better than nothing
            reason = error.what if isinstance(error, UserError) else "PostgreSQL does not answer."
            detail = (
                f"{reason} What a service that is not of the definitions has stands in it; features are served by their names without it."
            )
            raise ProblemError(503, "The registry cannot be read", detail) from None
        if len(self._kept) >= _LIMIT:
            self._kept.clear()
        self._kept[name] = _Kept(time.monotonic() + (FRESH_S if references is None else KEPT_S), references)
        return self._kept[name]


def _read(settings: Settings, name: str) -> tuple[str, ...] | None:
    if "\0" in name:  # no text of PostgreSQL's
        return None
    with connect(settings) as connection:
        absent = connection.execute(_NO_TABLE).fetchone()
        if absent is None or absent[0]:
            return None
        row = connection.execute(_SERVICE, (settings.project, name)).fetchone()
    return None if row is None else references_of(name, bytes(row[0]))


def references_of(name: str, proto: bytes) -> tuple[str, ...]:
    """Return the references that a registered FeatureService stands for, in its order.

    Raises:
        ProblemError: 422; it renames views or keys, which is for Feast's SDK.

    """
    references: list[str] = []
    for spec in _messages(proto, _SPEC):
        for projection in _messages(spec, _PROJECTIONS):
            view = b"".join(_messages(projection, _VIEW)).decode()
            if any(_messages(projection, _ALIAS)) or any(_messages(projection, _KEY_MAP)):
                detail = f"It gives {view} another name, or other keys: read it with Feast's SDK, or apply it without with_name and"
                raise ProblemError(422, f"{name:.100} cannot be served over HTTP", f"{detail} with_join_key_map.")
            (version,) = _numbers(projection, _VERSION) or [0]
            source = f"{view}@v{version}" if version else view
            names = [b"".join(_messages(column, _COLUMN_NAME)).decode() for column in _messages(projection, _COLUMNS)]
            references += [f"{source}:{each}" for each in names]
    return tuple(references)


def _messages(proto: bytes, number: int) -> list[bytes]:
    """Return the texts and messages in a message's field."""
    return [each.data for each in _fields(proto) if each.field_number == number and isinstance(each.data, bytes)]


def _numbers(proto: bytes, number: int) -> list[int]:
    return [each.data for each in _fields(proto) if each.field_number == number and isinstance(each.data, int)]


def _fields(proto: bytes) -> UnknownFieldSet:
    """Return a message's fields by their numbers, as protobuf gives them of a message that it knows nothing of."""
    from google.protobuf.empty_pb2 import Empty
    from google.protobuf.unknown_fields import UnknownFieldSet

    return UnknownFieldSet(Empty.FromString(proto))
