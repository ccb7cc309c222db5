"""Instants as options: what several commands take as `--from` and `--to`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from detektor_pipelines.errors import UserError

if TYPE_CHECKING:
    from datetime import datetime


def span_of(start: str | None, end: str | None) -> tuple[datetime | None, datetime | None]:
    """Return the instants that `--from` and `--to` give, None without one.

    Raises:
        UserError: A text is none, or nothing lies between them.

    """
    first, last = instant_of(start, "--from"), instant_of(end, "--to")
    if first and last and last <= first:
        raise UserError(f"Nothing lies from {start} on and before {end}.", where="--from, --to", fix="Give the earlier instant first.")
    return first, last


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
