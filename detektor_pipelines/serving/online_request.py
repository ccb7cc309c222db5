"""One online read in the words of Feast's HTTP API: the request's JSON understood, and the rows found put into Feast's answer.

Pure: no server, no Redis, no Feast. Which keys are read and what status a value has is said by `stores.online.values`, here as for Feast's
own SDK. What differs from stock Feast: values stand in the order asked for, views grouped; a missing agent is NOT_FOUND; `metadata` also
holds `value_age_seconds`, by view and agent, which Feast's client passes over.

Features are named as in training sets (`training.references`): `view:feature`, `view` for all of them, `view@all:feature` for the row over
all projects. Of another agent's view it is that agent's row of the same project: asked about `code-reviewer@shop`, `coding_features` means
`detektor-coder@shop`. Of one view one may name a version too: `view@latest:feature`, or `view@v2:feature`, what was registered as Feast's
version 2; or instead of features a feature service. What is not in the definitions stands in Feast's registry: whoever calls `parse` finds
it out (`view_versions`, `feature_services`) when `VersionsNeededError` or `ServiceNeededError` says that it is needed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import orjson

from detektor_pipelines import clock
from detektor_pipelines.compile.feast import JOIN_KEY, SERVICES
from detektor_pipelines.language.windows import SECOND
from detektor_pipelines.serving.requested import (
    AGENTS,
    VIEWS_BY_NAME,
    Pin,
    Version,
    ViewPart,
    grouped_by_source,
    parts_of,
    rows_of_parts,
)
from detektor_pipelines.stores.online.values import Lookup, stored_view
from detektor_pipelines.training.references import ALL
from detektor_pipelines.web.problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from detektor_pipelines.stores.online.values import OnlineRow

FEATURES_LIMIT: Final = 1_000
"""References of a request, those that are named twice counted twice; the catalogue has a few hundred at most."""

VALUES_LIMIT: Final = 1_000_000
"""Values of an answer, agents times features: what they cost is known before anything is read."""

_TEXT: Final = {str}
_SHOWN: Final = 3
_MANY: Final = 1_000
_SHOWN_TEXT: Final = 100


class VersionsNeededError(Exception):
    """What the versions named here are must be known before the request can be understood."""

    def __init__(self, pins: Sequence[Pin]) -> None:
        super().__init__(pins)
        self.pins = tuple(pins)


class ServiceNeededError(Exception):
    """Which features a feature service has must be known before the request can be understood."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(frozen=True, slots=True)
class OnlineRequest:
    """A request that can be answered.

    `rows`: by part the agent_ids whose rows are read, in the order of those asked about; the very list of these where no other's is meant.
    """

    parts: tuple[ViewPart, ...]
    agent_ids: list[str]
    rows: list[list[str]]
    numbers: tuple[tuple[str, int | None], ...] | None = None  # the views' version numbers, when they were asked for
    pinned: bool = False  # a part is of a version that need not be the current one
    why: bool = False  # what each value knows and who wrote it is wanted too

    def lookups(self, project: str) -> list[Lookup]:
        """Return what is to be read: one lookup a view, all of them one round trip."""
        return [Lookup(project, part.view, rows) for part, rows in zip(self.parts, self.rows, strict=True)]

    @property
    def values(self) -> int:
        """How many values the answer has, agents times features."""
        return _values(self.parts, self.agent_ids)

    def of_others(self) -> list[int]:
        """Return the positions of the parts that read other rows than those of the agents asked about."""
        return [number for number, rows in enumerate(self.rows) if rows is not self.agent_ids]


_NONE: Final[Mapping[Pin, Version]] = MappingProxyType({})
_NO_SERVICES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType({})


def parse(
    body: bytes,
    entities_limit: int,
    versions: Mapping[Pin, Version] = _NONE,
    services: Mapping[str, tuple[str, ...]] = _NO_SERVICES,
) -> OnlineRequest:
    """Understand a request's body.

    `versions` is what is known of versions that are not the current ones, `services` the features of services that are not of the
    definitions.

    Raises:
        ProblemError: 400 when it is not a JSON object, 404 for a view that is not there, 413 for too many agents, 422 for anything else.
        VersionsNeededError: It names versions that `versions` does not hold.
        ServiceNeededError: It names a service that neither `services` nor the definitions hold.

    """
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ProblemError(400, f"The body is not JSON: {error}. Send an object with features and entities.") from None
    if not isinstance(content, dict):
        raise ProblemError(400, "The body is not a JSON object. Send one with features and entities.")
    agent_ids = _agent_ids(content.get("entities"), entities_limit)
    references, full_names = _references(content, services), _flag(content, "full_feature_names")
    with_numbers = _flag(content, "include_feature_view_version_metadata")
    why = _flag(content, "why")
    _check_count(len(references))
    parts = _plan(references, full_names)
    if parts is not None and not with_numbers:
        _check_values(parts, agent_ids)
        return OnlineRequest(parts, agent_ids, rows_of_parts(parts, agent_ids), why=why)
    return replace(_with_versions(references, full_names, with_numbers, agent_ids, versions), why=why)


def answer(
    request: OnlineRequest, rows: Sequence[Sequence[OnlineRow | None]], refused: Sequence[Sequence[bytes | None]] = ()
) -> tuple[bytes, float | None]:
    """Return the answer's JSON, and the age of its oldest value in seconds, None when nothing was found.

    `rows`: of `stores.online.values.rows_of`, one list a view, each in the order of the request's agents; `refused`: in the same order what
    `stores.online.values.refused_key` holds, for a request that wants to know why, and nothing when that could not be read. A value's age
    is the time since the last instant up to which it is known to be true.
    """
    now = clock.now_us()
    results: list[dict[str, Any]] = [agents_result(request)]
    ages: dict[str, Any] = {}
    oldest: float | None = None
    for part, found in zip(request.parts, rows, strict=True):
        results += results_of(part, found)
        ages[part.name] = _in_pieces(theirs := [None if row is None else _age(row, now) for row in found])
        oldest = max((age for age in (oldest, *theirs) if age is not None), default=None)
    metadata: dict[str, Any] = {"feature_names": names_of(request), "value_age_seconds": ages}
    if rows_of := others_of(request):
        metadata["rows_of"] = rows_of
    if request.numbers is not None:
        metadata["feature_view_metadata"] = [
            {"name": name} if number is None else {"name": name, "version": number} for name, number in request.numbers
        ]
    if request.why:
        metadata["why"] = _why(request, rows, refused)
    return orjson.dumps({"metadata": metadata, "results": results}, option=orjson.OPT_UTC_Z), oldest


def names_of(request: OnlineRequest) -> list[str]:
    """Return what the answer's results are called, in their order."""
    return [JOIN_KEY, *(name for part in request.parts for name in part.names)]


def agents_result(request: OnlineRequest) -> dict[str, Any]:
    """Return the first of the answer's results: the agents themselves."""
    agents = request.agent_ids
    return {"values": agents, "statuses": ["PRESENT"] * len(agents), "event_timestamps": [clock.EPOCH] * len(agents)}


def others_of(request: OnlineRequest) -> dict[str, list[str]]:
    """Return by part the agents whose rows are meant, where those are others than who is asked about."""
    return {request.parts[number].name: request.rows[number] for number in request.of_others()}


def check_others(request: OnlineRequest, rows: Sequence[Sequence[OnlineRow | None]]) -> None:
    """Refuse features of others that can only be null: nothing was ever published of any row that they are of.

    Raises:
        ProblemError: 422; says of which rows there is nothing, and what to ask instead.

    """
    for number in request.of_others():
        if any(row is not None for row in rows[number]):
            continue
        part = request.parts[number]
        asked = [pair for pair in zip(request.agent_ids, request.rows[number], strict=True) if pair[0].partition("@")[0] in AGENTS]
        if not asked or any(own == theirs for own, theirs in asked):
            continue  # one's own row that is not there is NOT_FOUND, as is everything of what is no agent
        meant = sorted({theirs for _, theirs in asked})
        shown = ", ".join(each[:_SHOWN_TEXT] for each in meant[:_SHOWN]) + (" …" if len(meant) > _SHOWN else "")
        elsewhere = "" if part.roll_up else f", or ask {part.view.name}@{ALL}, its row over all projects"
        detail = f"{part.name} can only be null here: nothing is published of {shown}, whose row it is for {asked[0][0][:_SHOWN_TEXT]}."
        raise ProblemError(422, f"{detail} Leave it out{elsewhere}.")


def _why(
    request: OnlineRequest, rows: Sequence[Sequence[OnlineRow | None]], refused: Sequence[Sequence[bytes | None]]
) -> dict[str, list[dict[str, Any] | None]]:
    """Return by view and agent what is known of a value beside itself; null where there is none."""
    found: dict[str, list[dict[str, Any] | None]] = {}
    for number, (part, some) in enumerate(zip(request.parts, rows, strict=True)):
        theirs = refused[number] if refused else [None] * len(some)
        found[part.name] = [None if row is None else _of_value(row, text) for row, text in zip(some, theirs, strict=True)]
    return found


def _of_value(row: OnlineRow, refused: bytes | None) -> dict[str, Any]:
    count, last, writer = refused.decode().split(",", 2) if refused else ("0", "", "")
    return {
        "true_up_to": clock.from_us(row.true_up_to),
        "as_of": clock.from_us(row.as_of),
        "event_timestamp": clock.from_us(row.event_timestamp),
        "created_at": clock.from_us(row.created_at),
        "snapshot": row.snapshot,
        "epoch": row.epoch,
        "writer": row.writer,
        "refused": {"count": int(count), "last": clock.from_us(int(last)), "writer": writer} if refused else None,
    }


def _agent_ids(entities: object, limit: int) -> list[str]:
    found = entities.get(JOIN_KEY) if isinstance(entities, dict) else None
    if not isinstance(found, list) or not found:
        raise ProblemError(422, f'No agent is named. Send "entities": {{"{JOIN_KEY}": ["code-reviewer"]}}.')
    if len(found) > limit:
        raise ProblemError(413, f"The request names {len(found):,} agents. Send at most {limit:,} a request.")
    if {*map(type, found)} != _TEXT:
        position, each = next((position, each) for position, each in enumerate(found) if not isinstance(each, str))
        detail = f"entities.{JOIN_KEY}[{position}] is not a text: {each!r:.50}. Write for example code-reviewer or code-reviewer@project."
        raise ProblemError(422, detail)
    return found


def _references(content: dict[str, Any], services: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    service, features = content.get("feature_service"), content.get("features")
    if service is not None and service != "":
        return _of_service(service, features, services)
    if isinstance(features, list):
        _check_count(len(features))
    if not isinstance(features, list) or not features or not all(isinstance(each, str) for each in features):
        detail = 'No features are named. Send "features": ["code_review_features:avg_issues_per_review"].'
        raise ProblemError(422, detail)
    return tuple(features)


def _of_service(service: object, features: object, services: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    if not isinstance(service, str):
        raise ProblemError(422, f"A feature service is named by a text, not by {service!r:.100}. Send a name, or leave it out.")
    if features is not None and features != []:
        raise ProblemError(422, "Features and a feature service are named. A service says which features: leave one of the two out.")
    if service in SERVICES:
        return SERVICES[service]
    if service not in services:
        raise ServiceNeededError(service)
    return services[service]


def _check_count(count: int) -> None:
    """Refuse more references than a request may name, before they are looked at."""
    if count > FEATURES_LIMIT:
        raise ProblemError(413, f"The request names {count:,} features. Send at most {FEATURES_LIMIT:,} a request, each once.")


def _check_values(parts: Sequence[ViewPart], agent_ids: Sequence[str]) -> None:
    """Refuse an answer that would hold the server up, before anything is read for it."""
    count = _values(parts, agent_ids)
    if count > VALUES_LIMIT:
        detail = f"The answer would hold {count:,} values, agents times features. Ask for at most {VALUES_LIMIT:,} a request: split it."
        raise ProblemError(413, detail)


def _values(parts: Sequence[ViewPart], agent_ids: Sequence[str]) -> int:
    return len(agent_ids) * sum(len(part.features) for part in parts)


def _flag(content: dict[str, Any], name: str) -> bool:
    found = content.get(name, False)
    if not isinstance(found, bool):
        raise ProblemError(422, f"{name} is neither true nor false but {found!r:.50}. Send true or false, or leave it out.")
    return found


@lru_cache(maxsize=1_024)
def _plan(references: tuple[str, ...], full_names: bool) -> tuple[ViewPart, ...] | None:  # noqa: FBT001 - a key of the cache
    """Return what is asked of the current versions, None when others are named; a client asks for the same again and again."""
    grouped = grouped_by_source(references)
    if any(source.pin.number is not None for source in grouped):
        return None
    return parts_of({source.pin: stored_view(VIEWS_BY_NAME[source.pin.view]) for source in grouped}, grouped, full_names)


def _with_versions(
    references: tuple[str, ...],
    full_names: bool,  # noqa: FBT001 - as `_plan`
    with_numbers: bool,  # noqa: FBT001
    agent_ids: list[str],
    versions: Mapping[Pin, Version],
) -> OnlineRequest:
    grouped = grouped_by_source(references)
    pins = list(dict.fromkeys(source.pin for source in grouped))
    needed = [pin for pin in pins if pin not in versions and (with_numbers or pin.number is not None)]
    if needed:
        raise VersionsNeededError(needed)
    views = {pin: versions[pin].view if pin in versions else stored_view(VIEWS_BY_NAME[pin.view]) for pin in pins}
    numbers: dict[str, int | None] = {}
    for pin in pins if with_numbers else ():
        numbers.setdefault(pin.view, versions[pin].number)
    pinned = any(view.hash != stored_view(VIEWS_BY_NAME[pin.view]).hash for pin, view in views.items())
    parts = parts_of(views, grouped, full_names)
    _check_values(parts, agent_ids)
    return OnlineRequest(parts, agent_ids, rows_of_parts(parts, agent_ids), tuple(numbers.items()) if with_numbers else None, pinned)


def results_of(part: ViewPart, rows: Sequence[OnlineRow | None], times: int = 1) -> list[dict[str, Any]]:
    """Return a view's features. What is the same for most of them is turned into JSON once: it is most of a large answer.

    `times`: the rows stand so many times one after the other in the answer.
    """
    stamps = _once([clock.EPOCH if row is None else clock.from_us(row.event_timestamp) for row in rows] * times)
    statuses = ["NOT_FOUND" if row is None else row.status for row in rows]
    usual, missing = _once(statuses * times), rows.count(None)
    results = []
    for feature in part.features:
        values = [None if row is None else row.values[feature] for row in rows]
        nulls = values.count(None) > missing
        if feature in part.instants:
            values = [None if value is None else int(value) // SECOND for value in values]  # Feast's instants are whole seconds
        theirs = ["NOT_FOUND" if row is None else row.status_of(feature) for row in rows] if nulls else []
        results.append(
            {
                "values": _in_pieces(values * times),
                "statuses": _in_pieces(theirs * times) if nulls else usual,
                "event_timestamps": stamps,
            }
        )
    return results


def _in_pieces(values: list[Any]) -> Any:
    """Return what stands for a list in an answer: one of many is turned into JSON by itself, so that others have their turn in between."""
    return _once(values) if len(values) > _MANY else values


def _once(values: list[Any]) -> orjson.Fragment:
    return orjson.Fragment(orjson.dumps(values, option=orjson.OPT_UTC_Z))


def _age(row: OnlineRow, now: int) -> float:
    return (now - row.true_up_to) / SECOND
