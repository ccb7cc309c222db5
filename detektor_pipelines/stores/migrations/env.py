"""How alembic runs our revisions: on the connection that `stores.schema.migrate` opened, version table in `ml_learning`.

Dagster and MLflow keep an `alembic_version` of their own in their own schemas, hence the explicit schema.
"""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=None,
    version_table="alembic_version",
    version_table_schema="ml_learning",
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
