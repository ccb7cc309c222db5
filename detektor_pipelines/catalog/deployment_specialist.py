"""Features of the deployment-specialist: does it ship safely, does it wait when it should, how fast does a commit arrive?"""

from detektor_pipelines.language import Feature, FeatureView, Label, count, days, event, last, maximum, quantile, rate

DEPLOYMENT = event.operation == "deploy"
ROLL_OUT = DEPLOYMENT & (event.action == "deploy")

LEAD_TIME_EDGES = (
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
    name="deployment_features",
    agent="deployment-specialist",
    version="1.1.0",
    owner="ml-platform",
    description="How often the deployment-specialist ships, holds and rolls back, and how its roll-outs end.",
    features=(
        Feature(
            "recent_deploys_count",
            count(),
            over=days(1),
            where=ROLL_OUT,
            description="Roll-outs made in the last day, whatever their end; rollbacks and holds are not among them.",
            unit="deploys",
            within=(0, None),
        ),
        Feature(
            "deployment_success_rate",
            rate(event.outcome == "success"),
            over=days(30),
            where=ROLL_OUT & (event.outcome != "cancelled"),
            description="Share of roll-outs that succeeded, last 30 days; cancelled ones are in neither part.",
            unit="share",
            null_means="No roll-out ended in the last 30 days.",
            within=(0, 1),
        ),
        Feature(
            "rollback_rate",
            rate(event.action == "rollback"),
            over=days(30),
            where=DEPLOYMENT & event.action.is_in(("deploy", "rollback")),
            description="Share of the changes to a running service that took something back, last 30 days.",
            unit="share",
            null_means="Nothing was rolled out or back in the last 30 days.",
            within=(0, 1),
        ),
        Feature(
            "hold_rate",
            rate(event.action == "hold"),
            over=days(7),
            where=DEPLOYMENT,
            description="Share of decisions that were to wait, last seven days: caution, or a CI that stays red.",
            unit="share",
            null_means="No deployment decision in the last seven days.",
            within=(0, 1),
        ),
        Feature(
            "gradual_rollout_rate",
            rate(event.strategy.is_in(("canary", "blue_green"))),
            over=days(30),
            where=ROLL_OUT & (event.environment == "production"),
            description="Share of production roll-outs made as canary or blue-green, last 30 days: how careful the strategy is.",
            unit="share",
            null_means="No production roll-out with a known strategy in the last 30 days.",
            within=(0, 1),
        ),
        Feature(
            "lead_time_p50_ms",
            quantile(event.lead_time_ms, "0.5", edges=LEAD_TIME_EDGES),
            over=days(30),
            where=ROLL_OUT & (event.outcome == "success"),
            description="Half of the successful roll-outs came at most this long after their commit, last 30 days.",
            unit="milliseconds",
            null_means="No successful roll-out with a known commit time in the last 30 days.",
            within=(0, 7_776_000_000),
        ),
        Feature(
            "slowest_health_check_ms",
            maximum(event.health_check_ms),
            over=days(7),
            where=DEPLOYMENT & (event.action != "hold"),
            description="Longest wait for a healthy answer after a roll-out or rollback, last seven days.",
            unit="milliseconds",
            null_means="No deployment reached its health check in the last seven days.",
            within=(0, 604_800_000),
        ),
        Feature(
            "last_failed_deploy_at",
            last(event.occurred_at),
            over=days(30),
            where=ROLL_OUT & (event.outcome == "failure"),
            description="When a roll-out last failed.",
            unit="instant",
            null_means="No roll-out failed in the last 30 days.",
        ),
    ),
)

LABELS = (
    Label(
        "failed",
        event.outcome == "failure",
        agent="deployment-specialist",
        where=ROLL_OUT,
        description="The roll-out fails.",
        null_means="The roll-out's outcome is unknown.",
    ),
    Label(
        "rolled_back",
        event.action == "rollback",
        agent="deployment-specialist",
        where=ROLL_OUT,
        later=DEPLOYMENT,
        within_next=days(1),
        otherwise=False,
        description="The roll-out is rolled back within a day.",
    ),
    Label(
        "held",
        event.action == "hold",
        agent="deployment-specialist",
        where=DEPLOYMENT & (event.action != "rollback"),
        description="The decision is to hold, not to roll out.",
        null_means="Never: what has no action is no decision.",
    ),
    Label(
        "health_check_ms",
        event.health_check_ms,
        agent="deployment-specialist",
        where=ROLL_OUT,
        description="From the roll-out's end to a healthy answer.",
        unit="milliseconds",
        null_means="No healthy answer was seen.",
    ),
)
