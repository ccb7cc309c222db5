"""The texts of the files that `detektor init` and `detektor features new` write: what somebody begins with, and learns from.

A test loads and runs all of them. Belongs here: text with `{placeholders}`. Does not belong here: writing files (`init`, `features`).
"""

from __future__ import annotations

from typing import Final

DETEKTOR_TOML: Final = """\
# Your catalogue: which agents, measures and categories there are beside those of the package.
# Every command that is run in this directory uses it; elsewhere: export DETEKTOR_CATALOG=<this directory>

[catalog]
replace = false # true: without the views of the eight packaged agents; ["code-reviewer"]: yours in the place of that one

[agents.release-scribe]
decides = "what stands in the release notes"
work = "document" # the operation that its work is: review, deploy, implement, document, advise, diagnose or research

[measures.entries_written] # in a view: event.extra.entries_written
unit = "entries"
minimum = 0
maximum = 1_000 # ranges of sums are proved from it, and ingest refuses what lies outside
description = "Entries that the release notes got."

[categories.channel] # in a view: event.extra.channel
values = ["stable", "beta"] # leave it out for any text
description = "Channel that the release goes to."
"""

AGENTS_TOML: Final = """\
# Names of agents as they stand in your logs → agents, yours or the eight. Exact names, or patterns with * and ?.

[agents]
changelog-writer = "release-scribe"
"*:release-notes" = "release-scribe"
"""

GITIGNORE: Final = ".detektor/\n__pycache__/\n"

VIEW: Final = '''\
"""Features of the release-scribe: how much does it write, for whom, and does it get done?"""

from detektor_pipelines.language import Feature, FeatureView, Label, count, days, event, rate, total

NOTES = event.operation == "document"

VIEW = FeatureView(
    name="release_features",
    agent="release-scribe",
    version="0.1.0",
    owner="you",
    description="What the release-scribe writes, and how often it fails.",
    features=(
        Feature(
            "weekly_notes_count",
            count(),
            over=days(7),
            where=NOTES,
            description="Release notes written in the last seven days.",
            unit="notes",
            within=(0, None),
        ),
        Feature(
            "weekly_beta_entries",
            total(event.extra.entries_written),
            over=days(7),
            where=NOTES & (event.extra.channel == "beta"),
            description="Entries for the beta channel, last seven days.",
            unit="entries",
            within=(0, None),
        ),
        Feature(
            "success_rate",
            rate(event.outcome == "success"),
            over=days(30),
            where=NOTES,
            description="Share of release notes that were finished, last 30 days.",
            unit="share",
            null_means="No release notes with a known outcome in the last 30 days.",
            within=(0, 1),
        ),
    ),
)

LABELS = (
    Label(
        "finished",
        event.outcome == "success",
        agent="release-scribe",
        where=NOTES,
        description="The release notes are finished.",
        null_means="Their outcome is unknown.",
    ),
)
'''

CASES: Final = """\
# Events in, values out: `detektor features test` runs them in memory. docs/feature-tests.md of the package describes the form.
view: release_features
cases:
  - name: two notes, one of them for beta
    events:
      - {at: 2026-03-05 10:00, operation: document, outcome: success, extra: {entries_written: 7, channel: beta}}
      - {at: 2026-03-05 10:30, operation: document, outcome: failure, extra: {entries_written: 2, channel: stable}}
    expect:
      - at: 2026-03-05 11:00
        values: {weekly_notes_count: 2, weekly_beta_entries: 7, success_rate: 0.5}
      - at: 2026-03-20 00:00 # both have left the seven days, not yet the 30
        values: {weekly_notes_count: 0, weekly_beta_entries: 0, success_rate: 0.5}
  - name: nothing known
    events:
      - {at: 2026-03-05 10:00, operation: document}
    expect:
      - {at: 2026-03-05 11:00, values: {weekly_notes_count: 1, weekly_beta_entries: 0, success_rate: null}}
"""

README: Final = """\
# {name}

A catalogue of your own for Detektor Features: one agent, `release-scribe`, with one view. Everything that the platform makes of a
definition (Dagster's assets, Feast, the stream, HTTP, docs, dashboard, drift, typed client) it makes of this one too.

Run the commands in this directory; `detektor` is in the environment's `bin`, for example `.venv/bin/detektor`.

1. See that the view says what you mean, without any server:

       detektor features test
       detektor features list release-scribe

2. Write what is made from it: `docs/`, `client/`, `feature_repo/`, `monitoring/`, and the lock of its versions in `catalog/`:

       detektor generate

3. Start the servers (their state is in `.detektor/`), and put the views into Feast's registry:

       detektor up --free-ports
       detektor apply --yes

4. Read a log in our own format, compute its days through Dagster, and put the values online:

       detektor ingest example.jsonl
       detektor backfill

5. Say that something happened, and read the value a few seconds later:

       detektor emit --agent release-scribe --action document --extra entries_written=5 --extra channel=beta
       detektor features get release-scribe

6. The same through Feast and over HTTP:

       eval "$(detektor env)"
       feast -c feature_repo get-online-features -e agent_id=release-scribe -f release_features:weekly_notes_count
       curl -s "$DETEKTOR_SERVE_URL/get-online-features" --json '{{"features": ["release_features:weekly_notes_count"], "entities": {{"agent_id": ["release-scribe"]}}}}'

7. End the servers:

       detektor down

What stands where:

| file | what it is |
|---|---|
| `detektor.toml` | your agents, measures and categories |
| `agents.toml` | names in logs → agents |
| `catalog/*.py` | a view each, with its labels |
| `cases/*.yaml` | events in, values out |
| `example.jsonl` | three made-up events of the last days |

The next view: `detektor features new triager` writes a skeleton into `catalog/`.
"""  # noqa: E501 - a command stays a line

NEW_VIEW: Final = '''\
"""Features of the {agent}: write here which questions they answer."""

from detektor_pipelines.language import Feature, FeatureView, count, days, event

# A condition on one event. Combine conditions with & | ~ and put each into parentheses; compare with == != < <= > >=.
# `event.` has the columns that docs/agent-logs.md lists, `event.extra.` what your detektor.toml declares.
WORK = event.operation == "{work}"

VIEW = FeatureView(
    name="{view}",
    agent="{agent}",  # one view an agent
    version="0.1.0",  # raise it when numbers change: `detektor generate` says how far
    owner="you",
    description="What the {agent} does.",
    features=(
        Feature(
            "weekly_work_count",  # lower_snake_case
            count(),  # or total, mean, rate, minimum, maximum, last, distinct, std, quantile
            over=days(7),  # the window: minutes(…), hours(…) or days(…)
            where=WORK,  # only these events take part
            description="Pieces of work finished in the last seven days.",  # a sentence that a person understands
            unit="pieces",
            within=(0, None),  # what a sane value keeps; null_means="…" is needed where a value can be null
        ),
    ),
)
'''

NEW_AGENT: Final = """
[agents.{agent}]
decides = "write here what it decides"
work = "{work}"
"""
