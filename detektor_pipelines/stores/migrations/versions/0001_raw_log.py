"""The raw log: events, their identities, what was rejected, where the log comes from, and what was published from it."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

AGENT_EVENTS = """
CREATE TABLE ml_learning.agent_events (
    event_id text NOT NULL,
    revision integer NOT NULL,
    agent_type text NOT NULL,
    raw_name text NOT NULL,
    project text,
    session_id text,
    task_id text,
    operation text NOT NULL,
    occurred_at timestamptz NOT NULL,
    known_at timestamptz NOT NULL,
    ingested_at timestamptz NOT NULL,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    derived boolean NOT NULL,
    simulated boolean NOT NULL,
    retracted boolean NOT NULL DEFAULT false,
    source text NOT NULL,
    reader_revision integer NOT NULL,
    attributes jsonb,
    duration_ms bigint,
    input_tokens bigint,
    output_tokens bigint,
    cache_read_tokens bigint,
    cache_creation_tokens bigint,
    tool_calls bigint,
    tool_errors bigint,
    issues_found bigint,
    issues_critical bigint,
    issues_major bigint,
    issues_minor bigint,
    fixes_suggested bigint,
    review_round bigint,
    attempt bigint,
    files_changed bigint,
    lines_added bigint,
    lines_removed bigint,
    tests_added bigint,
    tests_passed bigint,
    tests_failed bigint,
    lead_time_ms bigint,
    health_check_ms bigint,
    docs_checked bigint,
    docs_in_sync bigint,
    docs_updated bigint,
    sync_lag_ms bigint,
    options_considered bigint,
    components_affected bigint,
    coupling_milli bigint,
    confidence_milli bigint,
    hypotheses bigint,
    frames_dropped bigint,
    stage_latency_ms bigint,
    queue_depth bigint,
    sources_found bigint,
    sources_cited bigint,
    claims_checked bigint,
    claims_rejected bigint,
    score_milli bigint,
    outcome text,
    verdict text,
    tool_name text,
    model text,
    error_type text,
    action text,
    strategy text,
    environment text,
    task_kind text,
    doc_kind text,
    priority text,
    recommendation text,
    pattern text,
    root_cause text,
    resolution text,
    stage text,
    topic text,
    PRIMARY KEY (event_id, revision, occurred_at)
) PARTITION BY RANGE (occurred_at)
"""

STATEMENTS = (
    AGENT_EVENTS,
    "CREATE INDEX agent_events_agent ON ml_learning.agent_events (agent_type, occurred_at)",
    "CREATE INDEX agent_events_xid ON ml_learning.agent_events (xid)",
    "CREATE INDEX agent_events_revised ON ml_learning.agent_events (event_id) WHERE revision > 1",
    "COMMENT ON TABLE ml_learning.agent_events IS 'Raw log, append-only: the highest revision of an event_id counts, none if retracted'",
    """
    CREATE TABLE ml_learning.event_ids (
        event_id text PRIMARY KEY,
        revision integer NOT NULL,
        body_hash uuid NOT NULL,
        occurred_at timestamptz NOT NULL
    ) WITH (fillfactor = 90)
    """,
    "COMMENT ON TABLE ml_learning.event_ids IS 'One row an event: what a table partitioned by time cannot keep unique'",
    """
    CREATE TABLE ml_learning.rejected_events (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        source text NOT NULL,
        line bigint,
        reason text NOT NULL,
        excerpt text NOT NULL,
        event_id text,
        rejected_at timestamptz NOT NULL,
        fingerprint uuid NOT NULL UNIQUE
    )
    """,
    "CREATE INDEX rejected_events_at ON ml_learning.rejected_events (rejected_at)",
    "COMMENT ON COLUMN ml_learning.rejected_events.fingerprint IS 'md5 of what was rejected: read twice, kept once'",
    """
    CREATE TABLE ml_learning.log_origin (
        only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
        simulated boolean NOT NULL,
        mixed boolean NOT NULL DEFAULT false
    )
    """,
    "COMMENT ON TABLE ml_learning.log_origin IS 'Whether the log is simulated or real, or both because somebody asked for it'",
    """
    CREATE TABLE ml_learning.partition_state (
        view text NOT NULL,
        data_hash text NOT NULL,
        partition date NOT NULL,
        snapshot pg_snapshot NOT NULL,
        system_identifier bigint NOT NULL,
        rows bigint NOT NULL,
        hash text NOT NULL,
        published_at timestamptz NOT NULL,
        PRIMARY KEY (view, data_hash, partition)
    )
    """,
    "COMMENT ON COLUMN ml_learning.partition_state.system_identifier IS 'The cluster that the snapshot''s transaction ids belong to'",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    message = "The raw log is the only copy of what the agents did: going below its first revision would delete it."
    raise NotImplementedError(message)
