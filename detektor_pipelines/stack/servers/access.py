"""What each role may do in Redis, as rules of its ACL (6.2 and later); in PostgreSQL the migration `0006_roles` says it.

    ACL SETUSER detektor_serve on >password <rules>

Who only ingests needs no Redis.
"""

from __future__ import annotations

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
