"""The pages made from the lists: docs/metrics.md, and a runbook for each alert."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from detektor_pipelines.monitoring.alert import scaled
from detektor_pipelines.monitoring.metrics import METRICS
from detektor_pipelines.monitoring.rules import ALERTS, RECORDINGS
from detektor_pipelines.monitoring.runbooks import RUNBOOKS

if TYPE_CHECKING:
    from detektor_pipelines.metric import Metric
    from detektor_pipelines.monitoring.alert import Runbook

METRICS_PAGE: Final = "docs/metrics.md"
RUNBOOKS_DIRECTORY: Final = "docs/runbooks"
_HEADER: Final = "<!-- Made by `detektor generate` from detektor_pipelines/monitoring; change it there. -->\n\n"
_SERVERS: Final = {
    "serve": ("The feature server", "`curl -s localhost:6566/metrics`, job `detektor-serve`."),
    "stream": ("The stream worker", "`curl -s localhost:9465/metrics`, job `detektor-stream`."),
    "exporter": (
        "The exporter",
        (
            "`curl -s localhost:9466/metrics`, job `detektor-exporter`: what no server can say of itself. It asks every"
            " DETEKTOR_EXPORTER_SECONDS (15), what costs more less often; ages are taken at each scrape."
        ),
    ),
}


def render() -> dict[str, str]:
    """Return every page's text by its path from the repository's root."""
    pages = {f"{RUNBOOKS_DIRECTORY}/{each.page}.md": _runbook(each) for each in RUNBOOKS}
    return {METRICS_PAGE: _metrics(), f"{RUNBOOKS_DIRECTORY}/README.md": _index(), **pages}


def _metrics() -> str:
    lines = [
        "# Metrics",
        "",
        (
            "All that Prometheus can ask of the platform. Names are never changed. Labels are bounded by the definitions: views, features,"
            " agents, states; never an agent_id or a text. How they are scraped, and what alerts: [monitoring.md](monitoring.md)."
        ),
        "",
    ]
    for server, metrics in METRICS.items():
        title, where = _SERVERS[server]
        lines += [
            f"## {title}",
            "",
            where,
            "",
            "| metric | kind | labels | unit | what it says, and what to do |",
            "| --- | --- | --- | --- | --- |",
        ]
        lines += [_row(each) for each in metrics]
        lines.append("")
    lines += ["## Recorded by Prometheus", "", "| name | is |", "| --- | --- |"]
    lines += [f"| `{each.name}` | `{_cell(scaled(each.value))}` |" for each in RECORDINGS]
    return _HEADER + "\n".join(lines) + "\n"


def _row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.name}` | {metric.kind} | {labels} | {metric.unit} | {_cell(metric.text)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _index() -> str:
    titles = {each.page: each.title for each in RUNBOOKS}
    lines = [
        "# Runbooks",
        "",
        "A page for each alert: what it means, what to look at, what to do, how to see that it has worked.",
        "",
        "| alert | severity | page |",
        "| --- | --- | --- |",
        *(f"| {each.name} | {each.severity} | [{titles[each.page]}]({each.page}.md) |" for each in ALERTS),
    ]
    return _HEADER + "\n".join(lines) + "\n"


def _runbook(runbook: Runbook) -> str:
    lines = [f"# {runbook.title}", "", runbook.means, "", "| alert | severity | when | for |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {each.name} | {each.severity} | `{_cell(scaled(each.when))}` | {scaled(each.lasting)} |"
        for each in ALERTS
        if each.page == runbook.page
    ]
    lines += ["", "## What to look at", "", *(f"{number}. {step}" for number, step in enumerate(runbook.look, 1))]
    lines += ["", "## What to do", "", *(f"- {step}" for step in runbook.do)]
    lines += ["", "## How to see that it has worked", "", runbook.worked, ""]
    lines += ["All alerts: [README.md](README.md). All metrics: [../metrics.md](../metrics.md)."]
    return _HEADER + "\n".join(lines) + "\n"
