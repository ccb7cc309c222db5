"""Take the pictures of this directory again: `make pictures` (two to four minutes, needs Chromium).

Starts an installation of its own in a temporary directory, with six simulated months; runs the backfill of all views; then lets an event
come in late that the gate refuses, so that there is a failed day to show; and ends everything. What the pages show beside that (checks,
sensors, schedules) is whatever the definitions have. `make pictures ARGS="graph automation"` takes only these.

Shares the words of the pages with the browser tests (tests/support/dagster_pages.py), so that a page which Dagster changes fails there
first.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from PIL import Image
from playwright.sync_api import expect
from support.dagster_pages import INSTALL, DagsterPages, browsing, chromium
from support.operating import OperatingStack, operating

from detektor_pipelines.catalog import VIEWS, view_named
from detektor_pipelines.clock import to_us
from detektor_pipelines.language.records import AgentEvent
from detektor_pipelines.stores.raw_log.bulk import append

if TYPE_CHECKING:
    from datetime import date

    from playwright.sync_api import Page

HERE: Final = Path(__file__).parent
EVENTS: Final = 200_000
BAD_DAYS_AGO: Final = 6
IMPOSSIBLE_DEPTH: Final = 4_294_967_295
"""What -1 looks like to a reader that takes it for unsigned; more than a queue may hold."""
WIDTH, HEIGHT, SCALE = 1360, 850, 1.5
WIDE: Final = 1480
REVIEWS = view_named("code_review_features")
FAULTS = view_named("pipeline_debugging_features")
SOME_STEPS: Final = 2

_LAUNCH: Final = """mutation ($params: LaunchBackfillParams!) {
    launchPartitionBackfill(backfillParams: $params) { __typename ... on LaunchBackfillSuccess { backfillId } }
}"""
_STATUS: Final = """query ($id: String!) {
    partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } }
}"""


_STEPS: Final = """query ($filter: RunsFilter!) {
    runsOrError(filter: $filter) { ... on Runs { results { id stepStats { status } } } }
}"""


@dataclass
class Studio:
    """One stack, one tab, and where the pictures go."""

    stack: OperatingStack
    pages: DagsterPages
    wanted: frozenset[str]

    @property
    def page(self) -> Page:
        """The tab."""
        return self.pages.page

    def size(self, height: int, width: int = WIDTH) -> None:
        """Set the tab's size; before a page is opened, since a graph is centred when it is drawn."""
        self.page.set_viewport_size({"width": width, "height": height})

    def shoot(self, name: str, *, rest: bool = True) -> None:
        """Take one picture when it is wanted, by default once the page has come to rest."""
        if self.wanted and name not in self.wanted:
            return
        if rest:
            self.settle()
        target = HERE / f"dagster-{name}.png"
        shot = Image.open(io.BytesIO(self.page.screenshot(type="png"))).convert("RGB")
        shot.quantize(192, dither=Image.Dither.NONE).save(target, optimize=True)  # a third of the size, no visible difference
        print(f"{target.name}: {target.stat().st_size // 1024} KB")

    def settle(self) -> None:
        """Let late answers and transitions come to rest: pages poll for ever, so that there is no event to wait for."""
        for words in ("fetching statuses", "Loading"):
            expect(self.page.get_by_text(words)).to_have_count(0)
        size = self.page.viewport_size
        if size:  # the trail of names at the top is laid out before its letters are there, and again when the width changes
            self.size(size["height"], size["width"] - 200)
            self.page.wait_for_timeout(300)
            self.size(**size)
        self.page.wait_for_timeout(1500)

    def backfill(self, assets: list[list[str]], first: date, last: date) -> str:
        """Ask for a backfill and return its id."""
        days = [(first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1)]
        params = {"partitionNames": days, "assetSelection": [{"path": path} for path in assets]}
        return str(self.stack.graphql(_LAUNCH, {"params": params})["launchPartitionBackfill"]["backfillId"])

    def observe(self) -> None:
        """Ask for an observation of the raw log."""
        self.pages.open("/assets/agent_events")
        self.page.get_by_role("button", name="Observe").first.click()
        expect(self.page.get_by_text("Launched run").first).to_be_visible()

    def steps_done(self, backfill: str) -> int:
        """Return how many steps of the backfill's run are done."""
        filtered = {"tags": [{"key": "dagster/backfill", "value": backfill}], "statuses": ["STARTED"]}
        runs = self.stack.graphql(_STEPS, {"filter": filtered})["runsOrError"]["results"]
        return sum(each["status"] == "SUCCESS" for run in runs for each in run["stepStats"])

    def status(self, backfill: str) -> str:
        """Return the status of a backfill."""
        return str(self.stack.graphql(_STATUS, {"id": backfill})["partitionBackfillOrError"]["status"])

    def wait(self, backfill: str, seconds: int = 300) -> None:
        """Wait until a backfill has ended."""
        deadline = time.monotonic() + seconds
        while self.status(backfill).startswith(("REQUESTED", "COMPLETING")):
            if time.monotonic() > deadline:
                sys.exit(f"The backfill {backfill} has not ended within {seconds} s.")
            time.sleep(0.5)


def main() -> None:
    """Take the pictures that the command line names, by default all of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="pictures without `dagster-` and `.png`; all by default")
    wanted = frozenset(parser.parse_args().names)
    executable = chromium()
    if executable is None:
        sys.exit(f"The pictures are taken with Chromium. As root: {INSTALL}")
    with tempfile.TemporaryDirectory() as home, operating(Path(home) / "home", events=EVENTS) as stack, browsing(executable) as browser:
        stack.graphql("mutation { setNuxSeen }")
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, device_scale_factor=SCALE, timezone_id="UTC", locale="en-US")
        take(Studio(stack, DagsterPages(page, stack.url), wanted))


def take(studio: Studio) -> None:
    """Go through the story: a dialog, a backfill, what stands after it, a bad day."""
    pages, stack = studio.pages, studio.stack
    studio.size(780)
    pages.fill_backfill_dialog(REVIEWS.group, "features", stack.last - timedelta(days=3), stack.last - timedelta(days=1))
    studio.shoot("launch")
    studio.observe()
    assets = [[view.group, kind] for view in VIEWS for kind in ("features", "online")]
    backfill = studio.backfill(assets, stack.first, stack.last)
    studio.size(980)
    _progress(studio, backfill)
    studio.wait(backfill)
    studio.size(780, WIDE)
    pages.open(f"/runs/b/{backfill}")
    expect(studio.page.get_by_text("Succeeded", exact=True).first).to_be_visible()
    studio.shoot("backfill")
    bad = _bad_day(studio, stack.last - timedelta(days=BAD_DAYS_AGO))
    _failed_check(studio)  # at once, before repair_late_data tries the day again
    _view(studio, bad)
    _graph(studio)
    _automation(studio)


def _progress(studio: Studio, backfill: str) -> None:
    """Keep a picture of the graph while the run computes: some views are done, one is at work."""
    deadline = time.monotonic() + 150
    while time.monotonic() < deadline and studio.status(backfill) == "REQUESTED":
        if studio.steps_done(backfill) >= SOME_STEPS:
            studio.pages.open_graph()
            expect(studio.page.get_by_text("raw_logs", exact=True).first).to_be_visible()
            studio.page.wait_for_timeout(700)  # the groups are there before they ask for their statuses
            studio.shoot("progress")
            return
        time.sleep(0.1)
    print("The backfill was too quick for a picture of its middle.", file=sys.stderr)


def _bad_day(studio: Studio, day: date) -> date:
    """Let an event come in that the gate refuses, and run the days around it again."""
    at = to_us(datetime(day.year, day.month, day.day, 0, 30, tzinfo=UTC))
    event = AgentEvent(
        event_id="impossible-depth",
        agent_type=FAULTS.agent,
        raw_name=FAULTS.agent,
        operation="diagnose",
        occurred_at=at,
        known_at=at,
        source="simulation",
        simulated=True,
        measures={"queue_depth": IMPOSSIBLE_DEPTH},
        categories={"outcome": "success", "stage": "redis"},
    )
    append(studio.stack.settings, [event])
    studio.wait(studio.backfill([[FAULTS.group, "features"]], day - timedelta(days=2), studio.stack.last))
    return day


def _graph(studio: Studio) -> None:
    studio.size(980)
    studio.pages.open_graph()
    expect(studio.page.get_by_text("raw_logs", exact=True).first).to_be_visible()
    studio.shoot("graph")
    studio.size(600)
    studio.pages.open_group(REVIEWS.group)
    expect(studio.page.get_by_text("online", exact=True).first).to_be_visible()
    studio.shoot("group")
    studio.size(940)
    studio.pages.open_asset(REVIEWS.group, "features")
    expect(studio.page.get_by_text("Columns", exact=True).first).to_be_visible()
    studio.shoot("asset")


def _view(studio: Studio, bad: date) -> None:
    studio.size(820)
    studio.pages.open_asset(FAULTS.group, "features", "partitions")
    studio.pages.wait_for_days("Failed", 1)
    studio.page.get_by_title(bad.isoformat()).first.click()
    studio.shoot("partitions")


def _automation(studio: Studio) -> None:
    studio.size(680)
    studio.pages.open("/automation")
    expect(studio.page.get_by_text("publish_online", exact=True).first).to_be_visible()
    studio.page.wait_for_timeout(6000)  # each line asks for its own state
    studio.shoot("automation")
    studio.size(620, WIDE)
    studio.pages.open("/runs")
    studio.shoot("runs")


def _failed_check(studio: Studio) -> None:
    studio.size(940)
    studio.pages.open_check(FAULTS.group, "features", "values_are_valid")
    expect(studio.page.get_by_text("did not pass").first).to_be_visible()
    studio.page.get_by_text("Hide navigation", exact=True).click()  # rows are wide
    studio.shoot("failed-check")
    studio.page.evaluate("localStorage.clear()")  # where the pages remember that it is hidden


if __name__ == "__main__":
    main()
