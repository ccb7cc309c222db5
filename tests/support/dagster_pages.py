"""Dagster's pages as a person uses them, in headless Chromium: for the browser tests and for the pictures of the documentation.

What is looked for is what a person reads: words and roles, never a class of the style sheet.
"""

from __future__ import annotations

import re
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from playwright.sync_api import expect, sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from playwright.sync_api import Browser, Locator, Page

INSTALL: Final = "apt-get install -y --no-install-recommends chromium"
"""The command that gives Debian and Ubuntu a browser."""

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
_PATIENCE_MS: Final = 30_000
"""How long a page may take on a busy machine; nothing is slept for, so a quick one costs nothing."""
_DAEMON_SECONDS: Final = 120
"""A backfill waits for the daemon's tick (5 s at most), perhaps for another backfill, and for its run."""


def chromium() -> str | None:
    """Return the path of the browser that is installed here, or None."""
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


@contextmanager
def browsing(executable: str) -> Iterator[Browser]:
    """Run the browser; it reaches servers of this machine only, by its own settings and not by a proxy."""
    # root has no sandbox, containers have little shared memory, servers have no graphics card
    flags = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-proxy-server"]
    expect.set_options(timeout=_PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, headless=True, args=flags)
        try:
            yield browser
        finally:
            browser.close()


class DagsterPages:
    """Where things are on the pages of one webserver.

    Args:
        page: The tab to use.
        url: The webserver's address.
        location: The code location's name.

    """

    def __init__(self, page: Page, url: str, location: str = "detektor_pipelines") -> None:
        self.page, self.url, self.location = page, url, location

    def open(self, path: str) -> None:
        """Open the page at `path`."""
        self.page.goto(f"{self.url}{path}")

    def open_graph(self) -> None:
        """Open the graph of all groups."""
        self.open("/asset-groups")

    def open_group(self, group: str) -> None:
        """Open the graph of one group."""
        self.open(f"/locations/{self.location}/asset-groups/{group}")

    def open_asset(self, group: str, asset: str, tab: str = "overview") -> None:
        """Open an asset's page at a tab: overview, partitions, events, checks, lineage."""
        self.open(f"/assets/{group}/{asset}?view={tab}")

    def open_check(self, group: str, asset: str, check: str) -> None:
        """Open one check of an asset."""
        self.open(f"/assets/{group}/{asset}?view=checks&checkDetail={check}")

    def fill_backfill_dialog(self, group: str, asset: str, first: date, last: date) -> Locator:
        """Open the asset's dialog, choose the days from `first` to `last`, and return the dialog, ready to be launched."""
        self.open_asset(group, asset, "partitions")
        self.page.get_by_role("button", name="Materialize…").first.click()  # not exact: its icon has a name too
        dialog = self.page.get_by_role("dialog").filter(has_text="Launch runs to materialize")
        days = dialog.get_by_role("textbox").first
        days.fill(f"[{first}...{last}]")
        days.press("Enter")
        expect(dialog.get_by_text(f"{(last - first).days + 1} partitions", exact=True)).to_be_visible()
        return dialog

    def launch(self, dialog: Locator) -> str:
        """Press the dialog's button and return the backfill's id, as the page says it."""
        dialog.get_by_role("button", name="Launch backfill").click()
        said = self.page.get_by_text(re.compile(r"Created backfill"))
        expect(said).to_be_visible()
        found = re.search(r"Created backfill\s+(\w+)", said.inner_text())
        assert found, said.inner_text()
        return found[1]

    def choose_days(self, first: date, last: date) -> None:
        """On an asset's partitions page, show only these days."""
        days = self.page.get_by_role("textbox").first
        days.fill(f"[{first}...{last}]")
        days.press("Enter")
        expect(self.page.get_by_text(f"{(last - first).days + 1} Partitions Selected")).to_be_visible()

    def wait_for_days(self, status: str, count: int, seconds: float = _DAEMON_SECONDS) -> None:
        """Wait until the partitions page counts `count` days as `status`: Failed, Materialized, Materializing, Missing."""
        expect(self.page.get_by_text(f"{status} ({count})", exact=True)).to_be_visible(timeout=seconds * 1000)
