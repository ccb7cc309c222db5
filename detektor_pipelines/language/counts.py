"""Counts by category: one `count()` for each value of a text column, written out as features of their own.

There is no map among the types that a feature can have. A column for each value has a type, bounds and a drift of its own, a model takes it
as it is, and its numbers are those of the same `count()` written by hand: nothing behind the language knows of this word.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from detektor_pipelines.language.aggregations import count
from detektor_pipelines.language.expressions import Column, DefinitionError
from detektor_pipelines.language.views import Feature

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detektor_pipelines.language.expressions import Predicate
    from detektor_pipelines.language.views import Number
    from detektor_pipelines.language.windows import Window

MAXIMUM_VALUES: Final = 100
"""Values that can be told apart: each is a column of the row, and the condition of the last names all the others."""
OTHER: Final = "other"


def counts_by(  # noqa: PLR0913  those of a Feature, and the column
    name: str,
    column: Column,
    *,
    values: Sequence[str] = (),
    over: Window,
    where: Predicate | None = None,
    description: str,
    unit: str,
    within: tuple[Number | None, Number | None] = (0, None),
) -> tuple[Feature, ...]:
    """Return the number of events for each value of a text column: features `<name>_<value>`, to be unpacked into a view's.

    A closed vocabulary has all its values, unless some are named. Where not all are, one more feature, `<name>_other`, counts the events
    whose value is known and none of them: so the features add up to the number of events that know the column.

    Args:
        name: what the features' names begin with.
        column: such as `event.verdict`.
        values: which values get a feature; needed where the vocabulary is open (`event.tool_name`). Their names are in lower case, with `_`
            for all that is neither letter nor digit.
        over: the window.
        where: only events for which this is TRUE are counted.
        description: one sentence; each feature's says which value it counts.
        unit: such as `calls`.
        within: inclusive bounds that each count keeps.

    Raises:
        DefinitionError: it is no text column, no value is named of an open vocabulary, or two have one name.

    """
    if not isinstance(column, Column) or column.kind != "text":
        message = f"counts_by({name!r}, …): takes a text column, such as event.verdict"
        raise DefinitionError(message)
    chosen = _chosen(name, column, values)
    conditions = {_named(value): (column == value, f"{column.name} is {value}") for value in chosen}
    if OTHER in conditions or len(conditions) != len(chosen):
        message = f"counts_by({name!r}, event.{column.name}): two values have one name, or one is {OTHER!r}: {', '.join(sorted(chosen))}"
        raise DefinitionError(message)
    if set(chosen) != set(column.values):
        conditions[OTHER] = (column.is_known() & ~column.is_in(chosen), f"{column.name} is another")
    return tuple(
        Feature(
            f"{name}_{each}",
            count(),
            over=over,
            where=condition if where is None else where & condition,
            description=f"{description.rstrip('.')}: {said}.",
            unit=unit,
            within=within,
        )
        for each, (condition, said) in conditions.items()
    )


def _chosen(name: str, column: Column, values: Sequence[str]) -> tuple[str, ...]:
    chosen = column.values if not values and not isinstance(values, str) else values
    if isinstance(chosen, str) or not chosen or not all(isinstance(each, str) for each in chosen):
        message = f"counts_by({name!r}, event.{column.name}): name the values (values=('Edit', 'Bash')), its vocabulary is open"
        raise DefinitionError(message)
    if len(chosen) > MAXIMUM_VALUES:
        message = f"counts_by({name!r}, event.{column.name}): {len(chosen)} values, at most {MAXIMUM_VALUES} can be told apart"
        raise DefinitionError(message)
    if column.values and (unknown := sorted(set(chosen) - set(column.values))):
        message = f"counts_by({name!r}, event.{column.name}): {', '.join(unknown)} is none of {', '.join(column.values)}"
        raise DefinitionError(message)
    return tuple(chosen)


def _named(value: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", value.lower()).strip("_")
