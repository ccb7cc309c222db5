"""The finaliser's two readings, a row at a time and a column at a time, agree to the bit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detektor_pipelines.compile.finalise import LIMB, Arithmetic, Edge, Node, Ratio, Spread, State, Value
from detektor_pipelines.language.views import MAXIMUM_EVENTS

if TYPE_CHECKING:
    from detektor_pipelines.compile.finalise import Vector

counts = st.one_of(st.integers(0, 3), st.integers(0, MAXIMUM_EVENTS))
sums = st.one_of(st.integers(-3, 3), st.integers(-(2**63) + 1, 2**63 - 1), st.sampled_from((2**53, 2**53 + 1, 2**63 - 1, -(2**63) + 1)))
wide = st.one_of(st.integers(0, 3), st.integers(0, 2**124), st.integers(2**62 - 2, 2**62 + 2), st.integers(2**115, 2**115 + 2**64))
picks = st.one_of(st.none(), sums)
numbers = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from((0.0, -0.0, 1e308, 5e-324)))

STRATEGIES = {"n": counts, "m": counts, "s": sums, "v": wide, "k": picks, **{f"b{number}": counts for number in range(4)}}
Row = dict[str, int | None]
rows = st.lists(st.fixed_dictionaries(STRATEGIES), min_size=1, max_size=6)

leaves = st.one_of(
    st.sampled_from(
        (
            State("n"),
            State("s"),
            State("k"),
            Ratio(State("s"), State("n")),
            Ratio(State("n"), State("m")),
            Spread("v", State("n")),
        )
    ),
    st.builds(
        lambda share, whole: Edge(
            tuple(State(f"b{number}") for number in range(4)), (10, 20, 50, 100), min(share, whole), whole, State("k")
        ),
        st.integers(1, 100),
        st.sampled_from((1, 2, 3, 10, 100, 10**6)),
    ),
)
operators = st.sampled_from(("+", "-", "*", "/"))
trees: st.SearchStrategy[Node] = st.recursive(
    leaves, lambda inner: st.builds(Arithmetic, operators, inner, st.one_of(inner, st.builds(Value, numbers))), max_leaves=6
)


@dataclass(frozen=True)
class Columns:
    """Rows as the batch side gets them: a column each, 128 bits as two limbs, 0 under null."""

    rows: list[Row]

    def vectors(self) -> dict[str, Vector]:
        narrow = {name: [row[name] for row in self.rows] for name in STRATEGIES if name != "v"}
        numerators = [row["v"] or 0 for row in self.rows]
        narrow |= {"v_hi": [value // LIMB for value in numerators], "v_lo": [value % LIMB for value in numerators]}
        return {
            name: (np.array([value or 0 for value in column], dtype=np.int64), np.array([value is not None for value in column]))
            for name, column in narrow.items()
        }


def both(tree: Node, table: list[Row]) -> tuple[list[int | float | None], list[int | float | None]]:
    values, valid = tree.vector(Columns(table).vectors())
    return [tree.scalar(row) for row in table], [
        value if known else None for value, known in zip(values.tolist(), valid.tolist(), strict=True)
    ]


def bits(values: list[int | float | None]) -> list[str]:
    """Text that differs whenever a bit does, 0.0 and -0.0 too."""
    return [value.hex() if isinstance(value, float) else repr(value) for value in values]


@given(trees, rows)
def test_scalar_and_vector_agree_to_the_bit(tree: Node, table: list[Row]) -> None:
    scalar, vector = both(tree, table)

    assert bits(scalar) == bits(vector)
    assert all(value is None or math.isfinite(value) for value in scalar)


@given(trees, rows)
def test_values_under_null_are_zero(tree: Node, table: list[Row]) -> None:
    values, valid = tree.vector(Columns(table).vectors())

    assert not values[~valid].any()


@given(st.integers(0, 2**124), st.integers(2, MAXIMUM_EVENTS))
def test_a_spread_of_128_bits_is_rounded_once_each_step(numerator: int, n: int) -> None:
    row: Row = {**dict.fromkeys(STRATEGIES, 0), "v": numerator, "n": n}
    scalar, vector = both(Spread("v", State("n")), [row])

    assert scalar == vector == [math.sqrt(float(numerator) / float(n * (n - 1)))]


@given(st.lists(st.integers(-(10**9), 10**9), min_size=2, max_size=30))
def test_the_spread_is_the_samples_standard_deviation(values: list[int]) -> None:
    n, total = len(values), sum(values)
    exact = Fraction(n * sum(x * x for x in values) - total * total, n * (n - 1))
    row = {"v": n * sum(x * x for x in values) - total * total, "n": n}

    assert Spread("v", State("n")).scalar(row) == pytest.approx(math.sqrt(exact), rel=1e-15)


@given(st.lists(st.integers(0, 100), max_size=30), st.integers(1, 10**6))
def test_the_edge_is_the_upper_edge_over_the_rank_and_not_above_the_greatest(values: list[int], share: int) -> None:
    tops = (10, 20, 50, 100)
    bottoms = (-1, *tops[:-1])
    buckets = {f"b{number}": sum(low < x <= high for x in values) for number, (low, high) in enumerate(zip(bottoms, tops, strict=True))}
    edge = Edge(tuple(State(name) for name in buckets), tops, share, 10**6, State("k"))
    ranked = sorted(values)[math.ceil(Fraction(share, 10**6) * len(values)) - 1] if values else None
    expected = None if ranked is None else min(*(top for top in tops if ranked <= top), max(values))
    row = {**dict.fromkeys(STRATEGIES, 0), **buckets, "k": max(values, default=None)}

    assert both(edge, [row]) == ([expected], [expected])
    assert ranked is None or (expected is not None and ranked <= expected <= max(values))


@pytest.mark.parametrize(
    ("tree", "row", "expected"),
    [
        (Ratio(State("s"), State("n")), {"s": 3, "n": 0}, None),
        (Ratio(State("s"), State("n")), {"s": 0, "n": 3}, 0.0),
        (Ratio(State("s"), State("n")), {"s": 2**53 + 1, "n": 1}, float(2**53)),
        (Ratio(State("s"), State("n")), {"s": 2**63 - 1, "n": 3}, float(2**63) / 3.0),
        (Spread("v", State("n")), {"v": 0, "n": 1}, None),
        (Spread("v", State("n")), {"v": 0, "n": 2}, 0.0),
        (Arithmetic("/", State("n"), Value(0.0)), {"n": 3}, None),
        (Arithmetic("/", State("n"), Value(-0.0)), {"n": 3}, None),
        (Arithmetic("*", Value(1e308), Value(10.0)), {}, None),
        (Arithmetic("-", Arithmetic("*", Value(1e308), Value(10.0)), Value(1.0)), {}, None),
        (Arithmetic("/", Value(1e308), Value(1e-10)), {}, None),
        (Arithmetic("+", State("k"), Value(1.0)), {"k": None}, None),
        (Arithmetic("+", State("k"), Value(1.0)), {"k": 2**53}, float(2**53)),
    ],
)
def test_what_is_null_and_what_is_rounded(tree: Node, row: Row, expected: float | None) -> None:
    full: Row = {**dict.fromkeys(STRATEGIES, 0), **row}

    assert both(tree, [full]) == ([expected], [expected])
