"""The cluster that the log lives on, and numbers of its transactions that stay in order when it moves to another one.

A log that was moved before anybody kept where it was shows it: days that were published on another cluster, or an event of a transaction
that this cluster has not begun. Its numbers go on above the highest, and those days are computed again.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TIMELINE = "('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int"

STATEMENTS = (
    """
    CREATE TABLE ml_learning.log_cluster (
        only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
        epoch bigint NOT NULL,
        system_identifier bigint NOT NULL,
        timeline integer NOT NULL,
        shift bigint NOT NULL,
        since timestamptz NOT NULL DEFAULT now()
    )
    """,
    "COMMENT ON TABLE ml_learning.log_cluster IS 'Where the log lives: its transactions'' numbers are those of this cluster plus shift'",
    "COMMENT ON COLUMN ml_learning.log_cluster.epoch IS 'Number of the log''s life: 1 for the first, a greater one for each later'",
    """
    CREATE FUNCTION ml_learning.log_snapshot() RETURNS pg_snapshot LANGUAGE sql STABLE AS $$
        SELECT CASE WHEN shift = 0 THEN now ELSE (
            (pg_snapshot_xmin(now)::text::bigint + shift) || ':' || (pg_snapshot_xmax(now)::text::bigint + shift) || ':' || coalesce(
                (SELECT string_agg((running::text::bigint + shift)::text, ',' ORDER BY running) FROM pg_snapshot_xip(now) AS running), '')
        )::pg_snapshot END
        FROM ml_learning.log_cluster, pg_current_snapshot() AS now
    $$
    """,
    "COMMENT ON FUNCTION ml_learning.log_snapshot() IS 'What is visible now, in the numbers of agent_events.xid'",
    f"""
    CREATE FUNCTION ml_learning.log_is_at_home() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NOT EXISTS (
            SELECT FROM ml_learning.log_cluster AS kept JOIN pg_control_system() AS control USING (system_identifier)
            WHERE kept.timeline = {_TIMELINE}
        ) THEN
            RAISE EXCEPTION 'the log was moved to another cluster, and its numbers do not go on yet' USING ERRCODE = 'DTLOG';
        END IF;
        RETURN NULL;
    END $$
    """,
    "COMMENT ON FUNCTION ml_learning.log_is_at_home() IS 'Keeps numbers of two clusters from getting into one log'",
    f"""
    INSERT INTO ml_learning.log_cluster (epoch, system_identifier, timeline, shift)
    SELECT 1, system_identifier, {_TIMELINE}, CASE WHEN moved THEN beyond ELSE 0 END
    FROM pg_control_system() AS control CROSS JOIN LATERAL (
        SELECT greatest(0, 1 + greatest(
                (SELECT max(xid)::text::bigint FROM ml_learning.agent_events),
                (SELECT max(pg_snapshot_xmax(snapshot))::text::bigint FROM ml_learning.partition_state)
            ) - pg_snapshot_xmin(pg_current_snapshot())::text::bigint) AS beyond,
            EXISTS (SELECT FROM ml_learning.partition_state AS state WHERE state.system_identifier <> control.system_identifier)
            OR coalesce((SELECT max(xid) FROM ml_learning.agent_events) >= pg_snapshot_xmax(pg_current_snapshot()), false) AS moved
    ) AS found
    """,
    """
    UPDATE ml_learning.partition_state SET snapshot = '1:1:'
    WHERE system_identifier <> (SELECT system_identifier FROM ml_learning.log_cluster)
    """,
    """
    DO $$
    DECLARE shift bigint := (SELECT kept.shift FROM ml_learning.log_cluster AS kept);
    BEGIN
        IF shift > 0 THEN
            EXECUTE format(
                'ALTER TABLE ml_learning.agent_events ALTER xid SET DEFAULT (pg_current_xact_id()::text::bigint + %s)::text::xid8', shift
            );
        END IF;
    END $$
    """,
    "ALTER TABLE ml_learning.partition_state DROP COLUMN system_identifier",
    "CREATE TRIGGER at_home BEFORE INSERT ON ml_learning.agent_events FOR EACH STATEMENT EXECUTE FUNCTION ml_learning.log_is_at_home()",
    "CREATE TRIGGER at_home BEFORE INSERT ON ml_learning.partition_state FOR EACH STATEMENT EXECUTE FUNCTION ml_learning.log_is_at_home()",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    message = "Revision 0001 cannot read the numbers of a log that was moved: bring the code up to date instead."
    raise NotImplementedError(message)
