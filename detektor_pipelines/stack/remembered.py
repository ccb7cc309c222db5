"""What outlives a command: `home/stack.json` (ports, external addresses) and `home/secrets.env` (passwords), both mode 0600.

`home/ports.json` outlives `detektor down` too: ports that were chosen because another program held the usual one, so that bookmarks and
links go on leading where they led.
"""

from __future__ import annotations

import json
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from detektor_pipelines.errors import UserError
from detektor_pipelines.files import replace_file, turn
from detektor_pipelines.settings import Settings, get_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

PORTS_FILE = "ports.json"
_EXTERNAL_FIELDS = ("external_postgres_url", "external_redis_url", "mlflow_tracking_uri")


def make_home(settings: Settings) -> None:
    """Make the home directory, readable by its owner only.

    Raises:
        UserError: It cannot be made or written to.

    """
    try:
        settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        (settings.home / "logs").mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"The state directory cannot be made: {error.strerror}.",
            where=str(settings.home),
            fix="Set DETEKTOR_HOME to a directory that you may write to.",
        ) from None


@contextmanager
def locked(settings: Settings) -> Iterator[None]:
    """Let one command at a time start or stop servers; a second one waits."""
    make_home(settings)
    with turn(settings.home / "stack.lock", wait=True):
        yield


def with_secrets(settings: Settings) -> Settings:
    """Generate the passwords of embedded servers that have none yet, keep them, and return settings that hold them."""
    wanted = [
        name
        for name, external, present in (
            ("postgres_password", settings.external_postgres_url, settings.postgres_password),
            ("redis_password", settings.external_redis_url, settings.redis_password),
        )
        if not external and not present
    ]
    if not wanted:
        return settings
    lines = settings.secrets_file.read_text(encoding="utf-8").splitlines() if settings.secrets_file.exists() else []
    # Another command may have made them since these settings were read.
    kept = dict(line.partition("=")[::2] for line in lines)
    found = {name: kept.get(f"DETEKTOR_{name.upper()}") for name in wanted}
    made = {name: secrets.token_urlsafe(24) for name, value in found.items() if not value}
    if made:
        lines += [f"DETEKTOR_{name.upper()}={value}" for name, value in made.items()]
        replace_file(settings.secrets_file, "\n".join(lines) + "\n")
    return changed(settings, **(found | made))


def remember(settings: Settings, port_fields: tuple[str, ...]) -> None:
    """Write down where the servers are, so that any later command finds them."""
    kept: dict[str, Any] = {name: getattr(settings, name) for name in port_fields}
    kept |= {name: value for name in _EXTERNAL_FIELDS if (value := getattr(settings, name))}
    replace_file(settings.state_file, json.dumps({"settings": kept}, indent=2) + "\n")
    get_settings.cache_clear()


def port_of(settings: Settings, port_field: str) -> int | None:
    """Return the port that the last `remember` wrote for a field, or None."""
    try:
        port = json.loads(settings.state_file.read_text(encoding="utf-8"))["settings"].get(port_field)
    except (OSError, ValueError, KeyError, AttributeError):
        return None
    return port if isinstance(port, int) else None


def keep_ports(settings: Settings, chosen: dict[str, tuple[int, int]]) -> None:
    """Write down which port was chosen instead of which, by field, for the starts to come."""
    if chosen:
        make_home(settings)
        kept = {name: {"wanted": wanted, "used": used} for name, (wanted, used) in chosen.items()}
        replace_file(settings.home / PORTS_FILE, json.dumps(_kept_ports(settings) | kept, indent=2) + "\n")


def kept_port(settings: Settings, port_field: str, wanted: int) -> int | None:
    """Return the port that was chosen instead of the wanted one, None when none was."""
    kept = _kept_ports(settings).get(port_field)
    found = kept.get("used") if isinstance(kept, dict) and kept.get("wanted") == wanted else None
    return found if isinstance(found, int) else None


def _kept_ports(settings: Settings) -> dict[str, Any]:
    try:
        kept = json.loads((settings.home / PORTS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def forget(settings: Settings) -> None:
    """Remove what `remember` wrote; the next start begins from the environment, `ports.json` and the defaults."""
    settings.state_file.unlink(missing_ok=True)
    get_settings.cache_clear()


def changed(settings: Settings, **values: Any) -> Settings:
    """Return settings with other values, validated."""
    given = {name: getattr(settings, name) for name in type(settings).model_fields}
    return Settings(**(given | values))
