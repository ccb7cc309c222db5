"""JSON Schemas of what every command prints with `--json`; `detektor generate` writes them to docs/json/.

What is printed from a dataclass is described by its fields, the rest by hand. Further keys may come with a later release, so none is
forbidden; what is described here is always there.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import types
import typing
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, Union

if TYPE_CHECKING:
    from collections.abc import Callable

DIRECTORY: Final = "docs/json"
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

Schema: TypeAlias = "dict[str, Any]"

ANY: Final[Schema] = {}
TEXT: Final[Schema] = {"type": "string"}
WHOLE: Final[Schema] = {"type": "integer"}
NUMBER: Final[Schema] = {"type": "number"}
YES: Final[Schema] = {"type": "boolean"}
INSTANT: Final[Schema] = {"type": "string", "format": "date-time", "pattern": "^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(\\.\\d+)?Z$"}
DAY: Final[Schema] = {"type": "string", "format": "date", "pattern": "^\\d{4}-\\d\\d-\\d\\d$"}

_PLAIN: Final[dict[Any, Schema]] = {
    Any: ANY,
    object: ANY,
    str: TEXT,
    int: WHOLE,
    float: NUMBER,
    bool: YES,
    Path: TEXT,
    datetime: INSTANT,
    date: DAY,
    types.NoneType: {"type": "null"},
}


def thing(**properties: Schema) -> Schema:
    """Return the schema of an object with these keys, all of them always there."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def many(item: Schema) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": item}


def by_name(value: Schema) -> Schema:
    """Return the schema of an object whose keys are names."""
    return {"type": "object", "additionalProperties": value}


def maybe(schema: Schema) -> Schema:
    """Return the schema of what may also be null."""
    return either(schema, {"type": "null"})


def either(*schemas: Schema) -> Schema:
    """Return the schema of what is one of several."""
    if any(not each for each in schemas):
        return ANY
    return {"anyOf": list(schemas)}


def of(kind: Any, /, **instead: Schema) -> Schema:
    """Return the schema of a dataclass as `dataclasses.asdict` gives it.

    Args:
        kind: The class.
        instead: What some of its fields are printed as, and keys that are printed beside its fields.

    """
    hints = typing.get_type_hints(kind, _names(kind))
    fields = {field.name: _of_type(hints[field.name]) for field in dataclasses.fields(kind) if field.name not in instead}
    return thing(**fields | instead)


def _names(kind: Any) -> dict[str, Any]:
    """Return what the annotations of a class may name, what its module imports for type checkers only too."""
    module = sys.modules[kind.__module__]
    return {"Mapping": Mapping, "Sequence": Sequence, "date": date, "datetime": datetime, "Path": Path, **_TYPES, **vars(module)}


_TYPES: Final[dict[str, Any]] = {"State": str, "Value": Any, "Kind": str, "pa": types.SimpleNamespace(Table=object)}
"""Names of types that a module imports for type checkers only, and what is printed of them."""


def _of_type(kind: Any) -> Schema:  # noqa: PLR0911  a kind of type each
    if isinstance(kind, str):
        return _of_type({"float | None": float | None}[kind])
    if kind in _PLAIN:
        return _PLAIN[kind]
    if dataclasses.is_dataclass(kind):
        return of(kind)
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Union, types.UnionType):
        return either(*map(_of_type, inner))
    if origin is Literal:
        return {"enum": list(inner)}
    if origin in (dict, Mapping):
        return by_name(_of_type(inner[1]))
    if origin is tuple and Ellipsis not in inner:
        return {"type": "array", "prefixItems": [_of_type(each) for each in inner], "minItems": len(inner), "maxItems": len(inner)}
    if origin in (list, tuple, Sequence):
        return many(_of_type(inner[0]))
    raise TypeError(f"There is no schema for {kind!r}.")


def render() -> dict[str, str]:
    """Return each schema's text by its path from the repository's root."""
    return {f"{DIRECTORY}/{file_name(each)}": json.dumps(schema_of(each), indent=2, ensure_ascii=False) + "\n" for each in COMMANDS}


def file_name(command: str) -> str:
    """Return the name of a command's schema: `features-get.schema.json`."""
    return f"{command.replace(' ', '-')}.schema.json"


def schema_of(command: str) -> Schema:
    """Return the schema of what a command prints, `features get` for one."""
    return {"$schema": _DIALECT, "title": f"detektor {command} --json", **COMMANDS[command]()}


# ---------------------------------------------------------------------------------------------------------------- reading logs


def _ingest_report() -> Schema:
    from detektor_pipelines.stores.raw_log.writer import IngestCounts

    return of(
        IngestCounts,
        events=WHOLE,
        by_agent=by_name(by_name(WHOLE)),
        unmapped_names=by_name(WHOLE),
        agents_toml=by_name(TEXT),
        rejected_by_reason=by_name(WHOLE),
        not_understood=many(thing(format=TEXT, kind=TEXT, records=WHOLE)),
        results_without_call=by_name(WHOLE),
        files=by_name(WHOLE),
        skipped_files=WHOLE,
        skipped=many(thing(file=TEXT, reason=TEXT)),
        other_files=by_name(WHOLE),
        nulls=many(thing(source=TEXT, operation=TEXT, events=WHOLE, null_share=by_name(NUMBER))),
        lines=WHOLE,
        bytes=WHOLE,
        first_at=maybe(INSTANT),
        last_at=maybe(INSTANT),
        seconds=NUMBER,
        lines_per_second=maybe(WHOLE),
    )


def _ingest() -> Schema:
    from detektor_pipelines.ingest.live.spool import SpoolCounts

    places = many(thing(format=TEXT, title=TEXT, path=TEXT))
    return either(_ingest_report(), of(SpoolCounts), places) | {
        "description": "With paths what was read; with --spool what was drained; with neither the places that hold logs."
    }


def _last_ingest() -> Schema:
    return thing(
        at=INSTANT,
        paths=many(TEXT),
        files=by_name(WHOLE),
        skipped_files=WHOLE,
        skipped=many(TEXT),
        skipped_because=by_name(WHOLE),
        other_files=WHOLE,
        lines=WHOLE,
        bytes=WHOLE,
        events=WHOLE,
        by_agent=by_name(by_name(WHOLE)),
        unmapped_names=by_name(WHOLE),
        not_understood=by_name(WHOLE),
        added=WHOLE,
        known=WHOLE,
        rejected=WHOLE,
        rejected_by_reason=by_name(WHOLE),
    )


def _emit() -> Schema:
    return thing(event_id=TEXT, status=TEXT, agent_type=TEXT, project=maybe(TEXT))


def _simulate() -> Schema:
    summary = thing(events=WHOLE, added=WHOLE, known=WHOLE, conflicts=WHOLE, projects=WHOLE, end=DAY, seconds=NUMBER)
    figure = thing(unit=TEXT, real=maybe(NUMBER), simulated=maybe(NUMBER))
    return either(summary, by_name(figure)) | {"description": "With --figures one object a figure, by its name."}


def _usage() -> Schema:
    used = thing(
        key=TEXT,
        answers=WHOLE,
        input_tokens=WHOLE,
        output_tokens=WHOLE,
        cache_write_tokens=WHOLE,
        cache_read_tokens=WHOLE,
        total_tokens=WHOLE,
        cost_usd=maybe(NUMBER),
        priced_cost_usd=NUMBER,
        unpriced_tokens=WHOLE,
        answers_without_input=WHOLE,
    )
    return thing(
        by=TEXT,
        rows=many(used),
        total=used,
        tokens_without_price=by_name(WHOLE),
        runs_without_answers=WHOLE,
    )


def _hook_status() -> Schema:
    return thing(settings=many(thing(settings=TEXT, state=TEXT, hooks=many(TEXT))), spool=TEXT, files=WHOLE, bytes=WHOLE)


# ---------------------------------------------------------------------------------------------------------------- servers


def _servers() -> dict[str, Schema]:
    server = thing(
        state=TEXT, ready=YES, address=TEXT, pid=maybe(WHOLE), seconds=maybe(WHOLE), log=maybe(TEXT), login=maybe(TEXT), why=maybe(TEXT)
    )
    return {"home": TEXT, "supervisor_pid": maybe(WHOLE), "servers": by_name(server)}


def _process() -> Schema:
    from detektor_pipelines.versions.processes import Process

    return of(Process, since=maybe(INSTANT))


def _status() -> Schema:
    from detektor_pipelines.quality.freshness_report import Freshness
    from detektor_pipelines.stores.cluster import Life
    from detektor_pipelines.stores.raw_log.state import RejectionCount

    error = thing(error=TEXT)
    ahead = thing(view=TEXT, values=WHOLE, shards=WHOLE, furthest=INSTANT)
    sections = {
        "views": either(many(of(Freshness)), error),
        "rejected": either(many(of(RejectionCount, last_at=INSTANT)), error),
        "log": either(of(Life), error),
        "online": either(thing(ahead=many(ahead), eviction=many(TEXT)), error),
        "served": either(thing(status=TEXT, reason=maybe(TEXT), fix=maybe(TEXT)), error, {"type": "null"}),
        "ingest": either(_last_ingest(), error, {"type": "null"}),
        "definitions": either(thing(hash=TEXT, processes=many(_process()), same=YES), error),
        "versions": either(
            thing(
                pinned=by_name(TEXT),
                beside=many({"type": "array", "prefixItems": [TEXT, TEXT], "minItems": 2, "maxItems": 2}),
                static_since=maybe(INSTANT),
            ),
            error,
        ),
    }
    schema = thing(**_servers(), **sections)
    asked = {"views", "rejected", "log", "online"}
    schema["required"] = [name for name in schema["required"] if name not in asked]
    return schema | {"description": "views, rejected and log are there while PostgreSQL answers, online while Redis does."}


def _doctor() -> Schema:
    check = thing(name=TEXT, result={"enum": ["ok", "warning", "failed"]}, found=TEXT, fix=TEXT)
    return thing(checks=many(check), settings=by_name(thing(value=TEXT, **{"from": TEXT})))


def _loaded() -> Schema:
    return thing(hash=TEXT, since=INSTANT, views=by_name(thing(version=TEXT, hash=TEXT)))


def _restart() -> Schema:
    from detektor_pipelines.stack.restart import Restarted

    return thing(definitions=_loaded(), restarted=many(of(Restarted)), registered=many(TEXT), problems=many(TEXT))


def _acceptance() -> Schema:
    state = {"enum": ["passed", "failed", "not checked"]}
    part = thing(state=state, found=TEXT, what_to_do=TEXT)
    return thing(passed=YES, rows=many(thing(row=TEXT, title=TEXT, state=state, seconds=NUMBER, parts=many(part))))


# ---------------------------------------------------------------------------------------------------------------- features


def _views_overview() -> Schema:
    from detektor_pipelines.quality.overview import ViewOverview

    return many(of(ViewOverview))


def _demo() -> Schema:
    from detektor_pipelines.stores.raw_log.state import NameCount

    schema = thing(seconds=NUMBER, report=TEXT, logs=_ingest_report(), names=many(of(NameCount)), views=_views_overview())
    schema["required"] = ["seconds", "report", "views"]
    return schema | {"description": "logs and names with --logs."}


def _features_list() -> Schema:
    feature = thing(name=TEXT, type=TEXT, over=TEXT, unit=TEXT, description=TEXT, null_means=maybe(TEXT), within=many(ANY))
    return many(thing(view=TEXT, agent=TEXT, version=TEXT, data_hash=TEXT, features=many(feature)))


def _features_get() -> Schema:
    from detektor_pipelines.quality.parity.truth import Refused, Truth
    from detektor_pipelines.quality.read import AgentReading

    instant = maybe(INSTANT)
    why = of(Truth, true_up_to=instant, as_of=instant, event_timestamp=instant, right_at=instant, refused=maybe(of(Refused, last=INSTANT)))
    return either(of(AgentReading), why) | {"description": "The second form is that of --why."}


def _features_explain() -> Schema:
    part = thing(feature=TEXT, events=many(by_name(ANY)))
    return thing(
        agent_id=TEXT,
        source=TEXT,
        feature=TEXT,
        value=ANY,
        recomputed=ANY,
        stale=YES,
        at=INSTANT,
        known_at=maybe(INSTANT),
        parts=many(part),
    )


def _features_test() -> Schema:
    from detektor_pipelines.engine.cases import CaseResult

    return many(of(CaseResult))


def _backfill() -> Schema:
    online = thing(written=WHOLE, from_log=WHOLE, withheld=WHOLE, refused=WHOLE, made_good=WHOLE, lost=WHOLE, trouble=maybe(TEXT))
    view = thing(
        view=TEXT,
        days=by_name(WHOLE),
        rows_written=WHOLE,
        keys_online=maybe(WHOLE),
        online=maybe(online),
        failed_days=many(DAY),
        failing_rows=many(by_name(ANY)),
        problem=maybe(TEXT),
    )
    run = thing(run_id=TEXT, succeeded=YES, seconds=NUMBER)
    return thing(succeeded=YES, cancelled=YES, runs=many(run), views=many(view))


def _validate() -> Schema:
    from detektor_pipelines.quality.validation.outcomes import Outcome

    return thing(passed=YES, seconds=NUMBER, checks=many(of(Outcome, passed=YES)))


def _parity() -> Schema:
    from detektor_pipelines.quality.parity.check import Parity
    from detektor_pipelines.quality.parity.mismatches import Mismatch

    wrong = of(Mismatch, right_at=maybe(INSTANT), as_of=maybe(INSTANT), true_up_to=maybe(INSTANT))
    return many(
        of(
            Parity,
            states=by_name(WHOLE),
            mismatches=many(wrong),
            complete_until=maybe(INSTANT),
            errors=WHOLE,
            skipped=WHOLE,
            by_feature=by_name(WHOLE),
        )
    )


def _drift() -> Schema:
    from detektor_pipelines.quality.drift.results import Reference, Result

    look = thing(view=TEXT, reference=maybe(of(Reference)), reason=TEXT, results=many(of(Result)))
    return many(either(look, of(Reference))) | {"description": "With --pin the references that were pinned."}


def _report() -> Schema:
    from detektor_pipelines.report.contents import Report

    return of(Report, days=many(DAY))


# ---------------------------------------------------------------------------------------------------------------- versions


def _plan() -> Schema:
    from detektor_pipelines.versions.changes import Change
    from detektor_pipelines.versions.plan import Before

    view = thing(
        view=TEXT,
        version=TEXT,
        data_hash=TEXT,
        before=maybe(of(Before)),
        changes=maybe(many(of(Change))),
        bump=maybe(TEXT),
        days=WHOLE,
        first_day=maybe(DAY),
        last_day=maybe(DAY),
        rows=maybe(WHOLE),
        seconds=NUMBER,
        told_from=TEXT,
        models=maybe(many(TEXT)),
        register=YES,
        held_instead_of=maybe(TEXT),
        problem=maybe(TEXT),
        due=YES,
    )
    return thing(due=YES, views=many(view), removed=many(TEXT), processes=many(_process()))


def _rollback() -> Schema:
    version = thing(
        view=TEXT,
        version=TEXT,
        pinned=YES,
        days_computed=WHOLE,
        failed_days=many(DAY),
        keys_online=WHOLE,
        seconds=thing(data=NUMBER, definitions=NUMBER),
        everywhere=YES,
    )
    static = thing(static=YES, changed=YES, server=maybe(YES), seconds=NUMBER)
    return either(version, static) | {"description": "The second form is that of --static and --live."}


def _retire() -> Schema:
    return thing(view=TEXT, version=TEXT, rows=WHOLE, days=WHOLE, online_values=WHOLE)


def _online_version() -> Schema:
    return thing(view=TEXT, data_hash=TEXT, keys=WHOLE, bytes=WHOLE, last_complete=maybe(INSTANT), kept_by=maybe(TEXT))


def _online_repair() -> Schema:
    view = thing(
        view=TEXT,
        values=WHOLE,
        shards=WHOLE,
        furthest=INSTANT,
        dropped=WHOLE,
        refilled=WHOLE,
        withheld=WHOLE,
        lost=WHOLE,
        complete_up_to=maybe(INSTANT),
    )
    return thing(repaired=many(view), views=WHOLE)


# ---------------------------------------------------------------------------------------------------------------- learning


def _training_set() -> Schema:
    from detektor_pipelines.training.sets import TrainingSet, ViewUsed

    schema = of(
        TrainingSet,
        table=ANY,
        views=many(of(ViewUsed)),
        rows=WHOLE,
        classes=maybe(by_name(WHOLE)),
        null_columns=many(TEXT),
        out=maybe(TEXT),
    )
    del schema["properties"]["table"]
    schema["required"].remove("table")
    return schema


def _labels() -> Schema:
    return many(
        thing(
            agent=TEXT,
            label=TEXT,
            unit=TEXT,
            within_next=maybe(TEXT),
            description=TEXT,
            null_means=maybe(TEXT),
            label_hash=TEXT,
        )
    )


def _experiment() -> Schema:
    estimate = thing(value=NUMBER, low=NUMBER, high=NUMBER)
    return thing(
        run_id=TEXT,
        page=TEXT,
        model=TEXT,
        model_version=either(TEXT, WHOLE),
        production=YES,
        agent=TEXT,
        label=TEXT,
        training_set_hash=TEXT,
        views=by_name(thing(version=TEXT, data_hash=TEXT)),
        snapshot=TEXT,
        dropped=by_name(WHOLE),
        rows=thing(train=WHOLE, validation=WHOLE, learnt=WHOLE, judged=WHOLE, embargoed=WHOLE),
        chosen=TEXT,
        digests=by_name(TEXT),
        verdict=TEXT,
        summary=TEXT,
        metrics=by_name(by_name(estimate)),
        importance=many(thing(input=TEXT, description=TEXT, mean_abs_shap=NUMBER)),
    )


def _reproduce() -> Schema:
    compared = many(thing(name=TEXT, then=TEXT, now=TEXT, equal=YES))
    return thing(run_id=TEXT, equal=YES, summary=TEXT, compared=compared, circumstances=compared)


def _shadow() -> Schema:
    from detektor_pipelines.training.outcomes import Figures, Judgement
    from detektor_pipelines.training.shadow import Shadow

    judgement = of(Judgement, summary=TEXT)
    weeks = many(of(Figures, monday=DAY, kind=TEXT))
    return of(Shadow, ahead=judgement, retrospective=judgement, weeks=weeks, summary=TEXT)


def _lineage() -> Schema:
    from detektor_pipelines.training.lineage import FeatureLineage, RunLineage

    return either(of(RunLineage), of(FeatureLineage)) | {"description": "Of a run of MLflow, or of a feature."}


# ---------------------------------------------------------------------------------------------------------------- keeping


def _erase() -> Schema:
    from detektor_pipelines.erasure.erase import Erasure

    return of(Erasure, kind=TEXT, dry_run=YES)


def _retention() -> Schema:
    from detektor_pipelines.erasure.retention import Cut

    return thing(removed=YES, tables=many(of(Cut)))


def _backup(**more: Schema) -> Schema:
    return thing(
        backup=TEXT,
        made_at=INSTANT,
        seconds=NUMBER,
        release=TEXT,
        events=WHOLE,
        rows=WHOLE,
        chunks=WHOLE,
        artifacts=WHOLE,
        bytes=WHOLE,
        bytes_own=WHOLE,
        recipients=many(TEXT),
        left_out=many(TEXT),
        **more,
    )


def _verified() -> Schema:
    return thing(backup=TEXT, files=WHOLE, problems=many(TEXT), seconds=by_name(NUMBER))


def _restored() -> Schema:
    return thing(
        backup=TEXT,
        made_at=INSTANT,
        events=WHOLE,
        life=WHOLE,
        keys_online=by_name(WHOLE),
        seconds=by_name(NUMBER),
        trouble=many(TEXT),
        definitions=many(TEXT),
    )


COMMANDS: Final[dict[str, Callable[[], Schema]]] = {
    "acceptance": _acceptance,
    "backfill": _backfill,
    "backup create": lambda: _backup(bytes_written=WHOLE, chunks_kept=WHOLE, vanished=many(TEXT)),
    "backup drill": _verified,
    "backup list": lambda: many(_backup()),
    "backup prune": lambda: thing(deleted=YES, backups=many(TEXT), files=many(TEXT)),
    "backup restore": _restored,
    "backup verify": _verified,
    "clock": lambda: thing(now=INSTANT, by={"enum": ["home", "environment", "machine"]}),
    "demo": _demo,
    "doctor": _doctor,
    "down": lambda: thing(ended=many(TEXT)),
    "drift": _drift,
    "emit": _emit,
    "env": lambda: by_name(TEXT),
    "erase": _erase,
    "experiment": _experiment,
    "features explain": _features_explain,
    "features get": _features_get,
    "features list": _features_list,
    "features test": _features_test,
    "hook status": _hook_status,
    "ingest": _ingest,
    "labels": _labels,
    "lineage": _lineage,
    "online prune": lambda: thing(deleted=YES, values=WHOLE, versions=many(_online_version())),
    "online repair": _online_repair,
    "online versions": lambda: many(_online_version()),
    "parity": _parity,
    "plan": _plan,
    "reingest": _ingest_report,
    "report": _report,
    "reproduce": _reproduce,
    "restart": _restart,
    "retention": _retention,
    "retire": _retire,
    "rollback": _rollback,
    "shadow": _shadow,
    "simulate": _simulate,
    "status": _status,
    "training-set": _training_set,
    "up": lambda: thing(**_servers()),
    "usage": _usage,
    "validate": _validate,
    "version": lambda: thing(version=TEXT),
}
"""What makes each command's schema; `online mend`, the hidden former name of `online repair`, prints the same."""
