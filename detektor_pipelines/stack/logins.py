"""A login for each program on the servers of `detektor up`: passwords in files, roles in PostgreSQL, users in Redis.

    home/logins/stream.postgres, stream.redis    a password each, mode 0600; the program's environment names the file
    detektor_login_stream                        what both servers call it

The owner of everything (`settings.postgres_user`, Redis' default user) makes them at each `up`, and is for people and migrations. On a
server that somebody else runs no login is made: its address says with which one everything goes there.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING, Final

from detektor_pipelines.errors import UserError
from detektor_pipelines.files import replace_file
from detektor_pipelines.settings import LOGIN_PREFIX, LOGINS_DIRECTORY, OWNED_SCHEMAS, OWNER_PREFIX, login_name
from detektor_pipelines.stack.servers import postgres
from detektor_pipelines.stack.servers import redis as redis_server
from detektor_pipelines.stack.servers.access import LOGINS, PROGRAMS, REDIS, ROLES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal

    from detektor_pipelines.settings import Settings

_QUIET: Final = """
SET log_min_error_statement = panic;  -- a statement here may hold a password
SET log_min_duration_statement = -1;
"""
_MAKE: Final = """
DO $$ BEGIN
    IF to_regrole('{role}') IS NULL THEN CREATE ROLE {role}; END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;
"""
_SCHEMA: Final = """
ALTER SCHEMA {schema} OWNER TO {owner};
DO $$
DECLARE statement text;
BEGIN
    FOR statement IN
        SELECT format('ALTER TABLE %s OWNER TO {owner}', class.oid::regclass) FROM pg_class AS class
        WHERE relnamespace = '{schema}'::regnamespace AND relowner = current_user::regrole AND relkind IN ('r', 'p', 'v', 'm', 'S')
          AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = class.oid AND deptype IN ('a', 'i')
                          AND relkind = 'S')  -- goes with its table
        UNION ALL
        SELECT format('ALTER TYPE %s OWNER TO {owner}', kind.oid::regtype) FROM pg_type AS kind
        WHERE typnamespace = '{schema}'::regnamespace AND typowner = current_user::regrole AND typtype IN ('e', 'd')
        UNION ALL
        SELECT format('GRANT ALL ON %s TO detektor_admin', class.oid::regclass) FROM pg_class AS class
        WHERE relnamespace = '{schema}'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S')
          AND NOT CASE relkind WHEN 'S' THEN has_sequence_privilege('detektor_admin', class.oid, 'UPDATE')
                               ELSE has_table_privilege('detektor_admin', class.oid, 'DELETE') END
    LOOP EXECUTE statement; END LOOP;
END $$;
ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT ALL ON TABLES TO {owner};
ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT ALL ON SEQUENCES TO {owner};
GRANT USAGE ON SCHEMA {schema} TO detektor_admin;
ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {schema} GRANT ALL ON TABLES TO detektor_admin;
"""
_FEAST: Final = """
ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA feast GRANT SELECT ON TABLES TO detektor_compute, detektor_serve, detektor_read;
ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA feast GRANT INSERT ON TABLES TO detektor_compute;
"""
_DAGSTER: Final = """
GRANT USAGE ON SCHEMA dagster TO detektor_read;
DO $$
DECLARE statement text;
BEGIN
    FOR statement IN
        SELECT format('GRANT SELECT ON %s TO detektor_read', oid::regclass) FROM pg_class
        WHERE relnamespace = 'dagster'::regnamespace AND relkind IN ('r', 'p', 'v')
          AND NOT has_table_privilege('detektor_read', oid, 'SELECT')
    LOOP EXECUTE statement; END LOOP;
END $$;
ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA dagster GRANT SELECT ON TABLES TO detektor_read;
"""


def make_passwords(settings: Settings) -> None:
    """Make and keep the passwords that are missing, of logins on servers of our own."""
    directory = settings.home / LOGINS_DIRECTORY
    directory.mkdir(mode=0o700, exist_ok=True)
    for login, access in LOGINS.items():
        for server, has_one in (("postgres", access.roles is not None), ("redis", access.redis is not None)):
            file = settings.login_file(login, "postgres" if server == "postgres" else "redis")
            if has_one and not file.exists():
                replace_file(file, secrets.token_urlsafe(24) + "\n")


def make_in_postgres(settings: Settings) -> None:
    """Make roles and logins, and give each tool's tables to the role that owns its schema; harmless when all is as it should be.

    Raises:
        UserError: The server does not answer, or this is no owner's login.

    """
    if settings.postgres_user.startswith(LOGIN_PREFIX):
        raise UserError(
            f"Servers are started as their owner, and here the login is {settings.postgres_user}.",
            where="environment variable DETEKTOR_POSTGRES_USER",
            fix="Use a shell without the variables of `detektor env --role`.",
        )
    postgres.run_sql(settings.postgres_dsn, f"BEGIN;\n{_QUIET}" + "".join(_statements(settings)) + "COMMIT;\n")


def redis_users(settings: Settings) -> list[tuple[str, str]]:
    """Return the users of our Redis, each with the rules of its ACL; of a password only the SHA-256 is in them."""
    return [
        (login_name(login), f"on #{hashlib.sha256(_password(settings, login, 'redis').encode()).hexdigest()} {REDIS[access.redis]}")
        for login, access in LOGINS.items()
        if access.redis
    ]


def make_in_redis(settings: Settings) -> None:
    """Tell a running Redis of its users: it may have been started by an earlier release."""
    password = settings.redis_password.get_secret_value() if settings.redis_password else None
    redis_server.set_users(settings.redis_port, password, redis_users(settings))


def environment(settings: Settings, program: str) -> dict[str, str]:
    """Return the variables with which a program logs in as itself, on servers of our own; empty for one that has no login.

    The owner's password, where the environment of `detektor up` has it, is kept from it.
    """
    if program not in PROGRAMS:
        return {}
    access = PROGRAMS[program]
    found: dict[str, str] = {}
    if access.roles is not None and not settings.external_postgres_url:
        found |= _variables(settings, program, "postgres")
    if access.redis and not settings.external_redis_url:
        found |= _variables(settings, program, "redis")
    elif not settings.external_redis_url:
        found |= {"DETEKTOR_REDIS_PASSWORD": "", "DETEKTOR_REDIS_PASSWORD_FILE": ""}
    return found


def of_process(settings: Settings, program: str, pid: int | None) -> str | None:
    """Return with which login a running program was started; None for one that needs none, or is gone."""
    import psutil

    if program not in PROGRAMS or pid is None:
        return None
    access = PROGRAMS[program]
    try:
        given = psutil.Process(pid).environ()
    except psutil.Error:
        return None
    if access.roles is not None:
        return given.get("DETEKTOR_POSTGRES_USER") or settings.postgres_user
    return given.get("DETEKTOR_REDIS_USER") or "default"


def _variables(settings: Settings, login: str, server: Literal["postgres", "redis"]) -> dict[str, str]:
    prefix = f"DETEKTOR_{server.upper()}"
    return {
        f"{prefix}_USER": login_name(login),
        f"{prefix}_PASSWORD": "",
        f"{prefix}_PASSWORD_FILE": str(settings.login_file(login, server)),
    }


def _statements(settings: Settings) -> Iterator[str]:
    """Passwords are of letters, digits, - and _ and need no escape."""
    owners = {schema: OWNER_PREFIX + schema for schema in OWNED_SCHEMAS}
    for role in (*(f"detektor_{role}" for role in ROLES), *owners.values(), *map(login_name, LOGINS)):
        yield _MAKE.format(role=role)
    for login, access in LOGINS.items():
        name = login_name(login)
        yield f"ALTER ROLE {name} LOGIN PASSWORD '{_password(settings, login, 'postgres')}';\n"
        for role in (*(access.roles or ()), *(owners[schema] for schema in access.owns)):
            yield f"GRANT {role} TO {name};\n"
        for schema in access.makes:
            yield f"GRANT {owners[schema]} TO {name} WITH INHERIT FALSE, SET TRUE;\n"
    yield "GRANT pg_signal_backend TO detektor_admin;\n"  # erase has stream workers start again
    for schema, owner in owners.items():
        yield _SCHEMA.format(schema=schema, owner=owner)
    yield _FEAST.format(owner=owners["feast"])
    yield _DAGSTER.format(owner=owners["dagster"])


def _password(settings: Settings, login: str, server: Literal["postgres", "redis"]) -> str:
    return settings.login_file(login, server).read_text(encoding="utf-8").rstrip("\n")
