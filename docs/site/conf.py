"""How the documentation site is built: `make site`; every dead link, and every page that is in no section below, ends the build."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[2]

project = "Detektor Features"
html_title = project
extensions = ["myst_parser"]
root_doc = "README"
source_suffix = {".md": "markdown"}
include_patterns = ["*.md", "docs/**.md", "benchmarks/*.md", "findings/*.md"]
exclude_patterns = ["docs/site/**", "docs/notebooks/**", "**/.*", "CLAUDE.md", "AGENTS.md"]
myst_heading_anchors = 4
suppress_warnings = ["myst.header", "misc.highlighting_failure"]  # a page's first heading may be a title of its own; blocks hold output too
html_theme = "furo"
html_show_sphinx = False
html_copy_source = False

SECTIONS: dict[str, list[str]] = {
    "Using it": [
        "docs/agent-logs",
        "docs/adding-a-log-format",
        "docs/live-ingest",
        "docs/simulation",
        "docs/report",
        "docs/usage",
        "docs/clients",
        "docs/json",
        "docs/self-learning-agents/feature-guide",
        "docs/own-agents",
        "docs/language",
        "docs/semantics",
        "docs/point-in-time",
        "docs/feature-tests",
    ],
    "Learning from it": ["docs/training", "docs/training-models", "docs/lineage", "docs/drift"],
    "Running it": [
        "docs/operating",
        "docs/automation",
        "docs/versions",
        "docs/live",
        "docs/serving",
        "docs/performance",
        "docs/scaling",
        "docs/online-store",
        "docs/validation",
        "docs/monitoring",
        "docs/metrics",
        "docs/dashboard",
        "docs/runbooks/README",
        "docs/backup",
        "docs/privacy",
        "docs/erasure",
        "docs/roles",
        "docs/security",
        "docs/containers",
        "docs/kubernetes",
        "docs/spark",
        "docs/releases",
        "docs/settings",
        "docs/acceptance",
        "docs/ci",
    ],
    "The project": ["CONTRIBUTING", "SECURITY", "CHANGELOG", "docs/decisions/README", "benchmarks/README", "findings/README"],
}
"""What the site's menu shows; pages with a menu of their own below show what stands in their directory."""

_DIRECTORIES = {"docs/self-learning-agents/feature-guide", "docs/runbooks/README", "docs/decisions/README"}


def _menu(_app: Sphinx, page: str, source: list[str]) -> None:
    """Add the menus that the pages, which are also read where no site is, do not have."""
    if page == root_doc:
        for caption, pages in SECTIONS.items():
            source[0] += _toctree(caption, [f"/{each}" for each in pages])
    if page in _DIRECTORIES:
        beside = sorted(file.stem for file in (ROOT / page).parent.glob("*.md") if file.stem != Path(page).name)
        source[0] += _toctree("", beside)


def _toctree(caption: str, pages: list[str]) -> str:
    lines = "\n".join(pages)
    return f"\n\n```{{toctree}}\n:hidden:\n{f':caption: {caption}' if caption else ':maxdepth: 1'}\n\n{lines}\n```\n"


def setup(app: Sphinx) -> None:
    """Connect what Sphinx asks for."""
    app.connect("source-read", _menu)
