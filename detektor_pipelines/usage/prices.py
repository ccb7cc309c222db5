"""Prices of models, dated: those of genai-prices, which are data of a library, and one's own before them.

`DETEKTOR_HOME/prices.toml` holds one's own, the last one that has begun counts:

    [[price]]
    model = "our-model-*"      # a name or a pattern, case does not matter
    from = 2026-01-01          # the first UTC day that it counts for; all days without it
    input = 3.0                # USD per million tokens
    output = 15.0
    cache_read = 0.3           # as input where it is left out
    cache_write = 3.75         # as input where it is left out
"""

from __future__ import annotations

import fnmatch
import tomllib
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

FILE: Final = "prices.toml"
KINDS: Final = ("input", "output", "cache_read", "cache_write")
_FIELDS: Final = {"input": "input_mtok", "output": "output_mtok", "cache_read": "cache_read_mtok", "cache_write": "cache_write_mtok"}
_MILLION: Final = 1_000_000
_NOON: Final = time(12, tzinfo=UTC)


@dataclass(frozen=True)
class Tariff:
    """What one model's tokens cost on one day, in USD per million; `steps` are of requests that send more than so many tokens.

    Attributes:
        base: Price by kind.
        steps: (more than so many tokens sent, price by kind), rising.
        origin: Whose price it is.

    """

    base: Mapping[str, Decimal]
    steps: tuple[tuple[int, Mapping[str, Decimal]], ...] = ()
    origin: str = ""

    def cost(self, tokens: Mapping[str, int], sent: int) -> Decimal:
        """Return USD for tokens of requests that sent between two steps, `sent` being one such number (the cache's tokens included)."""
        price = next((price for start, price in reversed(self.steps) if sent > start), self.base)
        return sum((price[kind] * tokens[kind] for kind in KINDS), Decimal(0)) / _MILLION


@dataclass(frozen=True)
class _Own:
    """A line of one's own."""

    pattern: str
    begins: date
    tariff: Tariff


class Prices:
    """The prices that count in one installation."""

    def __init__(self, home: Path) -> None:
        self._own = _read(home / FILE)
        self._known: dict[tuple[str, date], Tariff | None] = {}

    def tariff(self, model: str, day: date) -> Tariff | None:
        """Return what a model cost on a UTC day; None where nobody says. Prices that depend on the hour are those of noon."""
        key = (model, day)
        if key not in self._known:
            self._known[key] = self._own_tariff(model.lower(), day) or _listed(model, day)
        return self._known[key]

    def _own_tariff(self, model: str, day: date) -> Tariff | None:
        fitting = [each for each in self._own if each.begins <= day and fnmatch.fnmatchcase(model, each.pattern)]
        return max(fitting, key=lambda each: each.begins).tariff if fitting else None


def _listed(model: str, day: date) -> Tariff | None:
    from genai_prices import Usage, calc_price

    try:
        found = calc_price(Usage(input_tokens=0, output_tokens=0), model, genai_request_timestamp=datetime.combine(day, _NOON))
    except LookupError:
        return None
    prices = {kind: getattr(found.model_price, name) for kind, name in _FIELDS.items()}
    starts = sorted({tier.start for price in prices.values() for tier in getattr(price, "tiers", ())})
    steps = tuple((start, _whole({kind: _above(price, start) for kind, price in prices.items()})) for start in starts)
    return Tariff(_whole({kind: _above(price, 0) for kind, price in prices.items()}), steps, f"{found.provider.id}: {found.model.id}")


def _above(price: Any, start: int) -> Decimal | None:
    """Return the price of a request that sends one token more than `start`."""
    reached: list[Decimal] = [tier.price for tier in getattr(price, "tiers", ()) if tier.start <= start and start]
    base: Decimal | None = getattr(price, "base", price)
    return reached[-1] if reached else base


def _whole(prices: Mapping[str, Decimal | None]) -> dict[str, Decimal]:
    """Fill what has no price of its own: the cache's tokens cost what others that are sent do."""
    sent = prices["input"] or Decimal(0)
    given = {kind: price for kind, price in prices.items() if price is not None}
    return {"input": sent, "output": Decimal(0), "cache_read": sent, "cache_write": sent, **given}


def _read(file: Path) -> Sequence[_Own]:
    """Read one's own prices; without a file there are none.

    Raises:
        UserError: A line means nothing.

    """
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, RecursionError) as error:  # ValueError: no UTF-8, no TOML, or a number of 5,000 digits
        raise _broken(file, f"it cannot be read: {error}") from None
    if strange := sorted(content.keys() - {"price"}):
        raise _broken(file, f"{strange[0]} means nothing here; prices stand below [[price]]")
    lines = content.get("price", [])
    if not isinstance(lines, list):
        raise _broken(file, "[price] is one table; write [[price]] before each")
    return [_own(file, number, line) for number, line in enumerate(lines, 1)]


def _own(file: Path, number: int, line: Any) -> _Own:
    said = f"the {number}. [[price]]"
    if not isinstance(line, dict) or (strange := sorted(line.keys() - {"model", "from", *KINDS})):
        raise _broken(file, f"{said} holds {strange[0]}, which means nothing" if isinstance(line, dict) else f"{said} is no table")
    begins = line.get("from", date.min)
    if not isinstance(line.get("model"), str) or type(begins) is not date:
        raise _broken(file, f'{said} lacks model = "name", or its from is not a day such as 2026-01-01')
    prices = {kind: line[kind] for kind in KINDS if kind in line}
    wrong = [kind for kind, price in prices.items() if isinstance(price, bool) or not isinstance(price, int | float) or price < 0]
    if wrong or not {"input", "output"} <= prices.keys():
        raise _broken(file, f"{said} needs input and output, and each price is a number of USD per million tokens")
    exact = {kind: Decimal(str(prices[kind])) if kind in prices else None for kind in KINDS}
    return _Own(line["model"].strip().lower(), begins, Tariff(_whole(exact), origin=str(file)))


def _broken(file: Path, why: str) -> UserError:
    fix = 'Write [[price]], then model = "name", input = 3.0 and output = 15.0 (USD per million tokens), or delete the file.'
    return UserError(f"The price table cannot be used: {why}.", where=str(file), fix=fix)
