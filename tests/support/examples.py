"""How many examples a property draws that is too dear for the profile's own number."""

from __future__ import annotations

from hypothesis import settings

_CI = 40
"""What the profile `ci` draws where a property says nothing."""


def examples(number: int) -> int:
    """Return `number` in `make test`, and as many times more as the profile in force draws more than `ci`."""
    return max(1, number * settings().max_examples // _CI)
