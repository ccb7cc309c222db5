"""Features of the documentation-keeper: are the docs true, how late does it follow the code, what does it put first?"""

from detektor_pipelines.language import Feature, FeatureView, Label, days, distinct, event, feature, last, quantile, rate, total

DOCUMENTATION = event.operation == "document"
COMPARED = DOCUMENTATION & (event.docs_in_sync <= event.docs_checked)
"""Both counts are known and agree with each other, so that their quotient is a share."""

SYNC_LAG_EDGES = (
    900_000,
    1_800_000,
    3_600_000,
    7_200_000,
    14_400_000,
    28_800_000,
    86_400_000,
    172_800_000,
    345_600_000,
    604_800_000,
    1_209_600_000,
    2_592_000_000,
)
"""A quarter of an hour to 30 days, in milliseconds, each two to three times the one before."""

VIEW = FeatureView(
    name="documentation_features",
    agent="documentation-keeper",
    version="1.1.0",
    owner="ml-platform",
    description="How true the documents are, how fast the documentation-keeper follows the code, and what it finds worth changing.",
    features=(
        Feature(
            "docs_checked_total",
            total(event.docs_checked),
            over=days(7),
            where=COMPARED,
            description="Documents compared with the code in the last seven days.",
            unit="documents",
            within=(0, None),
        ),
        Feature(
            "docs_in_sync_total",
            total(event.docs_in_sync),
            over=days(7),
            where=COMPARED,
            description="Documents found, or left, in agreement with the code in the last seven days.",
            unit="documents",
            within=(0, None),
        ),
        Feature(
            "sync_accuracy",
            feature("docs_in_sync_total") / feature("docs_checked_total"),
            description="Share of the compared documents that agree with the code, last seven days.",
            unit="share",
            null_means="No document was compared in the last seven days.",
            within=(0, 1),
        ),
        Feature(
            "docs_updated_total",
            total(event.docs_updated),
            over=days(7),
            where=DOCUMENTATION,
            description="Documents changed in the last seven days.",
            unit="documents",
            within=(0, None),
        ),
        Feature(
            "no_change_rate",
            rate(event.docs_updated == 0),
            over=days(30),
            where=DOCUMENTATION,
            description="Share of runs that decided to change nothing, last 30 days.",
            unit="share",
            null_means="No run with a known number of updates in the last 30 days.",
            within=(0, 1),
        ),
        Feature(
            "high_priority_rate",
            rate(event.priority == "high"),
            over=days(30),
            where=DOCUMENTATION,
            description="Share of runs that the agent gave high priority, last 30 days: when all is urgent, nothing is.",
            unit="share",
            null_means="No run with a priority in the last 30 days.",
            within=(0, 1),
        ),
        Feature(
            "sync_lag_p90_ms",
            quantile(event.sync_lag_ms, "0.9", edges=SYNC_LAG_EDGES),
            over=days(30),
            where=DOCUMENTATION,
            description="Nine of ten updates came at most this long after the change of the code, last 30 days.",
            unit="milliseconds",
            null_means="No update with a known lag in the last 30 days.",
            within=(0, 7_776_000_000),
        ),
        Feature(
            "doc_kinds_count",
            distinct(event.doc_kind),
            over=days(30),
            where=DOCUMENTATION & (event.docs_updated > 0),
            description="Different kinds of documents (readme, api, guide, …) changed in the last 30 days: how wide it looks.",
            unit="kinds",
            within=(0, 6),
        ),
        Feature(
            "last_update_at",
            last(event.occurred_at),
            over=days(30),
            where=DOCUMENTATION & (event.docs_updated > 0),
            description="When a document was last changed.",
            unit="instant",
            null_means="No document was changed in the last 30 days.",
        ),
    ),
)

LABELS = (
    Label(
        "all_in_sync",
        event.docs_in_sync == event.docs_checked,
        agent="documentation-keeper",
        where=COMPARED,
        description="All documents that were compared agree with the code in the end.",
        null_means="Never: documents that were not counted are no comparison.",
    ),
    Label(
        "high_priority",
        event.priority == "high",
        agent="documentation-keeper",
        where=DOCUMENTATION,
        description="The agent gives the work a high priority.",
        null_means="The agent gave no priority.",
    ),
    Label(
        "docs_updated",
        event.docs_updated,
        agent="documentation-keeper",
        where=DOCUMENTATION,
        description="How many documents have to be changed.",
        unit="files",
        null_means="The changed documents were not counted.",
    ),
    Label(
        "judged_good",
        event.score_milli > 0,
        agent="documentation-keeper",
        where=DOCUMENTATION,
        later=event.operation == "feedback",
        within_next=days(30),
        description="Somebody who judges the work within 30 days finds it good.",
        null_means="Nobody judged it within 30 days.",
    ),
)
