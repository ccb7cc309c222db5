"""A browser for the module, a tab for the test, and what it showed when the test failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.dagster_pages import INSTALL, DagsterPages, browsing, chromium

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser
    from support.operating import OperatingStack

_SIZE = {"width": 1500, "height": 1000}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Run Chromium; without one the tests skip."""
    executable = chromium()
    if executable is None:
        pytest.skip(f"no Chromium; as root: {INSTALL}")
    with browsing(executable) as running:
        yield running


@pytest.fixture
def pages(browser: Browser, operating_stack: OperatingStack) -> Iterator[DagsterPages]:
    """Return the pages of the stack in a tab of the test's own."""
    operating_stack.graphql("mutation { setNuxSeen }")  # else a welcome covers the first page
    page = browser.new_page(viewport=_SIZE)
    yield DagsterPages(page, operating_stack.url)
    page.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Keep a picture of the page on which a test failed, and say where it is."""
    report = yield
    pages = getattr(item, "funcargs", {}).get("pages")
    if call.when == "call" and report.failed and pages is not None:
        directory: Path = item.funcargs["tmp_path"]  # type: ignore[attr-defined]  every test has one, by isolated_environment
        picture = directory / "page.png"
        pages.page.screenshot(path=picture)
        report.sections.append(("What the browser showed", f"{picture}\n{pages.page.url}"))
    return report
