"""What an operator does first, in the browser: look at the graph, run a backfill, see why a day failed."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from detektor_pipelines.catalog import VIEWS, view_named
from detektor_pipelines.clock import to_us
from detektor_pipelines.language.records import AgentEvent
from detektor_pipelines.stores.raw_log.bulk import append

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from support.dagster_pages import DagsterPages
    from support.operating import OperatingStack

pytestmark = [pytest.mark.slow, pytest.mark.browser]

REVIEWS = view_named("code_review_features")
FAULTS = view_named("pipeline_debugging_features")
IMPOSSIBLE_DEPTH = 4_294_967_295
"""What -1 looks like to a reader that takes it for unsigned; more than a queue may hold."""

_LAUNCH = """mutation ($params: LaunchBackfillParams!) {
    launchPartitionBackfill(backfillParams: $params) { __typename ... on LaunchBackfillSuccess { backfillId } }
}"""


@pytest.fixture(scope="module")
def days(operating_stack: OperatingStack) -> tuple[date, date, date]:
    """Return three days that are over."""
    last = operating_stack.last - timedelta(days=2)
    return last - timedelta(days=2), last - timedelta(days=1), last


@pytest.fixture(scope="module", autouse=True)
def backfill_with_a_bad_day(browser: Browser, operating_stack: OperatingStack, days: tuple[date, date, date]) -> None:
    """Put an event that the gate refuses into the log, and ask for the days around it: the daemon works while the tests look elsewhere."""
    bad = datetime(days[1].year, days[1].month, days[1].day, 0, 30, tzinfo=UTC)
    event = AgentEvent(
        event_id="impossible-depth",
        agent_type=FAULTS.agent,
        raw_name=FAULTS.agent,
        operation="diagnose",
        occurred_at=to_us(bad),
        known_at=to_us(bad),
        source="test",
        simulated=True,
        measures={"queue_depth": IMPOSSIBLE_DEPTH},
        categories={"outcome": "success", "stage": "redis"},
    )
    assert append(operating_stack.settings, [event]).added == 1
    params = {"partitionNames": [day.isoformat() for day in days], "assetSelection": [{"path": [FAULTS.group, "features"]}]}
    answer = operating_stack.graphql(_LAUNCH, {"params": params})
    assert answer["launchPartitionBackfill"]["__typename"] == "LaunchBackfillSuccess"


def test_the_graph_shows_the_log_and_a_group_for_each_agent(pages: DagsterPages) -> None:
    pages.open_graph()
    for group in ("raw_logs", *(view.group for view in VIEWS)):
        expect(pages.page.get_by_text(group, exact=True).first).to_be_visible()
    pages.open_group(REVIEWS.group)
    for words in ("features", "online", "Postgres", "DuckDB", "Redis", "feast"):
        expect(pages.page.get_by_text(words, exact=True).first).to_be_visible()


def test_an_asset_says_what_it_is_and_whose(pages: DagsterPages) -> None:
    pages.open_asset(REVIEWS.group, "features")
    page = pages.page
    for words in (REVIEWS.description, *(feature.name for feature in REVIEWS.features)):
        expect(page.get_by_text(words, exact=True).first).to_be_visible()
    expect(page.get_by_text("Owners", exact=True)).to_be_visible()
    expect(page.get_by_text(REVIEWS.owner.removeprefix("team:"), exact=True).first).to_be_visible()
    expect(page.get_by_text(f"detektor/version: {REVIEWS.version}")).to_be_visible()


@pytest.mark.long
def test_a_backfill_of_three_days_is_launched_watched_and_done(pages: DagsterPages, days: tuple[date, date, date]) -> None:
    dialog = pages.fill_backfill_dialog(REVIEWS.group, "features", days[0], days[-1])
    backfill = pages.launch(dialog)
    pages.open(f"/runs/b/{backfill}")
    expect(pages.page.get_by_text(f"{days[0]}...{days[-1]}")).to_be_visible()
    pages.open_asset(REVIEWS.group, "features", "partitions")
    pages.choose_days(days[0], days[-1])
    pages.wait_for_days("Materialized", 3)
    pages.wait_for_days("Failed", 0)


def test_a_failed_check_names_the_day_and_the_rows(pages: DagsterPages, days: tuple[date, date, date]) -> None:
    page = pages.page
    pages.open_asset(FAULTS.group, "features", "partitions")
    pages.choose_days(days[0], days[-1])
    pages.wait_for_days("Failed", 1)
    pages.wait_for_days("Materialized", 2)
    page.get_by_text("Checks", exact=True).click()
    page.get_by_text("values_are_valid", exact=True).first.click()
    expect(page.get_by_text(f"1 of 3 days did not pass and was not published: {days[1]}. The other 2 are published.")).to_be_visible()
    row = page.get_by_role("row").filter(has_text=re.compile(rf"{FAULTS.agent}.*max_queue_depth.*{IMPOSSIBLE_DEPTH}", re.DOTALL))
    expect(row.first).to_be_visible()
    expect(row.first).to_contain_text(str(days[1]))
