"""Expressions as SQL: the text means what `Expression.evaluate` means. Integers are BIGINT throughout."""

from detektor_pipelines.language.expressions import (
    Arithmetic,
    Column,
    Compare,
    Constant,
    Expression,
    ExtraColumn,
    IsNull,
    Logic,
    Not,
    Operand,
    Predicate,
)


def operand(expression: Expression) -> str:
    """A value as SQL."""
    match expression:
        case ExtraColumn(name=name, kind="integer", low=low, high=high):
            return f"(CASE WHEN {name} BETWEEN CAST({low} AS BIGINT) AND CAST({high} AS BIGINT) THEN {name} END)"
        case Column(name=name):
            return "ts" if name == "occurred_at" else name
        case Constant(value=value):
            return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else f"CAST({value} AS BIGINT)"
        case Arithmetic(operator=operator, left=left, right=right):
            return f"({operand(left)} {operator} {operand(right)})"
    raise AssertionError(expression)


def condition(expression: Expression) -> str:
    """A predicate as SQL."""
    match expression:
        case Compare(operator=operator, left=left, right=right):
            return f"({operand(left)} {operator} {operand(right)})"
        case Logic(operator=operator, left=left, right=right):
            return f"({condition(left)} {operator.upper()} {condition(right)})"
        case Not(operand=negated):
            return f"(NOT {condition(negated)})"
        case IsNull(operand=tested) if isinstance(tested, Operand):
            return f"({operand(tested)} IS NULL)"
    raise AssertionError(expression)


def passing(where: Predicate | None) -> str:
    """TRUE for a live event that the filter lets through; never used where unknown and false differ."""
    return "live" if where is None else f"live AND {condition(where)}"
