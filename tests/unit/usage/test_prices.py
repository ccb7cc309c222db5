"""Prices: the library's to the last digit, one's own before them, and clear words for a table that means nothing."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from genai_prices import Usage, calc_price
from hypothesis import given
from hypothesis import strategies as st

from detektor_pipelines.errors import UserError
from detektor_pipelines.usage.prices import FILE, KINDS, Prices

if TYPE_CHECKING:
    from pathlib import Path

MODELS = ("claude-sonnet-4-5-20250929", "claude-opus-4-6", "claude-3-5-haiku-20241022", "gpt-5.2-codex", "gemini-2.5-pro")
TOKENS = st.integers(min_value=0, max_value=1_500_000)


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Prices:
    return Prices(tmp_path_factory.mktemp("no file"))


@given(st.sampled_from(MODELS), st.dates(date(2025, 1, 1), date(2026, 11, 1)), st.fixed_dictionaries(dict.fromkeys(KINDS, TOKENS)))
def test_a_request_costs_what_the_library_says(listed: Prices, model: str, day: date, tokens: dict[str, int]) -> None:
    sent = tokens["input"] + tokens["cache_read"] + tokens["cache_write"]
    right = calc_price(
        Usage(
            input_tokens=sent,
            output_tokens=tokens["output"],
            cache_read_tokens=tokens["cache_read"],
            cache_write_tokens=tokens["cache_write"],
        ),
        model,
        genai_request_timestamp=datetime.combine(day, time(12, tzinfo=UTC)),
    )
    tariff = listed.tariff(model, day)
    assert tariff is not None
    assert tariff.cost(tokens, sent) == right.total_price


def test_what_nobody_knows_has_no_price(listed: Prices) -> None:
    assert listed.tariff("our-own-model", date(2026, 3, 1)) is None


def test_ones_own_price_counts_from_its_day_on(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(
        """
        [[price]]
        model = "Our-*"
        input = 1
        output = 2.5
        [[price]]
        model = "our-*"
        from = 2026-03-02
        input = 2
        output = 5
        cache_read = 0.2
        [[price]]
        model = "claude-opus-4-6"
        input = 0
        output = 0
        """
    )
    prices = Prices(tmp_path)
    tokens = dict.fromkeys(KINDS, 1_000_000)
    costs = {day: prices.tariff("our-own", date(2026, 3, day)) for day in (1, 2)}
    assert [each and each.cost(tokens, 1) for each in costs.values()] == [Decimal("5.5"), Decimal("9.2")]
    free = prices.tariff("claude-opus-4-6", date(2026, 3, 1))
    assert free is not None
    assert free.cost(tokens, 1) == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[price]]\nmodel =", "cannot be read"),
        ("[prices]", "prices means nothing"),
        ("[price]\nmodel = 'x'", "one table"),
        ("[[price]]\nmodel = 'x'\ninput = 1\noutput = 1\nper = 'k'", "per, which means nothing"),
        ("[[price]]\ninput = 1\noutput = 1", "lacks model"),
        ("[[price]]\nmodel = 'x'\nfrom = 'then'\ninput = 1\noutput = 1", "from is not a day"),
        ("[[price]]\nmodel = 'x'\ninput = 1", "needs input and output"),
        ("[[price]]\nmodel = 'x'\ninput = -1\noutput = 1", "needs input and output"),
    ],
)
def test_a_table_that_means_nothing_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(UserError, match=said) as caught:
        Prices(tmp_path)
    assert caught.value.where == str(tmp_path / FILE)
