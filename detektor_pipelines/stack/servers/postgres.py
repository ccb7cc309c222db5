"""The embedded PostgreSQL cluster: its files, its command line, its database and schemas."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from detektor_pipelines import refusals, sessions
from detektor_pipelines.errors import UserError
from detektor_pipelines.stack import binaries, ports
from detektor_pipelines.stack.servers.privileges import unprivileged

# One schema per tool: Dagster and MLflow each keep a table `alembic_version`.
SCHEMAS = ("ml_learning", "feast", "dagster", "mlflow")

# For 2 cores and 24 GB shared with Python. The cluster is ours alone, so it is tuned for loading in bulk and reading whole months.
SERVER_OPTIONS = {
    "listen_addresses": ports.LOOPBACK,
    "unix_socket_directories": "",  # a socket's path is limited to 107 characters, DETEKTOR_HOME is not
    "max_connections": "200",  # Dagster opens a connection per call, Feast and MLflow have pools
    "effective_cache_size": "4GB",
    "work_mem": "64MB",  # hash joins and window sorts of one view stay in memory
    "maintenance_work_mem": "256MB",
    "max_wal_size": "8GB",  # a backfill must not wait for checkpoints
    "min_wal_size": "512MB",
    "checkpoint_timeout": "15min",
    "wal_level": "replica",  # so that pg_basebackup works on a running server
    "random_page_cost": "1.1",  # solid-state disks
    "jit": "off",  # compiling costs more than the queries here save
    "scram_iterations": "1",  # the password never leaves loopback; saves 2.5 ms a connection
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_duration_statement": "2s",
    "log_checkpoints": "off",
}

_MEGABYTE = 1024**2
_LEAST_BUFFERS, _MOST_BUFFERS = 512, 4096

# Whatever a configuration of somebody's says: what people pasted into their sessions stands in parameters and in failing rows.
LOGS_NO_VALUES = {"log_parameter_max_length": "0", "log_parameter_max_length_on_error": "0", "log_error_verbosity": "terse"}

# What a test gives up: nothing outlives it, so nothing needs to reach the disk.
THROW_AWAY_OPTIONS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "autovacuum_naptime": "1h",  # no background work in the middle of a measurement
}


@dataclass(frozen=True)
class Login:
    """Who connects to which server."""

    user: str
    password: str
    port: int
    host: str = ports.LOOPBACK

    def dsn(self, database: str) -> str:
        """Return the libpq URL of `database`."""
        return (
            f"postgresql://{quote(self.user, safe='')}:{quote(self.password, safe='')}@{self.host}:{self.port}/{quote(database, safe='')}"
        )


def initialise(data: Path, login: Login, *, durable: bool = True) -> None:
    """Make a cluster in `data` unless there is one; a half-made one of an interrupted start is made again.

    Raises:
        UserError: initdb failed; its own words are in the message.

    """
    if (data / "PG_VERSION").is_file() and (data / "detektor.conf").is_file():
        return
    _remove_half_made(data)
    data.mkdir(mode=0o700, parents=True)
    password_file = data.with_name(f"{data.name}.password")
    try:
        password_file.touch(mode=0o600)
        password_file.write_text(login.password + "\n", encoding="utf-8")
        _initdb(data, login.user, password_file, durable=durable)
    finally:
        password_file.unlink(missing_ok=True)
    _configure(data)


def memory(limit: Path = Path("/sys/fs/cgroup/memory.max")) -> int:
    """Return the bytes of memory that there are: the machine's, or a container's limit, which stands in a file."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(machine, int(limit.read_text(encoding="ascii")))
    except (OSError, ValueError):  # no control groups, or `max`
        return machine


def shared_buffers(available: int) -> str:
    """Return the size of PostgreSQL's own cache where there are so many bytes: an eighth of them, 512 MB at least and 4 GB at most.

    New identities go anywhere in the index of `ml_learning.event_ids`, 53 MB a million events. Once that no longer fits, each chunk of
    events reads most of it and writes it again. It is half of what PostgreSQL's manual says for a machine of its own: Python works beside.
    """
    return f"{min(max(available // 8 // _MEGABYTE, _LEAST_BUFFERS), _MOST_BUFFERS)}MB"


def command(data: Path, port: int, *, durable: bool = True) -> list[str]:
    """Return the command line of the server in the foreground; SIGINT ends it fast and cleanly."""
    options = LOGS_NO_VALUES | ({} if durable else THROW_AWAY_OPTIONS)
    switches = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    return [*unprivileged(data), binaries.postgres("postgres"), "-D", str(data), "-p", str(port), *switches]


def is_ready(login: Login) -> bool:
    """Tell whether the server answers and accepts connections."""
    words = [binaries.postgres("pg_isready"), "-h", login.host, "-p", str(login.port), "-t", "2", "-q"]
    environment = {
        name: value for name, value in os.environ.items() if name != "PGSERVICE"
    }  # all is said; an undefined one would be no answer
    return subprocess.run(words, check=False, env=environment).returncode == 0


def run_sql(dsn: str, sql: str, *, connect_seconds: int = 10, **variables: str) -> str:
    """Run SQL with psql (10 ms; importing a driver takes 300) and return its unaligned output; `:'name'` is replaced by a variable.

    A server that does not take the connection within `connect_seconds` counts as down.

    Raises:
        UserError: The server is down, refuses the login or the statement.

    """
    words = [binaries.postgres("psql"), "--no-psqlrc", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-f", "-"]
    words += [f"--set={name}={value}" for name, value in variables.items()]
    environment = os.environ | {"PGCONNECT_TIMEOUT": str(connect_seconds)}
    # The URL holds the password: in the environment only its owner can read it, on the command line everybody.
    done = subprocess.run(
        [*words, "-d", without_password(sessions.fixed(dsn), environment)],
        input=sql,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise _refused(dsn, done.stderr)
    return done.stdout


def _refused(dsn: str, said: str) -> UserError:
    where = sessions.without(without_password(dsn, {}))
    told = refusals.of_text(said)
    if told is None or "psql: error" not in said:  # of a statement
        fix = "`detektor doctor` says whether the server answers and whether the login is right."
        return UserError(f"PostgreSQL refused: {_last_line(said)}", where=where, fix=fix)
    parts = urlsplit(dsn)
    fix = told.fix.format(user=unquote(parts.username or ""), database=unquote(parts.path.lstrip("/")))
    return UserError(told.what, where=f"{where}: {_last_line(said)}", fix=fix)


def without_password(dsn: str, environment: dict[str, str]) -> str:
    """Return the URL without its password, which goes into `environment` as PGPASSWORD: everybody can read command lines."""
    parts = urlsplit(dsn)
    if parts.password is None:
        return dsn
    environment["PGPASSWORD"] = unquote(parts.password)
    credentials, _, address = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{credentials.partition(':')[0]}@{address}"))


def create_database(login_dsn: str, database: str) -> None:
    """Create `database` unless it exists, by a connection to another database of the cluster."""
    create = "SELECT format('CREATE DATABASE %I', :'name') WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'name')\n\\gexec\n"
    run_sql(login_dsn, create, name=database)


def create_schemas(dsn: str) -> None:
    """Create the four schemas unless they exist."""
    run_sql(dsn, "".join(f"CREATE SCHEMA IF NOT EXISTS {schema};\n" for schema in SCHEMAS))


def _initdb(data: Path, user: str, password_file: Path, *, durable: bool) -> None:
    prefix = unprivileged(data)
    if prefix[:1] == ("runuser",):  # another OS user reads the password file
        info = data.stat()
        os.chown(password_file, info.st_uid, info.st_gid)
    words = [
        *prefix,
        binaries.postgres("initdb"),
        *("-D", str(data), "-U", user, "--auth=scram-sha-256", f"--pwfile={password_file}", "--no-instructions"),
        # PostgreSQL's own C.UTF-8: the same order on every machine, whatever locales its libc has
        *("--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
        *(() if durable else ("--no-sync",)),
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise UserError(
            f"PostgreSQL's cluster could not be made: {_last_line(done.stderr)}",
            where=str(data),
            fix="`detektor doctor` checks the disk, the OS user and user namespaces.",
        )


def _configure(data: Path) -> None:
    lines = ["# Written by Detektor when the cluster was made; put your own settings into postgresql.conf below the include."]
    options = SERVER_OPTIONS | {"shared_buffers": shared_buffers(memory())}
    lines += [f"{name} = '{value}'" for name, value in options.items()]
    with (data / "postgresql.conf").open("a", encoding="utf-8") as file:
        file.write("\ninclude 'detektor.conf'\n")
    # Written last: its presence says that the cluster is whole.
    own = data / "detektor.conf"
    own.write_text("\n".join(lines) + "\n", encoding="utf-8")
    if os.geteuid() == 0:
        info = data.stat()
        os.chown(own, info.st_uid, info.st_gid)


def _remove_half_made(data: Path) -> None:
    if not data.exists():
        return
    if (data / "postmaster.pid").exists() or (data / "base" / "5").exists():
        raise UserError(
            "There is a PostgreSQL cluster that Detektor did not make.",
            where=str(data),
            fix="Move it away, or set DETEKTOR_HOME to another directory.",
        )
    shutil.rmtree(data)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no message"
