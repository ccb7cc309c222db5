"""What an agent can be seen doing: every operation, measure and category, declared once.

The JSON Schema of our own log format, the ingest checks, the columns of the raw log, the simulator and the typed SQL
projection are all made from these tables. Names follow the OpenTelemetry GenAI conventions where one exists
(`OTEL_NAMES`). Measures are integers (int64, fixed point where a fraction is needed: `_milli` is thousandths).

What a catalogue of one's own declares (`own_catalog`) is here too: its agents stand in AGENTS behind the eight, so that every part that
asks which agents there are hears of them, and its measures and categories in EXTRA_MEASURES and EXTRA_CATEGORIES.
"""

from dataclasses import dataclass
from typing import Final

from detektor_pipelines import own_catalog
from detektor_pipelines.errors import UserError

UNMAPPED: Final = "unmapped"
"""`agent_type` of an event whose raw agent name maps to none of AGENTS: kept and counted, in no view."""

_CATALOGS: Final = own_catalog.catalogs()


@dataclass(frozen=True, slots=True)
class Agent:
    """One of the eight specialised agents, or one that a catalogue of one's own declares."""

    agent_type: str
    decides: str

    @property
    def group(self) -> str:
        """The agent's name as an identifier (Dagster group, module name)."""
        return self.agent_type.replace("-", "_")


EIGHT: Final = (
    Agent("code-reviewer", "approve or send back; at most 3 rounds with the coder"),
    Agent("deployment-specialist", "deploy, hold, roll back; strategy and timing"),
    Agent("detektor-coder", "implementation, retry after a review"),
    Agent("documentation-keeper", "which docs to update, at which priority"),
    Agent("architecture-advisor", "pattern, refactor or leave, coupling"),
    Agent("debugger", "hypothesis; restart or fix"),
    Agent("pipeline-debugger", "which stage is the dead end"),
    Agent("pisarz", "what is worth telling"),
)
AGENTS: Final = (*EIGHT, *(Agent(each.name, each.decides) for catalog in _CATALOGS for each in catalog.agents))
AGENT_TYPES: Final = tuple(agent.agent_type for agent in AGENTS)
"""Which agents there are: the one place that says it."""


@dataclass(frozen=True, slots=True)
class Measure:
    """An integer quantity of an event. `minimum <= value <= maximum`, both inclusive; ingest rejects the rest."""

    name: str
    unit: str
    minimum: int
    maximum: int
    description: str


@dataclass(frozen=True, slots=True)
class Category:
    """A text label of an event; `values` is its closed vocabulary, or empty for an open one (256 characters at most)."""

    name: str
    values: tuple[str, ...]
    description: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One kind of event. Measures and categories not listed must be absent; those in `required` must be present."""

    name: str
    description: str
    measures: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    required: tuple[str, ...] = ()


_WEEK_MS: Final = 7 * 24 * 3_600_000
_QUARTER_MS: Final = 90 * 24 * 3_600_000
_TOKENS: Final = 1_000_000_000

_MEASURES: Final = (
    Measure("duration_ms", "milliseconds", 0, _WEEK_MS, "Wall time of the operation, start to end."),
    Measure("input_tokens", "tokens", 0, _TOKENS, "Tokens sent to the model, without cached ones."),
    Measure("output_tokens", "tokens", 0, _TOKENS, "Tokens the model produced."),
    Measure("cache_read_tokens", "tokens", 0, _TOKENS, "Tokens read from the prompt cache."),
    Measure("cache_creation_tokens", "tokens", 0, _TOKENS, "Tokens written to the prompt cache."),
    Measure("tool_calls", "calls", 0, 100_000, "Tool calls made within the operation."),
    Measure("tool_errors", "calls", 0, 100_000, "Tool calls within the operation that ended in an error."),
    Measure("issues_found", "issues", 0, 10_000, "Issues a review reports, of all severities."),
    Measure("issues_critical", "issues", 0, 10_000, "Issues a review reports as critical or blocking."),
    Measure("issues_major", "issues", 0, 10_000, "Issues a review reports as major or important."),
    Measure("issues_minor", "issues", 0, 10_000, "Issues a review reports as minor, nits included."),
    Measure("fixes_suggested", "fixes", 0, 10_000, "Concrete fixes a review proposes."),
    Measure("review_round", "rounds", 1, 100, "Which round of review with the coder this is, from 1."),
    Measure("attempt", "attempts", 1, 100, "Which attempt at the same task this is, from 1."),
    Measure("files_changed", "files", 0, 100_000, "Files touched or looked at as part of the change."),
    Measure("lines_added", "lines", 0, 10_000_000, "Lines added."),
    Measure("lines_removed", "lines", 0, 10_000_000, "Lines removed."),
    Measure("tests_added", "tests", 0, 100_000, "Tests written."),
    Measure("tests_passed", "tests", 0, 1_000_000, "Tests that passed in a test run."),
    Measure("tests_failed", "tests", 0, 1_000_000, "Tests that failed in a test run."),
    Measure("lead_time_ms", "milliseconds", 0, _QUARTER_MS, "From the commit to its being deployed."),
    Measure("health_check_ms", "milliseconds", 0, _WEEK_MS, "From the deploy's end to a healthy answer."),
    Measure("docs_checked", "files", 0, 100_000, "Documents compared with the code."),
    Measure("docs_in_sync", "files", 0, 100_000, "Documents found (or left) in agreement with the code."),
    Measure("docs_updated", "files", 0, 100_000, "Documents changed."),
    Measure("sync_lag_ms", "milliseconds", 0, _QUARTER_MS, "From the change of the code to that of its documents."),
    Measure("options_considered", "options", 0, 1_000, "Alternatives weighed before an advice."),
    Measure("components_affected", "components", 0, 10_000, "Components that an advice or a fault touches."),
    Measure("coupling_milli", "thousandths", 0, 1_000, "Coupling found, 0 (independent) to 1000 (all depends on all)."),
    Measure("confidence_milli", "thousandths", 0, 1_000, "The agent's stated confidence, 0 to 1000."),
    Measure("hypotheses", "hypotheses", 0, 1_000, "Causes tried before the diagnosis."),
    Measure("frames_dropped", "frames", 0, _TOKENS, "Video frames lost while the fault lasted."),
    Measure("stage_latency_ms", "milliseconds", 0, _WEEK_MS, "Latency seen at the suspected stage."),
    Measure("queue_depth", "entries", 0, _TOKENS, "Backlog seen at the suspected stage."),
    Measure("sources_found", "sources", 0, 10_000, "Sources a research run looked at."),
    Measure("sources_cited", "sources", 0, 10_000, "Sources that made it into the pack."),
    Measure("claims_checked", "claims", 0, 10_000, "Claims checked against a source."),
    Measure("claims_rejected", "claims", 0, 10_000, "Claims dropped because no source held them."),
    Measure("score_milli", "thousandths", -1_000, 1_000, "Feedback, -1000 (useless) to 1000 (exactly right)."),
)

_CATEGORIES: Final = (
    Category("outcome", ("success", "failure", "cancelled"), "How the operation ended."),
    Category("verdict", ("approved", "rejected"), "A judgement on the work: a review's, or a person's in feedback."),
    Category("tool_name", (), "Name of the tool that was called."),
    Category("model", (), "Model that answered."),
    Category("error_type", (), "Class of the error, where one occurred."),
    Category("action", ("deploy", "rollback", "hold"), "What a deployment did."),
    Category("strategy", ("rolling", "blue_green", "canary", "recreate", "push"), "How it was rolled out."),
    Category("environment", ("production", "staging", "development"), "Where it was rolled out."),
    Category("task_kind", ("feature", "bugfix", "refactor", "test", "chore"), "What an implementation was for."),
    Category("doc_kind", ("readme", "api", "guide", "architecture", "changelog", "other"), "Kind of document."),
    Category("priority", ("high", "medium", "low"), "Priority the agent gave the task."),
    Category("recommendation", ("refactor", "leave", "extract", "redesign"), "What the advice came to."),
    Category("pattern", (), "Design pattern that the advice names."),
    Category("root_cause", ("code", "config", "dependency", "data", "infrastructure", "unknown"), "Cause found."),
    Category("resolution", ("fix", "restart", "rollback", "none"), "What ended the fault."),
    Category("stage", ("rtsp", "redis", "frame_buffer", "processor"), "Stage of the video pipeline that was blamed."),
    Category("topic", (), "Topic of a research run."),
)

MEASURES: Final = {measure.name: measure for measure in _MEASURES}
CATEGORIES: Final = {category.name: category for category in _CATEGORIES}

EXTRA_MEASURES: Final = {
    each.name: Measure(each.name, each.unit, each.minimum, each.maximum, each.description)
    for catalog in _CATALOGS
    for each in catalog.measures
}
EXTRA_CATEGORIES: Final = {
    each.name: Category(each.name, each.values, each.description) for catalog in _CATALOGS for each in catalog.categories
}
"""What events may carry under `extra`, whatever their operation: `event.extra.NAME` in a view."""

_EXTRA_MEASURE: Final = "extra_measure_"
_EXTRA_CATEGORY: Final = "extra_category_"


def extra_measure_column(name: str) -> str:
    """The column under which engines see a measure of one's own; in the log it stands in the column `extra`."""
    return _EXTRA_MEASURE + name


def extra_category_column(name: str) -> str:
    """The column under which engines see a category of one's own."""
    return _EXTRA_CATEGORY + name


def extra_name(column: str) -> str | None:
    """The name that a measure or category of one's own was declared under, None for another column."""
    for prefix in (_EXTRA_MEASURE, _EXTRA_CATEGORY):
        if column.startswith(prefix):
            return column.removeprefix(prefix)
    return None


def is_integer(column: str) -> bool:
    """Whether a column of events holds integers: a measure, or one of one's own."""
    return column in MEASURES or column.startswith(_EXTRA_MEASURE)


_USAGE: Final = ("duration_ms", "input_tokens", "output_tokens", "tool_calls", "tool_errors")

_OPERATIONS: Final = (
    Operation(
        "review",
        "A code review was finished.",
        (
            *_USAGE,
            "issues_found",
            "issues_critical",
            "issues_major",
            "issues_minor",
            "fixes_suggested",
            "review_round",
            "files_changed",
            "lines_added",
            "lines_removed",
        ),
        ("outcome", "verdict", "model"),
    ),
    Operation(
        "deploy",
        "A deployment, a rollback, or the decision to hold was made.",
        (*_USAGE, "lead_time_ms", "health_check_ms", "attempt", "files_changed"),
        ("outcome", "action", "strategy", "environment", "error_type", "model"),
    ),
    Operation(
        "implement",
        "A coding task was finished.",
        (*_USAGE, "files_changed", "lines_added", "lines_removed", "tests_added", "review_round", "attempt"),
        ("outcome", "task_kind", "error_type", "model"),
    ),
    Operation(
        "test_run",
        "A test suite was run.",
        ("duration_ms", "tests_passed", "tests_failed"),
        ("outcome",),
    ),
    Operation(
        "document",
        "Documentation was compared with the code, and updated where it had to be.",
        (*_USAGE, "docs_checked", "docs_in_sync", "docs_updated", "sync_lag_ms", "lines_added", "lines_removed"),
        ("outcome", "doc_kind", "priority", "model"),
    ),
    Operation(
        "advise",
        "An architecture advice was given.",
        (*_USAGE, "options_considered", "components_affected", "coupling_milli", "confidence_milli"),
        ("outcome", "recommendation", "pattern", "model"),
    ),
    Operation(
        "diagnose",
        "A fault was looked into.",
        (
            *_USAGE,
            "hypotheses",
            "components_affected",
            "confidence_milli",
            "frames_dropped",
            "stage_latency_ms",
            "queue_depth",
        ),
        ("outcome", "root_cause", "resolution", "stage", "model"),
    ),
    Operation(
        "research",
        "A research pack was made.",
        (*_USAGE, "sources_found", "sources_cited", "claims_checked", "claims_rejected"),
        ("outcome", "topic", "model"),
    ),
    Operation(
        "invoke_agent",
        "A subagent was called; its work, where it can be read, is an event of its own with the same task_id.",
        _USAGE,
        ("outcome", "model"),
    ),
    Operation("tool_call", "A tool was called.", ("duration_ms",), ("outcome", "tool_name", "error_type")),
    Operation(
        "chat",
        "The model answered once.",
        ("duration_ms", "input_tokens", "output_tokens", "cache_read_tokens", "cache_creation_tokens"),
        ("outcome", "model", "error_type"),
    ),
    Operation(
        "feedback",
        "Somebody judged earlier work; task_id names the work.",
        ("score_milli",),
        ("outcome", "verdict"),
        ("score_milli",),
    ),
)

OPERATIONS: Final = {operation.name: operation for operation in _OPERATIONS}

IDENTITIES: Final = ("project", "session_id", "task_id")
"""Text columns that every event may carry and a feature may count distinct values of."""

OTEL_NAMES: Final = {
    "operation": "gen_ai.operation.name",
    "raw_name": "gen_ai.agent.name",
    "session_id": "gen_ai.conversation.id",
    "model": "gen_ai.response.model",
    "tool_name": "gen_ai.tool.name",
    "error_type": "error.type",
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cache_read_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_creation_tokens": "gen_ai.usage.cache_creation.input_tokens",
}
"""Our column → the OpenTelemetry GenAI attribute it stands for."""

OTEL_DIFFERS: Final = {
    "input_tokens": "The attribute includes what was read from the prompt cache and written to it, the column does not: take both off.",
}
"""Our column → what to do to the attribute's value before it is the column's."""


def views_operation(agent_type: str) -> str:
    """The operation that is the agent's own work (`review` for `code-reviewer`).

    Raises:
        KeyError: for a name that is none of AGENTS.

    """
    return _OWN_WORK[agent_type]


_OWN_WORK: Final = {
    "code-reviewer": "review",
    "deployment-specialist": "deploy",
    "detektor-coder": "implement",
    "documentation-keeper": "document",
    "architecture-advisor": "advise",
    "debugger": "diagnose",
    "pipeline-debugger": "diagnose",
    "pisarz": "research",
    **{each.name: each.work for catalog in _CATALOGS for each in catalog.agents},
}


WORKS: Final = tuple(each.name for each in _OPERATIONS if {*_USAGE} < {*each.measures})
"""Operations that are an agent's own work."""


def _check_declared() -> None:
    """Refuse what a catalogue of one's own declares and what cannot be beside the rest.

    Raises:
        UserError: A name is taken, or an agent's work is none.

    """
    agents, extra = {each.agent_type for each in EIGHT} | {UNMAPPED}, set[str]()
    for catalog in _CATALOGS:
        for agent in catalog.agents:
            if agent.name in agents:
                fix = "Give it another name; a view may be of one of the eight agents without declaring it."
                raise UserError(f"There is an agent {agent.name} already.", where=agent.where, fix=fix)
            if agent.work not in WORKS:
                fix = f"Take the nearest of {', '.join(WORKS)}."
                raise UserError(f"The work of {agent.name}, {agent.work!r}, is no operation.", where=agent.where, fix=fix)
            agents.add(agent.name)
        declared = [(each.name, each.where) for each in catalog.measures] + [(each.name, each.where) for each in catalog.categories]
        for name, where in declared:
            if name in extra:
                raise UserError(f"{name} is declared already.", where=where, fix="Give it another name.")
            extra.add(name)


_check_declared()
