"""What the feature server takes and answers, as an OpenAPI 3.1 document, made from the definitions it serves.

Belongs here: the description. It is held to by tests that ask a running server what the document allows, and what it does not.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines import __version__
from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.compile.feast import JOIN_KEY, SERVICES
from detektor_pipelines.serving.online_request import FEATURES_LIMIT
from detektor_pipelines.training.references import ALL
from detektor_pipelines.web.problems import MEDIA_TYPE

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings

_STATUSES: Final = {
    400: "The body is not a JSON object.",
    401: "No token, or one that is not good.",
    403: "A page of another origin, or a name that is not the server's; where tokens are asked for, one whose holder may not ask.",
    404: "There is no such view, version or feature service.",
    408: "The request did not arrive in time.",
    410: "Nothing of this version is in the online store.",
    413: "The body is too large, or names too many agents, features or values.",
    415: "The body says that it is something else than JSON, as a form does, or is compressed.",
    422: "The body is JSON, but not such a request, or asks for what can only be null.",
    429: "Too many connections, or too many bad tokens, of one address.",
    431: "The headers are too large.",
    500: "An error in the server; its log file says which.",
    503: "What is needed for an answer does not answer: Redis with nothing kept, the registry for a version, the provider of tokens.",
}
_ALWAYS: Final = (400, 403, 408, 429, 431, 500)
_READ: Final = (*_ALWAYS, 404, 410, 413, 415, 422, 503)
_GUARD: Final = (401, 403, 503)


def description(settings: Settings, *, guarded: bool) -> dict[str, Any]:
    """Return the document; `guarded`: there is access control."""
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "Detektor Features: feature server",
            "version": __version__,
            "description": "Online reads of agents' features. Compatible with Feast's feature server.",
        },
        "paths": {
            "/get-online-features": {"post": _read(guarded=guarded)},
            "/health": {"get": _health()},
            "/health/live": {"get": _live()},
            "/metrics": {"get": _metrics(guarded=guarded)},
            "/openapi.json": {"get": _itself(guarded=guarded)},
        },
        "components": {
            "schemas": {
                "Request": _request(settings),
                "ServiceRequest": _service_request(settings),
                "Answer": _answer(),
                "Problem": _problem(),
            },
            "responses": _responses(),
        },
    }
    if guarded:
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]
    return document


def _read(*, guarded: bool) -> dict[str, Any]:
    headers = {
        "X-Feature-Source": {
            "description": "Where the values come from.",
            "required": True,
            "schema": {"enum": ["redis", "fallback"]},
        },
        "X-Feature-Age-Seconds": {
            "description": "The greatest age of the values; absent when nothing was found.",
            "schema": {"type": "number"},
        },
    }
    kinds = [_reference("schemas/Request"), _reference("schemas/ServiceRequest")]
    return {
        "operationId": "getOnlineFeatures",
        "summary": "Read features of agents, as they are now",
        "description": "Without full_feature_names no two features may have one name, nor may two rows of one view be asked for.",
        "requestBody": {"required": True, "content": {"application/json": {"schema": {"anyOf": kinds}}}},
        "responses": {
            "200": {
                "description": "A row of values for each feature, in the order of the agents.",
                "headers": headers,
                "content": {"application/json": {"schema": _reference("schemas/Answer")}},
            },
            **_problems(*_READ, *(_GUARD if guarded else ())),
        },
    }


def _health() -> dict[str, Any]:
    schema = {
        "type": "object",
        "required": ["status"],
        "properties": {"status": {"enum": ["OK", "STALE", "DROPPED", "AHEAD", "STATIC", "FALLBACK", "DOWN"]}},
        "description": "Without a token, where one is needed, no more than the status.",
    }
    content = {"application/json": {"schema": schema}}
    return {
        "operationId": "health",
        "summary": "Whether features are read from Redis, and how fresh they are",
        "security": [],
        "responses": {
            "200": {
                "description": "Redis answers. STALE, DROPPED, AHEAD: its values are not as they should be. STATIC: kept ones are served.",
                "content": content,
            },
            "503": {
                "description": "Redis does not answer; what is left to answer from. With ?fresh, all but OK and STATIC.",
                "content": content,
            },
            **_problems(*_ALWAYS),
        },
    }


def _live() -> dict[str, Any]:
    content = {"application/json": {"schema": {"type": "object", "properties": {"status": {"enum": ["ALIVE"]}}}}}
    return {
        "operationId": "live",
        "summary": "Whether the process answers; asks nobody",
        "security": [],
        "responses": {"200": {"description": "It does.", "content": content}, **_problems(*_ALWAYS)},
    }


def _metrics(*, guarded: bool) -> dict[str, Any]:
    return {
        "operationId": "metrics",
        "summary": "Figures for Prometheus",
        "responses": {
            "200": {"description": "In Prometheus' text format.", "content": {"text/plain": {"schema": {"type": "string"}}}},
            **_problems(*_ALWAYS, *(_GUARD if guarded else ())),
        },
    }


def _itself(*, guarded: bool) -> dict[str, Any]:
    schema = {"type": "object", "required": ["openapi", "paths"]}
    return {
        "operationId": "openapi",
        "summary": "This document",
        "responses": {
            "200": {"description": "An OpenAPI document.", "content": {"application/json": {"schema": schema}}},
            **_problems(*_ALWAYS, *(_GUARD if guarded else ())),
        },
    }


def _request(settings: Settings) -> dict[str, Any]:
    current = [reference for source in _sources() for reference in (source, *(f"{source}:{name}" for name in _sources()[source]))]
    numbered = f"^({'|'.join(view.name for view in VIEWS)})@v[0-9]{{1,9}}:[a-z][a-z0-9_]*$"
    full_names = {"properties": {"full_feature_names": {"const": True}}, "required": ["full_feature_names"]}
    features = {
        "type": "array",
        "minItems": 1,
        "uniqueItems": True,
        "description": "view:feature, or view for all of them; view@all of the row over all projects; view@v2:feature of what is registered"
        f" as version 2. Of another agent's view it is that agent's row of the same project. {FEATURES_LIMIT:,} at most.",
        "items": {"anyOf": [{"enum": current}, {"type": "string", "pattern": numbered}]},
        "examples": [current[1:3]],
    }
    return {
        "type": "object",
        "required": ["features", "entities"],
        "properties": {
            "features": features,
            "feature_service": {"enum": ["", None], "description": "One is named instead of features."},
            **_common(settings),
        },
        **({"anyOf": [full_names, {"not": {"anyOf": namesakes}}]} if (namesakes := [_both(pair) for pair in _namesakes()]) else {}),
    }


def _service_request(settings: Settings) -> dict[str, Any]:
    service = {
        "type": "string",
        "minLength": 1,
        "description": "A service of the definitions, one a label, or one that was applied with Feast.",
        "examples": [next(iter(SERVICES))],
    }
    features: dict[str, Any] = {"enum": [None, []], "description": "The service says which."}
    properties = {"feature_service": service, "features": features, **_common(settings)}
    return {"type": "object", "required": ["feature_service", "entities"], "properties": properties}


def _common(settings: Settings) -> dict[str, Any]:
    """Return what both kinds of requests have."""
    agents = {
        "type": "array",
        "minItems": 1,
        "maxItems": settings.serve_entities_limit,
        "items": {"type": "string"},
        "description": "code-reviewer across all projects, code-reviewer@project in one.",
    }
    return {
        "entities": {"type": "object", "required": [JOIN_KEY], "properties": {JOIN_KEY: agents}},
        "full_feature_names": {"type": "boolean", "default": False, "description": "Name a value view__feature."},
        "include_feature_view_version_metadata": {"type": "boolean", "default": False},
        "why": {"type": "boolean", "default": False, "description": "Say in metadata.why what each value knows and who wrote it."},
    }


def _sources() -> dict[str, list[str]]:
    """Return view, and view@all, with the features of each."""
    return {f"{view.name}{end}": [each.name for each in view.features] for view in VIEWS for end in ("", f"@{ALL}")}


def _namesakes() -> list[tuple[list[str], list[str]]]:
    """Return the pairs that need full names: two rows of one view, and features of two views that have one name."""
    sources = _sources()
    rows = [[[source, *(f"{source}:{name}" for name in sources[source])] for source in (view.name, f"{view.name}@{ALL}")] for view in VIEWS]
    owners: dict[str, list[list[str]]] = {}
    for view in VIEWS:
        for each in view.features:
            theirs = [text for source in (view.name, f"{view.name}@{ALL}") for text in (source, f"{source}:{each.name}")]
            owners.setdefault(each.name, []).append(theirs)
    return [(own, whole) for own, whole in rows] + [pair for references in owners.values() for pair in combinations(references, 2)]


def _both(pair: tuple[list[str], list[str]]) -> dict[str, Any]:
    return {"properties": {"features": {"allOf": [{"contains": {"enum": each}} for each in pair]}}, "required": ["features"]}


def _answer() -> dict[str, Any]:
    ages = {"type": "array", "items": {"type": ["number", "null"]}}
    version = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "version": {"type": "integer"}}}
    result = {
        "type": "object",
        "required": ["values", "statuses", "event_timestamps"],
        "properties": {
            "values": {
                "type": "array",
                "items": {"type": ["number", "string", "null"]},
                "description": "Instants are seconds since 1970, a list is a text of JSON.",
            },
            "statuses": {"type": "array", "items": {"enum": ["PRESENT", "NULL_VALUE", "NOT_FOUND", "OUTSIDE_MAX_AGE"]}},
            "event_timestamps": {"type": "array", "items": {"type": "string", "format": "date-time"}},
        },
    }
    return {
        "type": "object",
        "required": ["metadata", "results"],
        "properties": {
            "metadata": {
                "type": "object",
                "required": ["feature_names", "value_age_seconds"],
                "properties": {
                    "feature_names": {"type": "array", "items": {"type": "string"}, "description": f"{JOIN_KEY} first."},
                    "value_age_seconds": {
                        "type": "object",
                        "additionalProperties": ages,
                        "description": "By view and agent: how long ago the value was last known to be true; null when nothing was found.",
                    },
                    "feature_view_metadata": {"type": "array", "items": version},
                    "rows_of": {
                        "type": "object",
                        "additionalProperties": {"type": "array", "items": {"type": "string"}},
                        "description": "By view whose rows were read, where they are not those of the agents asked about.",
                    },
                    "why": {
                        "type": "object",
                        "additionalProperties": {"type": "array", "items": _known_of_a_value()},
                        "description": "When asked for, by view and agent; null when nothing was found.",
                    },
                },
            },
            "results": {"type": "array", "items": result, "description": "In the order of feature_names."},
        },
    }


def _known_of_a_value() -> dict[str, Any]:
    instant = {"type": "string", "format": "date-time"}
    refused = {
        "type": ["object", "null"],
        "required": ["count", "last", "writer"],
        "properties": {"count": {"type": "integer"}, "last": instant, "writer": {"type": "string"}},
        "description": "Writes of the value that were refused so far, the last of them when and by whom.",
    }
    properties = {
        "true_up_to": instant | {"description": "Up to when the value is known to be true."},
        "as_of": instant | {"description": "What it was computed for when it was written."},
        "event_timestamp": instant,
        "created_at": instant,
        "snapshot": {"type": ["string", "null"], "description": "Of the log that it was computed from."},
        "epoch": {"type": "integer", "description": "Of the log's life that the snapshot belongs to."},
        "writer": {"type": ["string", "null"], "description": "The run or the worker that wrote it."},
        "refused": refused,
    }
    return {"type": ["object", "null"], "required": list(properties), "properties": properties}


def _problem() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"const": "about:blank"},
            "title": {"type": "string", "description": "The status in words."},
            "status": {"type": "integer"},
            "detail": {"type": "string", "description": "Where, and what to do."},
        },
    }


def _responses() -> dict[str, Any]:
    content = {MEDIA_TYPE: {"schema": _reference("schemas/Problem")}}
    found: dict[str, Any] = {f"Problem{status}": {"description": text, "content": content} for status, text in _STATUSES.items()}
    for status, name in ((401, "WWW-Authenticate"), (429, "Retry-After")):
        found[f"Problem{status}"]["headers"] = {name: {"required": True, "schema": {"type": "string"}}}
    found["Problem403"]["headers"] = {"WWW-Authenticate": {"description": "Of a token.", "schema": {"type": "string"}}}
    return found


def _problems(*statuses: int) -> dict[str, Any]:
    return {str(status): _reference(f"responses/Problem{status}") for status in sorted(set(statuses))}


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{name}"}
