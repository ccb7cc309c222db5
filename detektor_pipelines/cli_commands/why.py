"""How `detektor features get --why` prints the table of truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from detektor_pipelines.cli_commands.output import print_table, say, styled
from detektor_pipelines.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.quality.parity.truth import TrueValue, Truth

_SAYS = {
    "ok": "Right: the raw log gives the same now.",
    "unknown": "Right: the raw log gives the same now, though the value does not say what it knows.",
    "behind": "Right when it was published; nobody keeps it fresh. `detektor up` starts a worker.",
    "wrong": "WRONG: the raw log does not give this, not even for the value's own timestamp and knowledge.",
    "lost": "WRONG, a lost write: an event that should have changed it is not in it.",
    "frozen": "WRONG, frozen: time has passed that should have changed it.",
    "missing": "MISSING: the raw log or the offline store has it, no reader gets it.",
    "evicted": "GONE: it was online and is not any more.",
    "ahead": "AHEAD of the clock: no reader can trust it.",
}


def check_alone(at: str | None, url: str | None) -> None:
    """Refuse what --why cannot be asked with.

    Raises:
        UserError: Another option asks for another instant or another server.

    """
    if at is not None:
        raise UserError("--why explains the value served now, so it takes no --at.", where="--why with --at", fix="Leave one of them out.")
    if url is not None:
        fix = 'Leave out --url, or send "why": true to the server itself (docs/serving.md).'
        raise UserError("A recomputation reads the raw log, not a feature server.", where="--why with --url", fix=fix)


def check_features(view: FeatureView, names: Collection[str]) -> None:
    """Refuse a feature that the view does not have.

    Raises:
        UserError: There is none of that name.

    """
    known = [each.name for each in view.features]
    for name in names:
        if name not in known:
            raise UserError(f"{view.name} has no feature {name}.", fix=f"`detektor features list {view.name}` describes them.")


def as_data(found: Truth, view: FeatureView, names: Collection[str]) -> dict[str, Any]:
    """Return it for JSON: instants as text, and of the features those that were asked for, all of them by default."""
    from dataclasses import asdict

    from detektor_pipelines.clock import to_text

    data = asdict(found)
    for name in ("true_up_to", "as_of", "event_timestamp", "right_at"):
        data[name] = None if data[name] is None else to_text(data[name])
    if data["refused"]:
        data["refused"]["last"] = to_text(data["refused"]["last"])
    instants = {each.name for each in view.features if each.value_type == "instant"}
    data["values"] = [each for each in data["values"] if not names or each["name"] in names]
    for each in data["values"]:
        if each["name"] in instants:
            each |= {name: None if each[name] is None else to_text(each[name]) for name in ("value", "right")}
    return data


def show(found: Truth, view: FeatureView, names: Collection[str], text: Callable[[Any], str]) -> None:
    """Print it as a table, and in sentences what all its values share; `text` writes one value."""
    from detektor_pipelines.clock import from_us, to_text

    instants = {each.name for each in view.features if each.value_type == "instant"}

    def cell(each: TrueValue, value: Any) -> str:
        return text(from_us(value) if value is not None and each.name in instants else value)

    rows = [
        (each.name, cell(each, each.value), each.unit, each.status, "the same" if each.agrees else styled(cell(each, each.right), "red"))
        for each in found.values
        if not names or each.name in names
    ]
    at = "now" if found.right_at is None else f"for {to_text(found.right_at)}"
    print_table(("feature", "value", "unit", "status", f"the raw log gives {at}"), rows, title=f"{found.agent_id}, online")
    if found.true_up_to is None or found.as_of is None or found.age_seconds is None:
        say("The online store holds nothing of this agent.")
    else:
        say(f"True up to: {to_text(found.true_up_to)}, {found.age_seconds:.3f} s ago.")
        known = "not said" if found.snapshot is None else f"snapshot {found.snapshot} of the raw log's life {found.epoch}"
        say(f"Knowledge: {known}.")
        say(f"Written by: {found.writer or 'not said'}, for {to_text(found.as_of)}.")
    say(f"Refused writes: {_refused(found)}.")
    say(f"Parity: {_SAYS.get(found.state or '', 'nothing is known of this agent: no value, no event in the windows, no row.')}")
    if found.since:
        say(f"Since: {found.since}.")
    if found.fix:
        say(f"What fixes it: {found.fix}.")


def _refused(found: Truth) -> str:
    from detektor_pipelines.clock import to_text

    if found.refused is None:
        return "none"
    when = "since this value was written" if found.refused.since else "none since this value was written"
    return f"{found.refused.count}, the last {to_text(found.refused.last)} by {found.refused.writer}, {when}"
