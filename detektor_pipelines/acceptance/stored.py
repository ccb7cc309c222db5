"""T7, T9 and T10: the eight views, their history, and whether all that is stored agrees."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from detektor_pipelines.acceptance import commands
from detektor_pipelines.acceptance.findings import failed, judged, passed
from detektor_pipelines.catalog import VIEWS, view_named
from detektor_pipelines.stores.connections import connect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detektor_pipelines.acceptance.findings import Part, Say
    from detektor_pipelines.settings import Settings

FEATURES: Final = {
    "code_review_features": range(12, 13),
    "deployment_features": range(8, 9),
    "coding_features": range(15, 16),
    "documentation_features": range(6, 11),
    "architecture_features": range(6, 11),
    "debugging_features": range(6, 11),
    "pipeline_debugging_features": range(6, 11),
    "content_features": range(6, 11),
}
"""The views that have to be there, and how many features each may have."""

NAMED: Final = (
    "code_review_features:avg_issues_per_review",
    "code_review_features:recent_reviews_count",
    "deployment_features:deployment_success_rate",
    "coding_features:avg_completion_time",
    "documentation_features:sync_accuracy",
)
LEAST_FEATURES: Final = 70
LEAST_ROWS: Final = 1_000

_READ: Final = NAMED[0]
_APPLY: Final = "detektor apply, or detektor demo"


def views(settings: Settings, say: Say) -> Iterator[Part]:
    """T7: `feast feature-views list` shows exactly eight, and Feast's command reads them online and historically."""
    numbers = {view.name: len(view.features) for view in VIEWS}
    fits = numbers.keys() == FEATURES.keys() and all(numbers[name] in FEATURES[name] for name in FEATURES)
    total = sum(numbers.values())
    yield judged(
        fits and total >= LEAST_FEATURES, f"{len(numbers)} views with {total} features", "detektor_pipelines/catalog declares them"
    )
    there = {f"{view.name}:{feature.name}" for view in VIEWS for feature in view.features}
    yield judged(set(NAMED) <= there, f"{', '.join(name.partition(':')[2] for name in NAMED)} among them", "the catalogue declares them")
    say("feast feature-views list, get-online-features, get-historical-features")
    moment = json.dumps([{"agent_id": "code-reviewer", "event_timestamp": _newest(settings)}])
    questions = (
        ("feature-views", "list"),
        ("get-online-features", "-e", "agent_id=code-reviewer", "-f", _READ),
        ("get-historical-features", "-d", moment, "-f", _READ),
    )
    with ThreadPoolExecutor(len(questions)) as pool:
        listing, online, history = pool.map(lambda words: commands.feast(settings, *words), questions)
    listed = re.findall(r"^(\w+)\s+\{'agent_id'\}", listing.stdout, re.MULTILINE)
    yield judged(sorted(listed) == sorted(FEATURES), f"feast feature-views list shows {len(listed)}", _APPLY)
    name = _READ.partition(":")[2]
    for title, done in (("online", online), ("historical", history)):
        good = done.returncode == 0 and name in done.stdout
        yield judged(good, f"feast get-{title}-features reads {_READ}", f"{commands.said(done)}: {_APPLY}" if not good else "")


def history(settings: Settings, _: Say) -> Iterator[Part]:
    """T9: every day of the history of every agent is published, and feast.agent_features_historical holds 1,000 rows or more."""
    from detektor_pipelines.quality.freshness_report import freshness
    from detektor_pipelines.quality.freshness_report import history as days_of

    found = freshness(settings, VIEWS)
    span = days_of(settings)
    if span is None:
        yield failed("the raw log holds no event", "detektor demo, or detektor ingest")
        return
    first, last = span
    missing = {each.view: len(each.missing) for each in found if each.missing}
    whole = f"{(last - first).days + 1} days from {first} to {last} of {len(found)} agents"
    some = ", ".join(f"{view} lacks {number}" for view, number in missing.items())
    yield judged(not missing, f"{whole}: {some or 'all published'}", "detektor backfill: after a crash it goes on where it was")
    with connect(settings) as connection:
        row = connection.execute("SELECT count(*) FROM feast.agent_features_historical").fetchone()
    rows = row[0] if row else 0
    yield judged(
        rows >= LEAST_ROWS, f"feast.agent_features_historical holds {rows:,} rows", "detektor backfill; a log of a few days has fewer"
    )


def validated(settings: Settings, say: Say) -> Iterator[Part]:
    """T10: `detektor validate --check-all` prints `All validations passed` and exits with 0."""
    if not commands.has_command(settings, "validate"):
        yield failed("there is no command detektor validate", "Use a release that has it")
        return
    say("detektor validate --check-all")
    done = commands.detektor(settings, "validate", "--check-all")
    well = done.returncode == 0 and "All validations passed" in done.stdout
    text = "All validations passed" if well else f"exit {done.returncode}: {commands.said(done)}"
    yield judged(well, text, "detektor validate --check-all says what is wrong, where, and what to do")
    if well:
        yield passed("exit code 0")


def _newest(settings: Settings) -> str:
    """Return the newest published instant of the view that is read."""
    from psycopg import sql

    from detektor_pipelines import clock
    from detektor_pipelines.stores.offline.rows import row_table

    view = view_named(_READ.partition(":")[0])
    with connect(settings) as connection:
        row = connection.execute(sql.SQL("SELECT max(event_timestamp) FROM feast.{}").format(sql.Identifier(row_table(view)))).fetchone()
    at = row[0] if row and row[0] else clock.from_us(clock.now_us())
    return str(at.strftime("%Y-%m-%dT%H:%M:%S"))
