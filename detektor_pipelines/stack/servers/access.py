"""Who may do what on the servers: the rules of each role in Redis, and the roles that each program's login is a member of.

    ACL SETUSER detektor_serve on >password <rules>

In PostgreSQL the migration `0006_roles` says what a role may do. Who only ingests needs no Redis.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_KEYS: Final = "resetkeys ~feast:*"
_TALK: Final = "+ping +hello +auth +select +echo +info +time +client +command +cluster +readonly"

REDIS: Final = {
    "read": f"{_KEYS} -@all {_TALK} +@read -@dangerous +info",
    "serve": f"{_KEYS} -@all {_TALK} +@read +xadd -@dangerous +info",
    "compute": f"{_KEYS} -@all {_TALK} +@read +@write +@scripting +@transaction -@dangerous +info",
    "admin": f"{_KEYS} -@all {_TALK} +@read +@write +@scripting +@transaction +bgsave +config",
}
"""By role: which keys, and which commands."""

ROLES: Final = ("ingest", "compute", "serve", "read", "admin")


@dataclass(frozen=True, slots=True)
class Access:
    """What one login may do.

    Attributes:
        roles: Roles in PostgreSQL that it is a member of; None: it has no login there.
        redis: The role whose rules it has in Redis; None: it has no user there.
        owns: Schemas of a tool whose tables it makes and changes.
        makes: Schemas in which it may make tables, and does nothing else with an owner's rights.

    """

    roles: tuple[str, ...] | None
    redis: str | None = None
    owns: tuple[str, ...] = ()
    makes: tuple[str, ...] = ()


PROGRAMS: Final = {
    "stream": Access(("detektor_compute", "detektor_ingest"), "compute"),  # it drains the spool
    "serve": Access(("detektor_serve",), "serve"),
    "registry": Access(("detektor_serve",), owns=("feast",)),
    "exporter": Access(("detektor_read",), "read"),
    "mlflow": Access((), owns=("mlflow",)),
    "dagster-code": Access(("detektor_compute",), "compute", owns=("dagster",), makes=("feast",)),
    "dagster": Access((), owns=("dagster",)),
    "dagster-daemon": Access((), owns=("dagster",)),
    "watchdog": Access(("detektor_read",)),  # it looks whether Dagster's daemon beats
}
"""By program of `detektor up`."""

PEOPLE: Final = {role: Access((f"detektor_{role}",), role if role in REDIS else None) for role in ROLES if role not in PROGRAMS}
"""A login for each role, for people and for jobs that need more than their program; the feature server's is that of `serve`."""

BACKUP: Final = "backup"

LOGINS: Final = PROGRAMS | PEOPLE | {BACKUP: Access(("pg_read_all_data",))}
"""All that `detektor up` makes on its own servers, by name."""
