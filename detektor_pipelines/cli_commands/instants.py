"""Instants as options: what several commands take as `--from` and `--to`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from detektor_pipelines.errors import UserError

if TYPE_CHECKING:
    from datetime import datetime


def instant_of(text: str | None, option: str) -> datetime | None:
    """Return the instant that an option gives, None without one.

    Raises:
        UserError: The text is not one.

    """
    from detektor_pipelines.clock import from_us, parse_instant

    if text is None:
        return None
    try:
        return from_us(parse_instant(text))
    except (ValueError, OverflowError) as error:
        raise UserError(f"{error}.", where=option) from None
