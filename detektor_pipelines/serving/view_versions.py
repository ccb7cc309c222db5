"""Which definition `view@v2` means: Feast's registry numbers what was registered, the online store keeps what each one wrote.

    feast.feature_view_version_history        number → the data hash and max_age in the tags of what was registered under it
    feast:<project>:<view>@<hash>#layout      in Redis: the features of that version, as long as its values are kept

Only a request that names a version by its number, or asks for the current one's, comes here; all others need no PostgreSQL. Feast is not
imported (`stores.feast.registered`).
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Final

from detektor_pipelines.catalog import view_named
from detektor_pipelines.errors import UserError
from detektor_pipelines.language.hashes import SHORT, short_hash
from detektor_pipelines.serving.requested import Pin, Version
from detektor_pipelines.stores.feast import registered
from detektor_pipelines.stores.online.packing import Layout
from detektor_pipelines.stores.online.values import StoredView, layout_key, stored_view
from detektor_pipelines.web.problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from detektor_pipelines.serving.values.live_values import LiveValues
    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stores.feast.registered import Registered

KEPT_S: Final = 60
"""How long what is known of a version is taken without looking again: it may have been dropped."""

_FRESH_S: Final = 5
"""How long the registry is taken not to have grown."""

_PATIENCE_S: Final = 3


class ViewVersions:
    """What the versions are; to be used inside one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._histories: dict[str, tuple[float, list[Registered]]] = {}
        self._versions: dict[Pin, tuple[float, Version]] = {}
        self._one_reader = asyncio.Lock()

    async def of(self, pins: Sequence[Pin], live: LiveValues) -> Mapping[Pin, Version]:
        """Return what some pins mean.

        Raises:
            ProblemError: 404 for a number that is not registered, 410 for a version of which nothing is kept, 503 when PostgreSQL does
                not answer.
            OnlineStoreDownError: Redis does not answer.

        """
        return {pin: await self._of(pin, live) for pin in pins}

    async def _of(self, pin: Pin, live: LiveValues) -> Version:
        kept = self._versions.get(pin)
        if kept is not None and time.monotonic() < kept[0]:
            return kept[1]
        history = await self._history(pin)
        found = _current(pin, history) if pin.number is None else await self._stored(pin, history, live)
        self._versions[pin] = (time.monotonic() + KEPT_S, found)
        return found

    async def _stored(self, pin: Pin, history: Sequence[Registered], live: LiveValues) -> Version:
        wanted = next((each for each in history if each.number == pin.number), None)
        if wanted is None:
            numbers = ", ".join(f"v{each.number}" for each in history) or "none"
            raise ProblemError(404, f"There is no version v{pin.number} of {pin.view}. Registered are: {numbers}.")
        if wanted.data_hash[:SHORT] == short_hash(view_named(pin.view)):
            return Version(stored_view(view_named(pin.view)), pin.number)
        bare = StoredView(pin.view, wanted.data_hash[:SHORT], Layout.of([]), wanted.max_age_us)
        (layout,) = await live.get([layout_key(self._settings.project, bare)])
        try:
            fields = json.loads(layout or b"")
            whole = StoredView(bare.name, bare.hash, Layout.of((name, kind) for name, kind in fields), bare.max_age_us)
        except (ValueError, TypeError):
            gone = f"The online store holds nothing of {pin.view}@v{pin.number}."
            detail = f"{gone} It was never published, or its values were deleted: ask for the current version, or read its history offline."
            raise ProblemError(410, detail) from None
        return Version(whole, pin.number)

    async def _history(self, pin: Pin) -> list[Registered]:
        """Return a view's history, read again when it may have grown by what is asked for."""
        async with self._one_reader:
            at, found = self._histories.get(pin.view, (float("-inf"), []))
            if time.monotonic() - at > _FRESH_S:
                try:
                    async with asyncio.timeout(_PATIENCE_S):
                        found = await asyncio.to_thread(registered.history, self._settings, pin.view)
                except (UserError, TimeoutError) as error:
                    reason = error.what if isinstance(error, UserError) else "PostgreSQL does not answer."
                    detail = f"The registry, which lists the versions, cannot be read. {reason} The current versions are served without it."
                    raise ProblemError(503, detail) from None
                self._histories[pin.view] = (time.monotonic(), found)
            return found


def _current(pin: Pin, history: Sequence[Registered]) -> Version:
    view = stored_view(view_named(pin.view))
    numbers = [each.number for each in history if each.data_hash[:SHORT] == view.hash]
    return Version(view, max(numbers, default=None))
