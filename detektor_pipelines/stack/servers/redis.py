"""The embedded Redis: its configuration file and command line."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from detektor_pipelines.errors import UserError
from detektor_pipelines.stack import binaries, ports

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def write_configuration(
    directory: Path, port: int, password: str | None, *, durable: bool = True, users: Sequence[tuple[str, str]] = ()
) -> Path:
    """Write `redis.conf` (mode 0600, it holds the password) and return its path; `users` are names with the rules of their ACL."""
    options = {
        "bind": ports.LOOPBACK,
        "port": str(port),
        "dir": f'"{directory}"',
        "daemonize": "no",
        "databases": "16",
        # The online store can always be rebuilt from PostgreSQL: a snapshot now and then (and at the end) only saves that work.
        "save": "300 1" if durable else '""',
        "appendonly": "no",
        "stop-writes-on-bgsave-error": "no",  # a full disk must not stop serving
        "maxmemory-policy": "noeviction",  # a feature that silently disappears is worse than an error
    }
    if password:
        options["requirepass"] = f'"{password}"'
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = directory / "redis.conf"
    file.touch(mode=0o600)
    lines = [f"{name} {value}" for name, value in options.items()] + [f"user {name} {rules}" for name, rules in users]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def command(configuration: Path) -> list[str]:
    """Return the command line of the server in the foreground; SIGTERM saves and ends it."""
    return [binaries.redis_server(), str(configuration)]


def set_users(port: int, password: str | None, users: Sequence[tuple[str, str]]) -> None:
    """Give users of a running server these rules, and no others.

    Raises:
        UserError: It does not answer, or refuses.

    """
    commands = [f"AUTH {password}"] if password else []
    commands += [f"ACL SETUSER {name} reset {rules}" for name, rules in users]
    try:
        with socket.create_connection((ports.LOOPBACK, port), timeout=10) as connection:
            connection.sendall("".join(f"{command}\r\n" for command in commands).encode())
            answers = connection.makefile("rb")
            refusals = [line for line in (answers.readline() for _ in commands) if line != b"+OK\r\n"]
    except OSError as error:
        refusals = [str(error).encode()]
    if refusals:
        raise UserError(
            f"Redis does not take its users: {refusals[0].decode(errors='replace').strip() or 'no answer'}",
            where=f"{ports.LOOPBACK}:{port}",
            fix="detektor down, then detektor up",
        )


def is_ready(port: int, password: str | None, host: str = ports.LOOPBACK, user: str | None = None) -> bool:
    """Tell whether the server answers PING (`LOADING` while it reads its snapshot means no)."""
    # Two lines of protocol: importing a client takes 0.4 s.
    request = f"AUTH {user or 'default'} {password}\r\nPING\r\n" if password else "PING\r\n"
    try:
        with socket.create_connection((host, port), timeout=2) as connection:
            connection.settimeout(2)
            connection.sendall(request.encode())
            answer = b""
            while not answer.endswith(b"+PONG\r\n"):
                received = connection.recv(256)
                if not received or b"-" in received[:1]:
                    return False
                answer += received
    except OSError:
        return False
    return True
