"""Measures and categories that a catalogue of one's own declares: one jsonb column beside the built-in ones."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE ml_learning.agent_events ADD COLUMN extra jsonb",
    "COMMENT ON COLUMN ml_learning.agent_events.extra IS 'Measures and categories that a catalogue of one''s own declares, by name'",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


_KEPT = """
DO $$ BEGIN
    IF EXISTS (SELECT FROM ml_learning.agent_events WHERE extra IS NOT NULL) THEN
        RAISE EXCEPTION 'events carry measures of one''s own, of which this column is the only copy';
    END IF;
END $$
"""


def downgrade() -> None:
    op.execute(_KEPT)
    op.execute("ALTER TABLE ml_learning.agent_events DROP COLUMN extra")
