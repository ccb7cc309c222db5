"""PostgreSQL servers as other people run them: other settings, poolers that drop what a session asks for, servers that refuse."""

from __future__ import annotations

import shutil
import signal
import socket
import struct
import subprocess
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from detektor_pipelines.stack import ports
from detektor_pipelines.stack.servers import embedded, postgres, privileges
from detektor_pipelines.stack.servers import redis as redis_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

BINARIES: Final = max(Path("/usr/lib/postgresql").glob("*/bin/initdb"), default=Path("none/initdb")).parent
PGBOUNCER: Final = shutil.which("pgbouncer") or ""
REDIS: Final = shutil.which("redis-server") or shutil.which("valkey-server") or ""
"""What the system's packages bring; empty where they are not installed."""

OTHER_SETTINGS: Final = {
    "TimeZone": "America/New_York",
    "DateStyle": "German, DMY",
    "IntervalStyle": "sql_standard",
    "bytea_output": "escape",
    "extra_float_digits": "-8",
    "client_encoding": "LATIN1",
    "standard_conforming_strings": "off",
    "transform_null_equals": "on",
    "search_path": "mlflow",
    "default_transaction_isolation": "serializable",
    "default_transaction_read_only": "on",
    "default_transaction_deferrable": "on",
    "statement_timeout": "1ms",
    "lock_timeout": "1ms",
    "idle_in_transaction_session_timeout": "1ms",
    "idle_session_timeout": "1ms",
    "client_min_messages": "debug5",
}
"""Each differs from what we rely on."""

_SSL_REQUEST: Final = 80877103
_GSS_REQUEST: Final = 80877104


def database_of_a_plain_role(server: embedded.PostgresServer, name: str, settings: dict[str, str]) -> str:
    """Make a database and a role that owns it and is no superuser, both with these settings; returns its URL."""
    server.sql(f"CREATE ROLE {name} LOGIN PASSWORD 'throw-away'; CREATE DATABASE {name} OWNER {name} TEMPLATE template0;")
    for kind in ("ROLE", "DATABASE"):
        server.sql("".join(f"ALTER {kind} {name} SET {key} = {_listed(value)};\n" for key, value in settings.items()))
    return f"postgresql://{name}:throw-away@{server.login.host}:{server.login.port}/{name}"


def drop_database(server: embedded.PostgresServer, name: str) -> None:
    """Drop what `database_of_a_plain_role` made."""
    server.sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE);\n")
    server.sql(f"DROP ROLE IF EXISTS {name};\n")


@contextmanager
def saying(text: str) -> Iterator[int]:
    """Run a server that refuses every connection with a message of FATAL severity, in whichever language; yields its port."""

    def refuse(client: socket.socket) -> None:
        _startup(client)
        severity, _, words = text.partition(":  ")
        fields = f"S{severity}\0VFATAL\0C57000\0M{words}\0\0".encode()
        client.sendall(b"E" + struct.pack(">I", len(fields) + 4) + fields)

    with _listening(refuse) as port:
        yield port


@contextmanager
def dropping_options(server: embedded.PostgresServer) -> Iterator[int]:
    """Run a proxy that passes everything on but `options`, as PgBouncer does that is told to ignore them; yields its port."""

    def pass_on(client: socket.socket) -> None:
        words = _startup(client)
        pairs = list(zip(words[::2], words[1::2], strict=False))
        kept = b"".join(name + b"\0" + value + b"\0" for name, value in pairs if name not in {b"", b"options"}) + b"\0"
        with socket.create_connection((server.login.host, server.login.port)) as upstream:
            upstream.sendall(struct.pack(">II", len(kept) + 8, 196608) + kept)
            back = threading.Thread(target=_copy, args=(upstream, client), daemon=True)
            back.start()
            _copy(client, upstream)
            back.join(5)

    with _listening(pass_on) as port:
        yield port


@contextmanager
def of_debian(directory: Path, *lines: str, initdb: Sequence[str] = ()) -> Iterator[embedded.PostgresServer]:
    """Run the newest PostgreSQL that is installed as a package in `directory`, with further lines of its configuration."""
    login = postgres.Login("detektor", embedded.PASSWORD, ports.free_port())
    data, password = directory / "data", directory / "password"
    data.mkdir(parents=True, mode=0o700)
    password.write_text(login.password)
    begin = [*privileges.unprivileged(data), f"{BINARIES}/initdb", "-D", str(data), "-U", login.user, "-A", "scram-sha-256"]
    done = subprocess.run([*begin, f"--pwfile={password}", "-E", "UTF8", *initdb], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with (data / "postgresql.conf").open("a", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in ("listen_addresses = '127.0.0.1'", "unix_socket_directories = ''", "fsync = off", *lines))
    words = [*privileges.unprivileged(data), f"{BINARIES}/postgres", "-D", str(data), "-p", str(login.port)]
    with embedded.running(words, directory, signal.SIGINT, lambda: postgres.is_ready(login)) as pid:
        yield embedded.PostgresServer(login, pid)


@contextmanager
def redis_of_packages(directory: Path, *lines: str) -> Iterator[embedded.RedisServer]:
    """Run the Redis, or Valkey, that is installed as a package, with further lines of its configuration."""
    port = ports.free_port()
    configuration = redis_server.write_configuration(directory, port, embedded.PASSWORD, durable=False)
    with configuration.open("a", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)
    words = [REDIS, str(configuration)]
    with embedded.running(words, directory, signal.SIGTERM, lambda: redis_server.is_ready(port, embedded.PASSWORD)) as pid:
        yield embedded.RedisServer(port, embedded.PASSWORD, pid)


@contextmanager
def pgbouncer(directory: Path, server: embedded.PostgresServer, *lines: str) -> Iterator[int]:
    """Run PgBouncer before a server, with further lines of its configuration; yields its port."""
    port = ports.free_port()
    directory.mkdir(parents=True, exist_ok=True)
    users = directory / "users.txt"
    users.write_text(f'"{server.login.user}" "{server.login.password}"\n"pooled" "throw-away"\n')
    configuration = directory / "pgbouncer.ini"
    address = f"host={server.login.host} port={server.login.port}"
    written = ("[databases]", f"* = {address}", "[pgbouncer]", "listen_addr = 127.0.0.1", f"listen_port = {port}", "unix_socket_dir =")
    configuration.write_text("\n".join((*written, "auth_type = scram-sha-256", f"auth_file = {users}", *lines)) + "\n")
    words = [*privileges.unprivileged(directory), PGBOUNCER, str(configuration)]
    with embedded.running(words, directory, signal.SIGTERM, lambda: ports.answers(port)):
        yield port


def _listed(value: str) -> str:
    return ", ".join(f"'{each.strip()}'" for each in value.split(","))


def _startup(client: socket.socket) -> list[bytes]:
    """Read the words of a start-up packet; encryption is not spoken here."""
    while True:
        (length, code) = struct.unpack(">II", _exactly(client, 8))
        rest = _exactly(client, length - 8)
        if code not in {_SSL_REQUEST, _GSS_REQUEST}:
            return rest.split(b"\0")
        client.sendall(b"N")


def _exactly(client: socket.socket, number: int) -> bytes:
    found = b""
    while len(found) < number:
        more = client.recv(number - len(found))
        if not more:
            raise ConnectionError
        found += more
    return found


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextmanager
def _listening(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def one(client: socket.socket) -> None:
            with client, suppress(OSError):
                answer(client)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes `accept`
