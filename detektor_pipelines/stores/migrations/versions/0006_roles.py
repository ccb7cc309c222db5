"""What each kind of program may do: five roles without a login, for logins to be members of.

A server that does not let this user make roles goes without: then there is one login for all, as before.
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_ROLES = ("ingest", "compute", "serve", "read", "admin")

_MAKE = f"""
DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[{", ".join(f"'detektor_{role}'" for role in _ROLES)}] LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN', name);
            END IF;
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN NULL;  -- another database's migration made it at this moment
            WHEN insufficient_privilege THEN RAISE NOTICE 'role % is not there, and this user may not make it', name;
        END;
    END LOOP;
END $$
"""

MAKE_MONTH = """
CREATE FUNCTION ml_learning.make_month(month date) RETURNS void LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    first date := date_trunc('month', month)::date;
    name text := 'agent_events_' || to_char(month, '"y"YYYY"m"MM');
BEGIN
    EXECUTE format('CREATE TABLE ml_learning.%I (LIKE ml_learning.agent_events INCLUDING ALL)', name);
    EXECUTE format('ALTER TABLE ml_learning.agent_events ATTACH PARTITION ml_learning.%I FOR VALUES FROM (%L) TO (%L)',
        name, first || ' 00:00:00+00', (first + interval '1 month')::date || ' 00:00:00+00');
END $$
"""

_GRANTS = {
    "ingest": (
        "USAGE ON SCHEMA ml_learning",
        "SELECT, INSERT ON ml_learning.agent_events, ml_learning.rejected_events",
        "SELECT, INSERT, UPDATE ON ml_learning.event_ids, ml_learning.log_origin",
        "SELECT ON ml_learning.log_cluster, ml_learning.erasures, ml_learning.erasure_key, ml_learning.alembic_version",
        "EXECUTE ON FUNCTION ml_learning.make_month(date)",
    ),
    "compute": (
        "USAGE ON SCHEMA ml_learning, feast",
        "SELECT ON ALL TABLES IN SCHEMA ml_learning, feast",
        "INSERT ON ALL TABLES IN SCHEMA feast",
        "INSERT, UPDATE ON ml_learning.partition_state, ml_learning.drift_results",
        "INSERT ON ml_learning.predictions, ml_learning.drift_references, ml_learning.rejected_events",
    ),
    "serve": (
        "USAGE ON SCHEMA ml_learning, feast",
        "SELECT ON ALL TABLES IN SCHEMA feast",
        "SELECT ON ml_learning.log_cluster, ml_learning.partition_state, ml_learning.alembic_version",
    ),
    "read": ("USAGE ON SCHEMA ml_learning, feast", "SELECT ON ALL TABLES IN SCHEMA ml_learning, feast"),
    "admin": (
        "ALL ON SCHEMA ml_learning, feast",
        "ALL ON ALL TABLES IN SCHEMA ml_learning, feast",
        "ALL ON ALL SEQUENCES IN SCHEMA ml_learning, feast",
        "EXECUTE ON FUNCTION ml_learning.make_month(date)",
    ),
}
_DEFAULTS = {
    "compute": ("ml_learning: SELECT", "feast: SELECT, INSERT"),
    "serve": ("feast: SELECT",),
    "read": ("ml_learning: SELECT", "feast: SELECT"),
    "admin": ("ml_learning: ALL", "feast: ALL"),
}


def upgrade() -> None:
    op.execute(MAKE_MONTH)
    op.execute("REVOKE ALL ON FUNCTION ml_learning.make_month(date) FROM PUBLIC")
    op.execute("COMMENT ON FUNCTION ml_learning.make_month(date) IS 'Makes a month of the log: who only ingests owns no table'")
    for statement in statements():
        op.execute(statement)


def downgrade() -> None:
    message = "The roles may be others' too: revoke what they may do in this database by hand (DROP OWNED BY detektor_read, …)."
    raise NotImplementedError(message)


def statements() -> list[str]:
    """Return what makes the roles and what they may do: `stores.schema` says it again to a database that was restored without them."""
    found = [_MAKE]
    for role in _ROLES:
        found += [_if_there_is(role, f"GRANT {privilege} TO detektor_{role}") for privilege in _GRANTS[role]]
        for default in _DEFAULTS.get(role, ()):
            schema, _, privilege = default.partition(": ")
            found.append(_if_there_is(role, f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT {privilege} ON TABLES TO detektor_{role}"))
    return found + [_if_there_is(role, f"REVOKE ALL ON ml_learning.erasure_key FROM detektor_{role}") for role in ("compute", "read")]


def _if_there_is(role: str, statement: str) -> str:
    return f"DO $$ BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'detektor_{role}') THEN {statement}; END IF; END $$"
