"""What is kept of a record is masked here, before it is checked, stored, counted or shown, whichever way it came.

Every event and every rejection passes `Masker.record`: files in `ingest.run`, everything live in `ingest.live.writer`. Texts go through all
rules of `detektor_pipelines.masks`; ids, projects and paths through those for unmistakable shapes, and what is taken out of them becomes a
keyed hash, so that two names stay two and the same stays the same. People's names become pseudonyms by the same key. What each column can
hold afterwards stands in docs/privacy.md.
"""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from operator import attrgetter
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Final

from detektor_pipelines.errors import UserError
from detektor_pipelines.language.records import AgentEvent, Rejection
from detektor_pipelines.masks import PSEUDONYM, is_pseudonym, mask, mask_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from detektor_pipelines.language.records import Json
    from detektor_pipelines.settings import Settings

__all__ = ["EXCERPT_LIMIT", "Masker", "excerpt", "mask", "pseudonym"]

EXCERPT_LIMIT: Final = 200
"""Characters of evidence that an event or a rejection may carry."""

KEY_FILE: Final = "masking.key"
"""In DETEKTOR_HOME, for its owner alone: the key of pseudonyms. Installations that share a database need the same one."""

_SCAN_LIMIT: Final = 4_000
"""An excerpt is taken from the beginning: masking megabytes to keep 200 characters would be waste."""

_TEXT_LIMIT: Final = 32_768
"""Characters of one text that are looked at; what is longer is refused by the checks, so no more of it is kept."""

_REMEMBERED: Final = 50_000
_REMEMBERED_LENGTH: Final = 300
_SPACE: Final = re.compile(r"\s+")
_DRAWN: Final = re.compile(
    r"(?:[a-z_]{1,20}:){0,2}(?:(?:toolu|srvtoolu|call|msg|req|resp|ws|fc|rs)_[0-9A-Za-z]{1,64}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:[:@#/.][0-9a-z]{1,24}){0,3}"
)
"""Ids that are most of all there are, and hold nothing: the other rules are not asked."""

_NAMES: Final = ("source", "project", "session_id", "task_id")
_shared_by: Final = attrgetter(*_NAMES, "raw_name")

_PERSONS: Final = frozenset(
    (
        *("user", "user_id", "user.id", "userid", "username", "user_name", "user.name", "user_email", "user.email"),
        *("email", "login", "author", "owner", "assignee", "account", "person"),
    )
)
"""Attributes whose whole value names a person."""


def excerpt(text: str | bytes, limit: int = EXCERPT_LIMIT) -> str:
    """Return the beginning of `text` on one line, masked, `limit` characters at most; bytes that are not UTF-8 become U+FFFD."""
    if isinstance(text, bytes):
        text = text[:_SCAN_LIMIT].decode("utf-8", errors="replace")
    line = _SPACE.sub(" ", mask(text[:_SCAN_LIMIT]).replace("\x00", "\ufffd")).strip()
    return line if len(line) <= limit else line[: limit - 1] + "…"


def pseudonym(key: bytes, name: str) -> str:
    """Return what stands for a person's name: the same for the same name and key, and without the key nobody can try names."""
    return name if is_pseudonym(name) else PSEUDONYM + _hashed(key, name)[:10]


def key_of(home: Path) -> bytes:
    """Return the installation's key; the first call makes it.

    Raises:
        UserError: It can neither be read nor made.

    """
    path = home / KEY_FILE
    try:
        return _read_or_made(path)
    except OSError as error:
        raise UserError(
            f"The key of pseudonyms can neither be read nor made: {error.strerror}.",
            where=str(path),
            fix="Make the directory writable, or copy the key of an installation that shares the database.",
        ) from None


def _read_or_made(path: Path) -> bytes:
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=path.parent, prefix=f"{path.name}.") as whole:  # made by mkstemp: its owner's alone
            whole.write(os.urandom(32).hex().encode())
            whole.flush()
            with suppress(FileExistsError):  # another process was quicker
                os.link(whole.name, path)
        key = path.read_bytes()
    return key.strip()[:64]


def _hashed(key: bytes, text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=key, digest_size=8).hexdigest()


class Masker:
    """Masks records; remembers short texts, for most stand in thousands of records. Not for several threads at once.

    Args:
        key: Returns the key of pseudonyms; called when something is first to be replaced by one.

    """

    def __init__(self, key: Callable[[], bytes]) -> None:
        self._key_of = key
        self._texts: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._shared: set[tuple[object, ...]] = set()
        """Source, project, session, task and raw name of events, that are known to stay as they are."""
        self._staying: set[tuple[str, Json]] = set()
        """Categories and their values that are known to stay as they are."""

    @classmethod
    def of(cls, settings: Settings) -> Masker:
        """Return one with the installation's key."""
        return cls(lambda: key_of(settings.home))

    @cached_property
    def _key(self) -> bytes:
        return self._key_of()

    def record(self, record: AgentEvent | Rejection) -> AgentEvent | Rejection:
        """Return the record as it may be kept."""
        return self.event(record) if isinstance(record, AgentEvent) else self.rejection(record)

    def event(self, event: AgentEvent) -> AgentEvent:
        """Return the event as it may be kept: itself, where nothing is to be masked."""
        event_id, shared = event.event_id, _shared_by(event)
        changed: dict[str, object] = {}
        if type(event_id) is str and _DRAWN.fullmatch(event_id) is None and (masked := self.name(event_id)) != event_id:
            changed["event_id"] = masked
        try:
            stays = shared in self._shared
        except TypeError:  # a list or an object, where a text should be
            stays = False
        if not stays:
            changed |= self._of_shared(shared)
        if event.categories and not self._stays(event.categories):
            categories = self._values(event.categories)
            if categories is event.categories:
                self._remember(event.categories)
            else:
                changed["categories"] = categories
        if event.attributes and (attributes := self._values(event.attributes)) is not event.attributes:
            changed["attributes"] = attributes
        if event.extra and (extra := self._values(event.extra)) is not event.extra:
            changed["extra"] = extra
        return replace(event, **changed) if changed else event  # type: ignore[arg-type]

    def _of_shared(self, shared: tuple[object, ...]) -> dict[str, object]:
        """What changes of the names that stand in many events; remembered where nothing does."""
        *names, raw_name = shared
        changed: dict[str, object] = {}
        for name, value in zip(_NAMES, names, strict=True):
            if type(value) is str and (masked := self.name(value)) != value:
                changed[name] = masked
        if isinstance(raw_name, str) and (said := self.text(raw_name)) != raw_name:
            changed["raw_name"] = said
        if not changed and all(value is None or (type(value) is str and len(value) <= _REMEMBERED_LENGTH) for value in shared):
            if len(self._shared) >= _REMEMBERED:
                self._shared.clear()
            self._shared.add(shared)
        return changed

    def rejection(self, rejection: Rejection) -> Rejection:
        """Return the rejection as it may be kept."""
        return Rejection(
            self.name(rejection.source),
            rejection.line,
            self.text(rejection.reason),
            self.text(rejection.excerpt),
            self.name(rejection.event_id) if rejection.event_id else rejection.event_id,
        )

    def name(self, name: str) -> str:
        """Mask an id, a project's name or a path: what goes becomes a keyed hash, the rest stays."""
        if _DRAWN.fullmatch(name):
            return name
        return _remembered(self._names, name, lambda text: mask_name(text[:_TEXT_LIMIT], self._put))

    def _stays(self, values: Mapping[str, Json]) -> bool:
        """Whether all of these values are known to stay as they are."""
        try:
            return values.items() <= self._staying
        except TypeError:  # one is a list or an object
            return False

    def _remember(self, values: Mapping[str, Json]) -> None:
        if len(self._staying) >= _REMEMBERED:
            self._staying.clear()
        self._staying.update((name, value) for name, value in values.items() if type(value) is str and len(value) <= _REMEMBERED_LENGTH)

    def text(self, text: str) -> str:
        """Mask free text."""
        return _remembered(self._texts, text, lambda each: mask(each[:_TEXT_LIMIT]))

    def _put(self, rule: str, said: str) -> str:
        return pseudonym(self._key, said) if rule.startswith("home") else f"masked-{_hashed(self._key, said)[:12]}"

    def _values(self, values: Mapping[str, Json]) -> Mapping[str, Json]:
        if not isinstance(values, dict):
            return values  # the checks refuse it
        changed = {name: masked for name, value in values.items() if (masked := self._value(name, value)) is not value}
        if not changed and all(type(name) is str and self.text(name) == name for name in values):
            return values
        return {(self.text(name) if type(name) is str else name): changed.get(name, value) for name, value in values.items()}

    def _value(self, name: object, value: Json) -> Json:
        if isinstance(value, str):
            if name in _PERSONS:
                return pseudonym(self._key, value) if value else value
            masked = self.name(value) if isinstance(name, str) and name.endswith("id") else self.text(value)
            return value if masked == value else masked
        if isinstance(value, dict):
            return self._values(value)  # type: ignore[return-value]
        if isinstance(value, list):
            masked_list = [self._value(name, each) for each in value]
            return value if all(map(lambda one, two: one is two, masked_list, value)) else masked_list
        return value


def _remembered(known: dict[str, str], text: str, masked: Callable[[str], str]) -> str:
    found = known.get(text)
    if found is None:
        found = masked(text)
        if len(text) <= _REMEMBERED_LENGTH:
            if len(known) >= _REMEMBERED:
                known.clear()
            known[text] = found
    return found
