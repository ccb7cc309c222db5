"""Features of pisarz: how well founded are its research packs, how wide are its topics, do people like them?"""

from detektor_pipelines.language import Feature, FeatureView, Label, count, days, distinct, event, feature, last, mean, minimum, rate, total

RESEARCH = event.operation == "research"
SOURCED = RESEARCH & (event.sources_cited <= event.sources_found)
"""Both counts are known and agree with each other, so that their quotient is a share."""
FEEDBACK = event.operation == "feedback"

VIEW = FeatureView(
    name="content_features",
    agent="pisarz",
    version="1.0.0",
    owner="ml-platform",
    description="How many research packs pisarz makes, how well they are sourced, and what people think of them.",
    features=(
        Feature(
            "weekly_packs_count",
            count(),
            over=days(7),
            where=RESEARCH & (event.outcome == "success"),
            description="Research packs finished in the last seven days.",
            unit="packs",
            within=(0, None),
        ),
        Feature(
            "topics_count",
            distinct(event.topic),
            over=days(30),
            where=RESEARCH,
            description="Different topics worked on in the last 30 days.",
            unit="topics",
            within=(0, None),
        ),
        Feature(
            "sources_found_total",
            total(event.sources_found),
            over=days(30),
            where=SOURCED,
            description="Sources looked at in the last 30 days.",
            unit="sources",
            within=(0, None),
        ),
        Feature(
            "sources_cited_total",
            total(event.sources_cited),
            over=days(30),
            where=SOURCED,
            description="Sources that made it into a pack in the last 30 days.",
            unit="sources",
            within=(0, None),
        ),
        Feature(
            "citation_yield",
            feature("sources_cited_total") / feature("sources_found_total"),
            description="Share of the sources looked at that were worth citing, last 30 days: how choosy it is.",
            unit="share",
            null_means="No source was looked at in the last 30 days.",
            within=(0, 1),
        ),
        Feature(
            "thinnest_pack_sources",
            minimum(event.sources_cited),
            over=days(7),
            where=RESEARCH & (event.outcome == "success"),
            description="Sources of the pack that had fewest, last seven days.",
            unit="sources",
            null_means="No finished pack with known sources in the last seven days.",
            within=(0, 10_000),
        ),
        Feature(
            "disputed_pack_rate",
            rate(event.claims_rejected > 0),
            over=days(30),
            where=RESEARCH,
            description="Share of packs from which a claim was dropped because no source held it, last 30 days.",
            unit="share",
            null_means="No pack with checked claims in the last 30 days.",
            within=(0, 1),
        ),
        Feature(
            "avg_feedback_score_milli",
            mean(event.score_milli),
            over=days(30),
            where=FEEDBACK,
            description="Mean of what people thought of the packs, -1000 (useless) to 1000 (exactly right), last 30 days.",
            unit="thousandths",
            null_means="No feedback in the last 30 days.",
            within=(-1_000, 1_000),
        ),
        Feature(
            "last_feedback_score_milli",
            last(event.score_milli),
            over=days(30),
            where=FEEDBACK,
            description="The latest opinion of a pack, -1000 to 1000: what to do differently next time.",
            unit="thousandths",
            null_means="No feedback in the last 30 days.",
            within=(-1_000, 1_000),
        ),
    ),
)

LABELS = (
    Label(
        "finished",
        event.outcome == "success",
        agent="pisarz",
        where=RESEARCH,
        description="The research pack is finished.",
        null_means="The pack's outcome is unknown.",
    ),
    Label(
        "claim_rejected",
        event.claims_rejected > 0,
        agent="pisarz",
        where=RESEARCH,
        description="At least one claim is dropped because no source holds it.",
        null_means="Rejected claims were not counted.",
    ),
    Label(
        "liked",
        event.score_milli > 0,
        agent="pisarz",
        where=RESEARCH,
        later=event.operation == "feedback",
        within_next=days(30),
        description="Somebody who judges the pack within 30 days likes it.",
        null_means="Nobody judged it within 30 days.",
    ),
)
