"""Doing again what may go well in a moment: a transaction that PostgreSQL ended so that others could go on.

Belongs here: which of PostgreSQL's errors are worth another try, and after which pause. What is tried again is a transaction as a whole,
never a part of one.
"""

from __future__ import annotations

from typing import Final

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

from detektor_pipelines.stores.connections import sqlstate

ATTEMPTS: Final = 5

_ENDED_FOR_OTHERS: Final = ("40001", "40P01")  # serialization failure, deadlock


def transactions(first_pause: float) -> Retrying:
    """Return what calls a function again when PostgreSQL ended its transaction for another one's sake, ATTEMPTS times in all.

    Args:
        first_pause: Seconds before the second attempt; each later pause is twice as long.

    """
    return Retrying(
        retry=retry_if_exception(lambda error: sqlstate(error) in _ENDED_FOR_OTHERS),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_exponential(multiplier=first_pause),
        reraise=True,
    )
