"""One online read in the words of Feast's HTTP API: the request's JSON understood, and the rows found put into Feast's answer.

Pure: no server, no Redis, no Feast. Which keys are read and what status a value has is said by `stores.online`, here as for Feast's own
SDK. What differs from stock Feast: values stand in the order asked for, views grouped; a missing agent is NOT_FOUND; `metadata` also
holds `value_age_seconds`, by view and agent, which Feast's client passes over.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import orjson

from detektor_pipelines import clock
from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.compile.feast import JOIN_KEY
from detektor_pipelines.serving.problems import ProblemError
from detektor_pipelines.stores.online import Lookup, StoredView, stored_view

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detektor_pipelines.stores.online import OnlineRow

_VIEWS: Final = {view.name: view for view in VIEWS}
_SECOND: Final = 1_000_000
"""Feast's instants as values are whole seconds; ours are µs."""

_LATEST: Final = ("", "latest")


@dataclass(frozen=True, slots=True)
class ViewPart:
    """What is asked of one view: the features, with the names that the answer gives them, and which of them are instants."""

    view: StoredView
    features: tuple[str, ...]
    names: tuple[str, ...]
    instants: frozenset[str]


@dataclass(frozen=True, slots=True)
class OnlineRequest:
    """A request that can be answered."""

    parts: tuple[ViewPart, ...]
    agent_ids: list[str]
    with_versions: bool

    def lookups(self, project: str) -> list[Lookup]:
        """Return what is to be read: one lookup a view, all of them one round trip."""
        return [Lookup(project, part.view, self.agent_ids) for part in self.parts]


def parse(body: bytes, entities_limit: int) -> OnlineRequest:
    """Understand a request's body.

    Raises:
        ProblemError: 400 when it is no JSON object, 404 for a view that is not there, 413 for too many agents, 422 for anything else.

    """
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ProblemError(400, "The body is no JSON", f"{error}. Send an object with features and entities.") from None
    if not isinstance(content, dict):
        raise ProblemError(400, "The body is no JSON object", "Send an object with features and entities.")
    agent_ids = _agent_ids(content.get("entities"), entities_limit)
    return OnlineRequest(_asked(content), agent_ids, bool(content.get("include_feature_view_version_metadata")))


def answer(request: OnlineRequest, rows: Sequence[Sequence[OnlineRow | None]]) -> tuple[bytes, float | None]:
    """Return the answer's JSON, and the age of its oldest value in seconds, None when nothing was found.

    `rows`: of `stores.online.rows_of`, one list a view, each in the order of the request's agents. A value's age is the time since the last
    instant up to which it is known to be true.
    """
    now = clock.now_us()
    agents = request.agent_ids
    results: list[dict[str, Any]] = [
        {"values": agents, "statuses": ["PRESENT"] * len(agents), "event_timestamps": [clock.EPOCH] * len(agents)}
    ]
    names, ages = [JOIN_KEY], {}
    for part, found in zip(request.parts, rows, strict=True):
        stamps = [clock.EPOCH if row is None else clock.from_us(row.event_timestamp) for row in found]
        results += [
            {
                "values": _values(found, feature, instant=feature in part.instants),
                "statuses": ["NOT_FOUND" if row is None else row.status_of(feature) for row in found],
                "event_timestamps": stamps,
            }
            for feature in part.features
        ]
        names += part.names
        ages[part.view.name] = [None if row is None else _age(row, now) for row in found]
    metadata: dict[str, Any] = {"feature_names": names, "value_age_seconds": ages}
    if request.with_versions:
        metadata["feature_view_metadata"] = [{"name": part.view.name} for part in request.parts]
    oldest = max((age for by_agent in ages.values() for age in by_agent if age is not None), default=None)
    return orjson.dumps({"metadata": metadata, "results": results}, option=orjson.OPT_UTC_Z), oldest


def _agent_ids(entities: object, limit: int) -> list[str]:
    found = entities.get(JOIN_KEY) if isinstance(entities, dict) else None
    if not isinstance(found, list) or not found:
        raise ProblemError(422, "No agent is named", f'Send "entities": {{"{JOIN_KEY}": ["code-reviewer"]}}.')
    if len(found) > limit:
        raise ProblemError(413, "Too many agents", f"{len(found):,} agents; at most {limit:,} a request: send them in several.")
    for position, each in enumerate(found):
        if not isinstance(each, str):
            detail = (
                f"entities.{JOIN_KEY}[{position}] is {each!r:.50}; write it as text, for example code-reviewer or code-reviewer@project."
            )
            raise ProblemError(422, "An agent_id is no text", detail)
    return found


def _asked(content: dict[str, Any]) -> tuple[ViewPart, ...]:
    features = content.get("features")
    if content.get("feature_service"):
        detail = "Name the features: the definitions declare no feature services."
        raise ProblemError(404, f"There is no feature service {content['feature_service']!r:.100}", detail)
    if not isinstance(features, list) or not features or not all(isinstance(each, str) for each in features):
        detail = 'Send "features": ["code_review_features:avg_issues_per_review"].'
        raise ProblemError(422, "No features are named", detail)
    return _plan(tuple(features), bool(content.get("full_feature_names")))


@lru_cache(maxsize=1_024)
def _plan(references: tuple[str, ...], full_names: bool) -> tuple[ViewPart, ...]:  # noqa: FBT001 - a key of the cache
    """Group the features by view, in the order asked for; a client asks for the same again and again."""
    grouped: dict[str, list[str]] = {}
    for reference in references:
        view, feature = _resolved(reference)
        grouped.setdefault(view, []).append(feature)
    parts = []
    for view, features in grouped.items():
        names = tuple(f"{view}__{feature}" for feature in features) if full_names else tuple(features)
        stored = stored_view(_VIEWS[view])
        instants = frozenset(name for name, kind in stored.layout.fields if kind == "instant")
        parts.append(ViewPart(stored, tuple(features), names, instants))
    _check_names([name for part in parts for name in part.names])
    return tuple(parts)


def _resolved(reference: str) -> tuple[str, str]:
    """Return view and feature of `view:feature` or `view@latest:feature`."""
    named, _, feature = reference.partition(":")
    name, _, version = named.partition("@")
    if not feature:
        detail = f"{reference!r:.100}: write <feature view>:<feature>, for example code_review_features:avg_issues_per_review."
        raise ProblemError(422, "A feature is not named by its view", detail)
    if version not in _LATEST:
        detail = f"{reference!r:.100}: this server answers with the current version; Feast's SDK over Redis reads older ones."
        raise ProblemError(422, "An older version is not served here", detail)
    if name not in _VIEWS:
        raise ProblemError(404, f"There is no feature view {name!r:.100}", f"There are: {', '.join(_VIEWS)}.")
    known = [each.name for each in _VIEWS[name].features]
    if feature not in known:
        raise ProblemError(422, f"{name} has no feature {feature!r:.100}", f"It has: {', '.join(known)}.")
    return name, feature


def _check_names(names: list[str]) -> None:
    if len(set(names)) != len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        detail = f"{', '.join(twice)[:500]}. Ask for each once; with full_feature_names, those of two views differ."
        raise ProblemError(422, "Two features have one name", detail)


def _values(rows: Sequence[OnlineRow | None], feature: str, *, instant: bool) -> list[Any]:
    values = [None if row is None else row.values[feature] for row in rows]
    return [None if value is None else int(value) // _SECOND for value in values] if instant else values


def _age(row: OnlineRow, now: int) -> float:
    known = row.as_of if row.valid_through is None else max(row.as_of, row.valid_through)
    return (now - known) / _SECOND
