"""What was erased on somebody's request, without saying who it was, and for how long tables keep what they hold."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE ml_learning.erasures (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        kind text NOT NULL CHECK (kind IN ('agent-id', 'session', 'project', 'user')),
        digest text NOT NULL,
        until timestamptz,
        xid xid8,
        requested_at timestamptz NOT NULL,
        finished_at timestamptz,
        todo jsonb NOT NULL DEFAULT '{}',
        removed jsonb NOT NULL DEFAULT '{}'
    )
    """,
    "CREATE UNIQUE INDEX erasures_open ON ml_learning.erasures (kind, digest) WHERE finished_at IS NULL",
    "COMMENT ON TABLE ml_learning.erasures IS 'What was removed when; of whom it tells only to who knows the name and the key'",
    "COMMENT ON COLUMN ml_learning.erasures.digest IS 'HMAC-SHA256 of the name, with ml_learning.erasure_key'",
    "COMMENT ON COLUMN ml_learning.erasures.until IS 'Events of up to then are not taken in again; null for none ever'",
    "COMMENT ON COLUMN ml_learning.erasures.xid IS 'The log''s number of the removing transaction: who did not see it publishes nothing'",
    "COMMENT ON COLUMN ml_learning.erasures.todo IS 'What is left to do, for the same command after a crash; empty when it is finished'",
    "COMMENT ON COLUMN ml_learning.erasures.removed IS 'How many of what went, by store'",
    """
    CREATE TABLE ml_learning.erasure_key (
        only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
        key text NOT NULL DEFAULT gen_random_uuid()::text || gen_random_uuid()::text
    )
    """,
    "INSERT INTO ml_learning.erasure_key DEFAULT VALUES",
    "REVOKE ALL ON ml_learning.erasure_key FROM PUBLIC",
    """
    CREATE TABLE ml_learning.retention (
        name text PRIMARY KEY,
        days integer CHECK (days > 0),
        floor timestamptz
    )
    """,
    "COMMENT ON TABLE ml_learning.retention IS 'How many days a table keeps (null: for ever), and since when there is nothing older'",
    """
    CREATE OR REPLACE FUNCTION ml_learning.predictions_stay() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'DELETE' AND current_setting('detektor.removes', true) = 'on' THEN
            RETURN NULL;
        END IF;
        RAISE EXCEPTION 'predictions stay as they were written';
    END $$
    """,
    "COMMENT ON FUNCTION ml_learning.predictions_stay() IS 'Predictions are never changed; some may be erased'",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    message = "Revision 0004 would take in again what was erased: bring the code up to date instead."
    raise NotImplementedError(message)
