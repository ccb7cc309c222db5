"""Features of the pipeline-debugger: which stage between camera and processor does it blame, and how bad was it?

The one view with a window below twelve hours: a fault of the video pipeline is a matter of minutes.
"""

from detektor_pipelines.language import (
    Feature,
    FeatureView,
    Label,
    count,
    days,
    distinct,
    event,
    feature,
    hours,
    maximum,
    quantile,
    rate,
    std,
    total,
)

DIAGNOSIS = event.operation == "diagnose"
NO_LATENCY_7D = "No diagnosis with a measured latency in the last seven days."

LATENCY_EDGES = (
    50,
    100,
    200,
    350,
    500,
    750,
    1_000,
    1_500,
    3_000,
    10_000,
    60_000,
    300_000,
)
"""Two frames to five minutes, in milliseconds: a stage that hangs is blamed with the time it has hung."""

VIEW = FeatureView(
    name="pipeline_debugging_features",
    agent="pipeline-debugger",
    version="1.1.0",
    owner="ml-platform",
    description="Where the pipeline-debugger finds the dead end between RTSP, Redis, frame buffer and processor, and what it cost.",
    features=(
        Feature(
            "recent_faults_count",
            count(),
            over=hours(6),
            where=DIAGNOSIS,
            description="Pipeline faults looked into in the last six hours.",
            unit="faults",
            within=(0, None),
        ),
        Feature(
            "weekly_faults_count",
            count(),
            over=days(7),
            where=DIAGNOSIS,
            description="Pipeline faults looked into in the last seven days.",
            unit="faults",
            within=(0, None),
        ),
        Feature(
            "frames_dropped_total",
            total(event.frames_dropped),
            over=days(7),
            where=DIAGNOSIS,
            description="Video frames lost in the faults of the last seven days.",
            unit="frames",
            within=(0, None),
        ),
        Feature(
            "frames_dropped_per_fault",
            feature("frames_dropped_total") / feature("weekly_faults_count"),
            description="Video frames that a fault cost, mean of the last seven days.",
            unit="frames",
            null_means="No pipeline fault in the last seven days.",
            within=(0, None),
        ),
        Feature(
            "max_queue_depth",
            maximum(event.queue_depth),
            over=days(1),
            where=DIAGNOSIS,
            description="Greatest backlog seen at a suspected stage, last day.",
            unit="entries",
            null_means="No fault with a measured backlog in the last day.",
            within=(0, 1_000_000_000),
        ),
        Feature(
            "stage_latency_p95_ms",
            quantile(event.stage_latency_ms, "0.95", edges=LATENCY_EDGES),
            over=days(7),
            where=DIAGNOSIS,
            description="In 19 of 20 faults the suspected stage took at most this long, last seven days.",
            unit="milliseconds",
            null_means=NO_LATENCY_7D,
            within=(0, 604_800_000),
        ),
        Feature(
            "stage_latency_std_ms",
            std(event.stage_latency_ms),
            over=days(7),
            where=DIAGNOSIS,
            description="Spread of the suspected stage's latency between faults, last seven days: one kind of fault or many.",
            unit="milliseconds",
            null_means="Fewer than two diagnoses with a measured latency in the last seven days.",
            within=(0, None),
        ),
        Feature(
            "upstream_blame_rate",
            rate(event.stage.is_in(("rtsp", "redis"))),
            over=days(30),
            where=DIAGNOSIS,
            description="Share of faults whose dead end lay before the frame buffer, last 30 days.",
            unit="share",
            null_means="No fault with a blamed stage in the last 30 days.",
            within=(0, 1),
        ),
        Feature(
            "blamed_stages_count",
            distinct(event.stage),
            over=days(7),
            where=DIAGNOSIS,
            description="Different stages blamed in the last seven days: one weak spot, or none in particular.",
            unit="stages",
            within=(0, 4),
        ),
    ),
)

LABELS = (
    Label(
        "early_stage",
        event.stage.is_in(("rtsp", "redis")),
        agent="pipeline-debugger",
        where=DIAGNOSIS,
        description="The fault is blamed on a stage before the frame buffer.",
        null_means="No stage was blamed.",
    ),
    Label(
        "cause_found",
        event.root_cause != "unknown",
        agent="pipeline-debugger",
        where=DIAGNOSIS,
        description="The diagnosis names a cause.",
        null_means="The diagnosis says nothing of a cause.",
    ),
    Label(
        "restarted",
        event.resolution == "restart",
        agent="pipeline-debugger",
        where=DIAGNOSIS,
        description="A restart ends the fault, not a fix.",
        null_means="The diagnosis says nothing of what ended the fault.",
    ),
    Label(
        "judged_right",
        event.score_milli > 0,
        agent="pipeline-debugger",
        where=DIAGNOSIS,
        later=event.operation == "feedback",
        within_next=days(30),
        description="Somebody who judges the diagnosis within 30 days finds it right.",
        null_means="Nobody judged it within 30 days.",
    ),
)
