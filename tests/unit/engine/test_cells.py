"""What puts cells in order, and what is found by that order."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from detektor_pipelines.engine.arrays.cells import in_order


@given(st.lists(st.integers(0, 3) | st.integers(0, 2**62)))
@example([])
@example([2**16, 0, 2**16, 2**32, 2**16 - 1])
def test_in_order_is_a_stable_sort(numbers: list[int]) -> None:
    found = in_order(np.array(numbers, dtype=np.int64))
    assert found.tolist() == sorted(range(len(numbers)), key=numbers.__getitem__)
