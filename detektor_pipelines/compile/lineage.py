"""Which columns of the raw log each column of a feature table is made from, read off the plan that computes it.

What the plan reads is what is computed, so this cannot drift from the numbers. It is not read off SQL text: openlineage-sql 1.54.0 takes
the columns of an INSERT by their names in the SELECT, and crosses them (findings/openlineage-insert-columns.sh). Dagster's column lineage,
the generated docs and MLflow's record are made from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from detektor_pipelines.compile.finalise import Arithmetic, Edge, Listed, Node, Ratio, Skew, Spread, State
from detektor_pipelines.compile.plan import plan
from detektor_pipelines.language.derived import Derived
from detektor_pipelines.language.events import extra_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from detektor_pipelines.compile.plan import Plan
    from detektor_pipelines.language.expressions import Expression
    from detektor_pipelines.language.views import Feature, FeatureView

WINDOW: Final = "occurred_at"
"""The column that says in which windows an event is: every feature is made from it."""

KEY_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "agent_id": ("agent_type", "project"),
    "event_timestamp": ("known_at", "occurred_at"),
    "created_at": ("known_at", "occurred_at"),
}
"""What the columns are made from that every view has."""


def columns_read(view: FeatureView) -> dict[str, tuple[str, ...]]:
    """Return the columns of `agent_events` behind each column of the view's table, in its order; names in alphabetical order.

    A derived feature has those of all features that it is made of. What all rows share stands under the key columns only: which agent and
    project they belong to, and which revision of an event counts.
    """
    compiled = plan(view)
    behind = _by_state(compiled)
    trees = dict(compiled.features)
    features = {
        each.name: tuple(sorted(frozenset({WINDOW}).union(*(behind[state] for state in _states(trees[each.name])))))
        for each in view.features
    }
    return {**KEY_COLUMNS, **features}


def made_of(feature: Feature) -> tuple[str, ...]:
    """Return the features that a derived one is directly made of, in alphabetical order; nothing for an aggregation."""
    return tuple(sorted(feature.value.features())) if isinstance(feature.value, Derived) else ()


def _by_state(compiled: Plan) -> dict[str, frozenset[str]]:
    """Return the event columns behind each state."""
    found = {each.name: _columns(each.prepared.where, each.prepared.operand) for each in compiled.sums}
    found |= {each.name: found[each.count.name] | found[each.total.name] | found[each.squares.name] for each in compiled.spreads}
    found |= {each.name: _columns(each.where, each.operand) for each in compiled.picks}
    found |= {each.name: _columns(each.where, each.operand) for each in compiled.ranked}
    return found | {each.name: _columns(each.where, each.column) for each in compiled.distincts}


def _states(node: Node) -> Iterable[str]:
    """Return the names of the states that a finalising tree is made of."""
    match node:
        case State(name):
            yield name
        case Ratio(numerator, denominator):
            yield from (numerator.name, denominator.name)
        case Spread(numerator, count):
            yield from (numerator, count.name)
        case Skew(count, total, squares, cubes):
            yield from (count.name, total.name, squares, cubes)
        case Listed(name):
            yield name
        case Edge(counts=counts, greatest=greatest):
            yield from (*(count.name for count in counts), greatest.name)
        case Arithmetic(_, left, right):
            yield from _states(left)
            yield from _states(right)


def _columns(*expressions: Expression | None) -> frozenset[str]:
    read = frozenset[str]().union(*(each.columns() for each in expressions if each is not None))
    return frozenset("extra" if extra_name(name) else name for name in read)
