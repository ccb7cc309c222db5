"""`detektor parity`: is what a reader gets now what it should be? Which agent_ids are looked at, what became of each, and the counts.

Which there are is `keys`, what each is `judgement`, and why and what fixes it `mismatches`.
"""

from __future__ import annotations

import json
import random
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

from detektor_pipelines import clock
from detektor_pipelines.quality.parity.judgement import ERRORS, STATES, State, View, judged
from detektor_pipelines.quality.parity.keys import choose, known_keys
from detektor_pipelines.quality.parity.mismatches import Mismatch, mismatches_of
from detektor_pipelines.stores.connections_redis import redis_client, redis_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings

SAMPLE: Final = 10_000
"""How many agent_ids are looked at by default, over all views: reading the log costs the same for one."""

_SEEDS: Final = 2**32

__all__ = [
    "ERRORS",
    "SAMPLE",
    "STATES",
    "Mismatch",
    "Parity",
    "State",
    "check",
    "compared_nothing",
    "last_results",
    "repair",
]


@dataclass(slots=True)
class Parity:
    """What was found of one view.

    Attributes:
        view: Its name.
        known: How many agent_ids are known: online, in the log, or published.
        compared: How many of them were looked at, and have or should have a value.
        states: How many of these are in each state (`judgement.State`).
        mismatches: What is not right, a feature each.
        complete_until: Up to when all of the view's values are said to be complete, µs UTC; None when nobody has said so.
        seed: Of the sample, to choose the same again.

    """

    view: str
    known: int = 0
    compared: int = 0
    states: dict[State, int] = field(default_factory=dict)
    mismatches: list[Mismatch] = field(default_factory=list)
    complete_until: int | None = None
    seed: int = 0

    @property
    def errors(self) -> int:
        """How many agent_ids are not right."""
        return sum(self.states.get(state, 0) for state in ERRORS)

    @property
    def skipped(self) -> int:
        """How many of those that are known were not compared: the sample was smaller, or there is nothing to be served of them."""
        return self.known - self.compared

    def as_data(self) -> dict[str, object]:
        """Return it for JSON."""
        return asdict(self) | {"errors": self.errors, "skipped": self.skipped, "by_feature": self.by_feature()}

    def by_feature(self) -> dict[str, int]:
        """Count what is not right by feature."""
        counts: dict[str, int] = {}
        for each in self.mismatches:
            counts[each.feature] = counts.get(each.feature, 0) + 1
        return counts


def check(
    settings: Settings,
    views: Sequence[FeatureView],
    sample: int = SAMPLE,
    *,
    seed: int | None = None,
    on_view: Callable[[str, int], None] = lambda _view, _chosen: None,
) -> list[Parity]:
    """Look at up to `sample` agent_ids over all views; keeps the counts for metrics.

    Args:
        settings: Where the servers are.
        views: What to look at.
        sample: How many agent_ids; chosen at random where there are more.
        seed: Of the choice; another one each time by default.
        on_view: Hears a view's name, and how many agent_ids of it are looked at, before that begins.

    Raises:
        UserError: PostgreSQL or Redis cannot be reached.

    """
    chance = random.randrange(_SEEDS) if seed is None else seed  # noqa: S311  a sample, no secret
    client = redis_client(settings)
    try:
        keys = known_keys(settings, client, views)
        choose(keys, sample, chance)
        found = []
        for view in views:
            on_view(view.name, len(keys[view.name].chosen))
            found.append(_of_view(View(settings, client, view, keys[view.name]), chance))
        with redis_errors(client):
            client.set(_results_key(settings), json.dumps({"at": clock.now_us(), "views": {each.view: _counts(each) for each in found}}))
    finally:
        client.close()
    return found


def repair(settings: Settings, views: Sequence[FeatureView], found: Sequence[Parity]) -> int:
    """Write the values that were found not to be right again, from the raw log; returns how many were stored.

    One that lies ahead of the clock is not: nothing can be written over it (`engine.repair`).

    Raises:
        UserError: PostgreSQL or Redis cannot be reached.

    """
    from detektor_pipelines.engine.online import write_from_log

    by_name, written = {view.name: view for view in views}, 0
    for each in found:
        agent_ids = sorted({one.agent_id for one in each.mismatches if one.state != "ahead"})
        if agent_ids:
            written += write_from_log(settings, by_name[each.view], agent_ids, writer="parity").written
    return written


def compared_nothing(found: Sequence[Parity]) -> bool:
    """Whether there was nothing to look at, which is not a success."""
    return not any(each.compared for each in found)


def last_results(settings: Settings) -> dict[str, Any] | None:
    """Return when `check` last ran (`at`, µs UTC) and its counts by view; None before the first.

    `views`: name → known, compared, errors, `states` (how many agent_ids are in each) and `by_feature`.

    Raises:
        UserError: Redis cannot be reached.

    """
    client = redis_client(settings)
    try:
        with redis_errors(client):
            answer = cast("bytes | None", client.get(_results_key(settings)))
    finally:
        client.close()
    return None if answer is None else _of_this_build(answer)


def _of_this_build(text: bytes) -> dict[str, Any] | None:
    """Read results; none of those that an earlier build has left, which counted something else, or that cannot be read."""
    try:
        results: dict[str, Any] = json.loads(text)
        return results if all("states" in each for each in results["views"].values()) else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _of_view(view: View, seed: int) -> Parity:
    verdicts = judged(view)
    found = Parity(view.view.name, len(view.keys.known), len(verdicts), complete_until=view.complete_until(), seed=seed)
    for each in verdicts.values():
        found.states[each.state] = found.states.get(each.state, 0) + 1
    found.mismatches = mismatches_of(view, [each for each in verdicts.values() if each.state in ERRORS])
    return found


def _counts(found: Parity) -> dict[str, Any]:
    return {
        "known": found.known,
        "compared": found.compared,
        "errors": found.errors,
        "states": found.states,
        "by_feature": found.by_feature(),
    }


def _results_key(settings: Settings) -> str:
    return f"feast:{settings.project}#parity"
