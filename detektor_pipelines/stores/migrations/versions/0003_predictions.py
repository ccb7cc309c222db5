"""What a model in production said of decisions, before or after it was known what became of them."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE ml_learning.predictions (
        model text NOT NULL,
        version text NOT NULL,
        run_id text NOT NULL,
        agent_id text NOT NULL,
        task_id text NOT NULL,
        decided_at timestamptz NOT NULL,
        label text NOT NULL,
        predicted_at timestamptz NOT NULL,
        probability double precision NOT NULL CHECK (probability BETWEEN 0 AND 1),
        baseline double precision NOT NULL CHECK (baseline BETWEEN 0 AND 1),
        features_digest text NOT NULL,
        PRIMARY KEY (model, version, run_id, decided_at, agent_id, task_id)
    )
    """,
    "COMMENT ON TABLE ml_learning.predictions IS 'Shadow predictions: one a decision and model version, written once, never changed'",
    "COMMENT ON COLUMN ml_learning.predictions.run_id IS 'The MLflow run that made the model: version numbers begin again in a new MLflow'",
    "COMMENT ON COLUMN ml_learning.predictions.task_id IS 'Empty where the decision has none'",
    "COMMENT ON COLUMN ml_learning.predictions.predicted_at IS 'When it was written, by the platform''s clock'",
    "COMMENT ON COLUMN ml_learning.predictions.probability IS 'That the label is true'",
    "COMMENT ON COLUMN ml_learning.predictions.baseline IS 'The share of true labels that the model learnt from'",
    "COMMENT ON COLUMN ml_learning.predictions.features_digest IS 'SHA-256 over the inputs, their values and their views'",
    """
    CREATE FUNCTION ml_learning.predictions_stay() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'predictions stay as they were written';
    END $$
    """,
    "COMMENT ON FUNCTION ml_learning.predictions_stay() IS 'A prediction that could be changed afterwards would prove nothing'",
    """
    CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ml_learning.predictions
    FOR EACH STATEMENT EXECUTE FUNCTION ml_learning.predictions_stay()
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE ml_learning.predictions")
    op.execute("DROP FUNCTION ml_learning.predictions_stay()")
