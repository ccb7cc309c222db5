"""What features are compared with, pinned as data, and what the comparisons said."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE ml_learning.drift_references (
        view text NOT NULL,
        data_hash text NOT NULL,
        number integer NOT NULL CHECK (number > 0),
        first_day date NOT NULL,
        last_day date NOT NULL CHECK (last_day > first_day),
        rows_hash text NOT NULL,
        pinned_at timestamptz NOT NULL,
        pinned_by text NOT NULL,
        profiles jsonb NOT NULL,
        PRIMARY KEY (view, data_hash, number)
    )
    """,
    "COMMENT ON TABLE ml_learning.drift_references IS 'Days that features are compared with; the highest number counts, none is changed'",
    "COMMENT ON COLUMN ml_learning.drift_references.rows_hash IS 'SHA-256 over the hashes of the days as they were published then'",
    "COMMENT ON COLUMN ml_learning.drift_references.profiles IS 'Bins of each feature, and counts by agent_id, week and bin'",
    """
    CREATE TABLE ml_learning.drift_results (
        view text NOT NULL,
        data_hash text NOT NULL,
        reference integer NOT NULL,
        day date NOT NULL,
        feature text NOT NULL,
        method text NOT NULL,
        score double precision NOT NULL CHECK (score >= 0),
        observed double precision NOT NULL,
        high double precision NOT NULL,
        p_value double precision NOT NULL CHECK (p_value BETWEEN 0 AND 1),
        n_reference integer NOT NULL,
        n_current integer NOT NULL,
        level text NOT NULL CHECK (level IN ('calm', 'watch', 'alert', 'too_few')),
        note text NOT NULL,
        computed_at timestamptz NOT NULL,
        PRIMARY KEY (view, data_hash, reference, day, feature, method),
        FOREIGN KEY (view, data_hash, reference) REFERENCES ml_learning.drift_references
    )
    """,
    "COMMENT ON TABLE ml_learning.drift_results IS 'Each feature against its reference, of the seven days that end with day'",
    "COMMENT ON COLUMN ml_learning.drift_results.score IS 'What chance does not explain of the difference; 0.1 is calm, 0.2 alerts'",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE ml_learning.drift_results")
    op.execute("DROP TABLE ml_learning.drift_references")
