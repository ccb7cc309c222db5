"""Which releases of PostgreSQL, Redis and Valkey are supported, and until when their makers mend them.

Each date's source stands beside it. A release of which its makers name no last day has none here, and nobody is warned of it.
"""

from __future__ import annotations

from datetime import date
from typing import Final

from detektor_pipelines.stack.checks import Check

OLDEST_POSTGRES: Final = 14
POSTGRES: Final = {
    14: date(2026, 11, 12),
    15: date(2027, 11, 11),
    16: date(2028, 11, 9),
    17: date(2029, 11, 8),
    18: date(2030, 11, 14),
}
"""By major version: its last day. Source: postgresql.org/support/versioning, which gives the second Thursday of November, five years on."""

OLDEST_REDIS: Final = (6, 2)
REDIS: Final = {(7, 0): date(2024, 7, 29)}
"""By release: the day from which Redis's security policy (github.com/redis/redis/security) does not name it. It gives no days ahead: 6.2,
7.2 and 7.4 got their mends of security in November 2025 and February 2026. The days of redis.io's "product lifecycle" are those of Redis
Software, another product with numbers of its own."""

VALKEY: Final = {(7, 2): date(2027, 4, 16), (8, 0): date(2027, 9, 15), (8, 1): date(2028, 3, 31), (9, 0): date(2028, 10, 21)}
"""By release: three years from its first day, as valkey.io/topics/releases promises maintenance; the last of a major one gets mends of
security for five."""

_MENDED: Final = "your distribution may mend it for longer"


def postgres(version: int, today: date, *, external: bool) -> Check:
    """Judge of a PostgreSQL by its `server_version_num`."""
    major, name = version // 10_000, f"PostgreSQL {version // 10_000}.{version % 10_000}"
    if major < OLDEST_POSTGRES:
        fix = f"Use PostgreSQL {OLDEST_POSTGRES} or later: docs/settings.md, Servers of your own"
        return Check("PostgreSQL release", "failed", f"{name} is too old", fix)
    return _judged("PostgreSQL release", name, POSTGRES.get(major), today, external=external)


def redis(kind: str, version: str, today: date, *, external: bool) -> Check:
    """Judge of a server by what INFO says: `kind` is `redis` or `valkey`."""
    name = f"{kind.capitalize()} {version}"
    release = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if len(release) == len(OLDEST_REDIS) and release < OLDEST_REDIS:
        fix = "Use Redis 6.2 or later, or Valkey: docs/settings.md, Servers of your own"
        return Check("Redis release", "failed", f"{name} is too old", fix)
    ends = {(part[0], part[1]): last for part, last in (VALKEY if kind == "valkey" else REDIS).items()}
    return _judged("Redis release", name, ends.get((release[0], release[1])) if len(release) > 1 else None, today, external=external)


def _judged(check: str, name: str, last: date | None, today: date, *, external: bool) -> Check:
    if last is None or today <= last:
        return Check(check, "ok", name + (f", mended until {last}" if last else ""))
    if not external:
        return Check(check, "ok", f"{name} of a wheel; its makers ended it on {last}, it listens on this machine only")
    return Check(check, "warning", f"{name}: its makers ended it on {last}; {_MENDED}", "Upgrade it when you can")
