"""Where the platform's servers and files are: one object, read from the environment.

Priority: an environment variable (`DETEKTOR_…`), then what `detektor up` remembered in `home/stack.json`, then the secrets in
`home/secrets.env`, then the defaults below. Nothing else in the project reads addresses, ports or passwords.

Importing pydantic-settings takes 0.3 s: a module that `detektor --help` loads imports this one inside functions only.
"""

from __future__ import annotations

import json
import os
from configparser import ConfigParser
from configparser import Error as ConfigError
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, InitSettingsSource, SettingsConfigDict

from detektor_pipelines import clock, installation, sessions
from detektor_pipelines.errors import UserError
from detektor_pipelines.files import HOME_VARIABLE, default_home

if TYPE_CHECKING:
    from pydantic_settings import PydanticBaseSettingsSource

ENV_PREFIX = "DETEKTOR_"
STATE_FILE = "stack.json"
SECRETS_FILE = "secrets.env"
LOGINS_DIRECTORY = "logins"
LOGIN_PREFIX = "detektor_login_"
OWNER_PREFIX = "detektor_owns_"
OWNED_SCHEMAS: dict[str, tuple[str, ...]] = {
    "feast": ("registry",),
    "dagster": ("dagster", "dagster-daemon", "dagster-code"),
    "mlflow": ("mlflow",),
}
"""By schema in which a tool makes its tables: the logins that work there as the schema's owner, `detektor_owns_<schema>`."""

SECRETS_IN_FILES = ("postgres_password", "redis_password", "alert_webhook")
"""What may also be given as a file's path, in a variable that ends in _FILE: an environment is shown by `docker inspect`, a file is not."""

_REDIS_KINDS: dict[str, Literal["server", "sentinel", "cluster"]] = {
    "redis": "server",
    "rediss": "server",
    "redis+sentinel": "sentinel",
    "rediss+sentinel": "sentinel",
    "redis+cluster": "cluster",
    "rediss+cluster": "cluster",
}


_LIBPQ: dict[str, tuple[str, str]] = {
    "host": ("PGHOST", "127.0.0.1"),
    "port": ("PGPORT", "5432"),
    "user": ("PGUSER", "detektor"),
    "dbname": ("PGDATABASE", "detektor"),
}
"""What the URL of a server of one's own may leave out: libpq's variable for it, and what it is without."""

_OVERRULED = {"PGOPTIONS", "PGTZ", "PGDATESTYLE", "PGCLIENTENCODING"}


class Settings(BaseSettings):
    """Addresses, ports, credentials and directories of one installation.

    A given `external_postgres_url` or `external_redis_url` fills the fields of that server, so that readers of `postgres_host` and the
    like need not ask whose server it is.
    """

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, env_ignore_empty=True, extra="ignore", frozen=True)

    home: Path = Field(default_factory=default_home)
    project: str = "detektor"
    start_date: date | None = None
    now: str | None = None
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    source_url: str | None = None  # where a browser shows this repository's files: https://<host>/<owner>/<name>/blob/main

    postgres_host: str = "127.0.0.1"
    postgres_port: int = Field(default=15432, ge=1, le=65535)
    postgres_user: str = "detektor"
    postgres_password: SecretStr | None = None
    postgres_password_file: Path | None = None
    postgres_database: str = "detektor"

    redis_host: str = "127.0.0.1"
    redis_port: int = Field(default=16379, ge=1, le=65535)
    redis_user: str | None = None  # of Redis' ACL; without one, its default user
    redis_password: SecretStr | None = None
    redis_password_file: Path | None = None
    redis_db: int = Field(default=0, ge=0)

    mlflow_tracking_uri: str | None = Field(default=None, repr=False)
    mlflow_port: int = Field(default=15000, ge=1, le=65535)
    serve_port: int = Field(default=6566, ge=1, le=65535)
    serve_body_limit: int = Field(default=1_048_576, ge=1_024)  # bytes of a request
    serve_entities_limit: int = Field(default=10_000, ge=1)  # agents of a request
    serve_redis_timeout_ms: int = Field(default=150, ge=1)  # how long a read waits for Redis
    serve_redis_late_ms: float = Field(default=12, ge=0)  # from when on a read is answered from recently kept values instead; 0: never
    serve_fallback_seconds: float = Field(default=60, ge=0.1)  # how often the last known values are kept for when Redis is away
    serve_stale_seconds: float | None = Field(
        default=None, gt=0
    )  # from when on /health says STALE; by default 5 where a stream worker has been, else 3 hours
    serve_log_sample: float = Field(default=0.01, ge=0, le=1)  # share of good and quick answers with a line in the log; others always have
    serve_log_slow_ms: float = Field(default=50, ge=0)  # from when on an answer is slow, and has a line
    serve_read_sample: float = Field(default=0.01, ge=0, le=1)  # share of the values read that is kept for `detektor parity`
    serve_host: str = "127.0.0.1"  # the feature server's address; beyond loopback only with access control
    serve_request_seconds: float = Field(default=20, gt=0)  # in which a request arrives whole, or an answer is taken further
    serve_tls_cert: Path | None = None  # PEM; with the key, both servers speak TLS
    serve_tls_key: Path | None = None
    serve_tokens_file: Path | None = None  # bearer tokens, a line each: name sha256:<hex>; `detektor token` adds one
    serve_oidc_discovery_url: str | None = None  # https://<provider>/.well-known/openid-configuration
    serve_oidc_audience: str | None = None  # what a token's `aud` must hold
    serve_oidc_issuer: str | None = None  # a token's `iss`; by default what the discovery document says
    serve_oidc_client_id: str | None = None  # under which Keycloak puts a token's roles
    serve_oidc_roles: str | None = None  # role,group,…: a token must hold one of them; by default any valid token does
    serve_oidc_ca: Path | None = None  # PEM of the authority that the provider's certificate is of
    server_names: str | None = (
        None  # name,name,…: what our servers are called beside loopback and addresses; else a Host of that name is refused
    )
    registry_host: str = "127.0.0.1"
    registry_port: int = Field(default=6567, ge=1, le=65535)
    registry_grpc_port: int | None = Field(default=None, ge=1, le=65535)
    collector_host: str = "127.0.0.1"  # the event endpoint's address; beyond loopback only with tokens
    collector_port: int = Field(default=4318, ge=1, le=65535)
    collector_tokens_file: Path | None = None  # as serve_tokens_file, for who may write events; used beyond loopback
    dagster_port: int = Field(default=3000, ge=1, le=65535)
    dagster_code_port: int = Field(default=3001, ge=1, le=65535)
    exporter_port: int = Field(default=9466, ge=1, le=65535)
    exporter_host: str = "127.0.0.1"
    exporter_seconds: float = Field(default=15, gt=0)  # how often the exporter asks what changes quickly; the rest less often
    prometheus_port: int = Field(default=9090, ge=1, le=65535)
    alertmanager_port: int = Field(default=9093, ge=1, le=65535)
    stream_metrics_port: int = Field(default=9465, ge=0, le=65535)
    stream_metrics_host: str = "127.0.0.1"
    engine: Literal["duckdb", "spark"] = "duckdb"  # what computes rows; the same rows
    spark_python: Path | None = None  # the interpreter of the environment that has pyspark; by default the one of `make spark`
    spark_master: str = "local[*]"  # where Spark runs, unless spark-submit says so
    spark_jdbc_jar: Path | None = None  # PostgreSQL's JDBC driver: executors read the log by it themselves
    spark_directory: Path | None = None  # without it, where events are handed over in: a directory that all executors see too
    dagster_memory_mb: int = Field(default=1024, ge=256)
    postgres_wait_seconds: int = Field(default=0, ge=0)  # how long Dagster waits for PostgreSQL before it opens its storage

    openlineage_url: str | None = Field(
        default=None, repr=False
    )  # where lineage events are sent to (Marquez, DataHub, …); none are by default
    dagster_public_url: str | None = None  # where people reach Dagster's pages, for links in alerts; by default this machine's port
    alert_webhook: SecretStr | None = Field(default=None, repr=False)
    alert_webhook_file: Path | None = None

    backup_url: str | None = Field(default=None, repr=False)  # where backups are kept: a directory or any URL of fsspec
    backup_recipients: str | None = None  # age1…,age1… or a file of them: to whom backups are encrypted
    backup_identity_file: Path | None = None  # private keys of age, a line each; only for who opens a backup
    backup_identity: SecretStr | None = Field(default=None, repr=False)

    external_postgres_url: str | None = Field(default=None, repr=False)
    external_redis_url: str | None = Field(default=None, repr=False)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put what `detektor up` remembered between the environment and the defaults."""
        del dotenv_settings, file_secret_settings  # ours are `secrets.env` and `stack.json`, both in the home directory
        home = _home_of(init_settings())
        return (
            init_settings,
            env_settings,
            InitSettingsSource(settings_cls, init_kwargs=_secrets_in_files()),
            InitSettingsSource(settings_cls, init_kwargs=_remembered(home / STATE_FILE)),
            InitSettingsSource(settings_cls, init_kwargs=_secrets(home / SECRETS_FILE)),
        )

    @field_validator("home")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        return home.expanduser().absolute()

    @field_validator("openlineage_url")
    @classmethod
    def _web_address(cls, url: str | None) -> str | None:
        if url is not None and not (urlsplit(url).scheme in {"http", "https"} and urlsplit(url).hostname):
            message = "it is no http://host:port"
            raise ValueError(message)
        return url

    @model_validator(mode="before")
    @classmethod
    def _from_external_urls(cls, values: dict[str, Any]) -> dict[str, Any]:
        return values | _postgres_fields(values.get("external_postgres_url")) | _redis_fields(values.get("external_redis_url"))

    @property
    def postgres_dsn(self) -> str:
        """The libpq URL (`postgresql://…`), for psycopg and ADBC; it holds the password, and what every session of ours sets."""
        given = _query_of(self.external_postgres_url) if self.external_postgres_url else _against_libpq(self.postgres_host)
        query = urlencode(given, quote_via=quote)
        return sessions.fixed(f"postgresql://{self._postgres_authority}" + (f"?{query}" if query else ""))

    def sqlalchemy_url(self, schema: str, driver: str = "psycopg2") -> str:
        """Return SQLAlchemy's URL whose search path is `schema`; `driver` is psycopg2 (Dagster, MLflow) or psycopg (Feast)."""
        given = {"search_path": schema}
        if self.postgres_user in map(login_name, OWNED_SCHEMAS.get(schema, ())):
            given["role"] = OWNER_PREFIX + schema  # several programs share the tables, whichever of them makes them
        return sessions.changed(self.postgres_dsn, given).replace("postgresql://", f"postgresql+{driver}://", 1)

    @property
    def redis_url(self) -> str:
        """The `redis://…` URL, or one of the kinds that `RedisAddress` describes; it holds the password."""
        if self.external_redis_url:
            return _with_password(self.external_redis_url, self.redis_password)
        credentials = _credentials(self.redis_user or "", self.redis_password)
        return f"redis://{credentials}{_host(self.redis_host)}:{self.redis_port}/{self.redis_db}"

    @property
    def redis_address(self) -> RedisAddress:
        """The parts of `redis_url`."""
        return redis_address(self.redis_url)

    @property
    def redis_connection_string(self) -> str:
        """The same server as Feast writes it: `host:port[,host:port…][,db=0][,password=…][,ssl=true]`."""
        address = self.redis_address
        parts = [f"{host}:{port}" for host, port in address.nodes]
        if address.kind != "cluster":
            parts.append(f"db={self.redis_db}")
        if self.redis_user:
            parts.append(f"username={self.redis_user}")
        if self.redis_password:
            parts.append(f"password={self.redis_password.get_secret_value()}")
        if address.tls:
            parts.append("ssl=true")
        return ",".join(parts)

    @property
    def mlflow_uri(self) -> str:
        """MLflow's tracking address: the one given, else the embedded server's."""
        return self.mlflow_tracking_uri or f"http://127.0.0.1:{self.mlflow_port}"

    @property
    def serve_url(self) -> str:
        """The feature server's address for programs on this machine."""
        return f"{self._scheme}://{_reached(self.serve_host)}:{self.serve_port}"

    @property
    def registry_url(self) -> str:
        """The registry server's address over HTTP, for programs on this machine."""
        return f"{self._scheme}://{_reached(self.registry_host)}:{self.registry_port}"

    @property
    def exporter_url(self) -> str:
        """The exporter's address for programs on this machine."""
        return f"http://{_reached(self.exporter_host)}:{self.exporter_port}"

    @property
    def registry_grpc(self) -> int:
        """The port of the registry over gRPC: 6570 beside 6567, and three further than any other one that is chosen for HTTP."""
        return self.registry_grpc_port or self.registry_port + 3

    @property
    def dagster_url(self) -> str:
        """The address of Dagster's pages."""
        return self.dagster_public_url or f"http://127.0.0.1:{self.dagster_port}"

    @property
    def dagster_home(self) -> Path:
        """Dagster's instance directory: `dagster_home`, whose dagster.yaml keeps all state in PostgreSQL."""
        return installation.beside("dagster_home")

    @property
    def state_file(self) -> Path:
        """Where `detektor up` remembers the ports and servers that it chose (mode 0600)."""
        return self.home / STATE_FILE

    @property
    def secrets_file(self) -> Path:
        """Where generated passwords are kept (mode 0600)."""
        return self.home / SECRETS_FILE

    def login_file(self, login: str, server: Literal["postgres", "redis"]) -> Path:
        """Return where the password is that `detektor up` made for a login on one of its own servers (mode 0600)."""
        return self.home / LOGINS_DIRECTORY / f"{login}.{server}"

    def as_login(self, login: str) -> Settings:
        """Return settings that log in as a program or a role does; a server where it has no login of its own is reached as before."""
        found: dict[str, Any] = {}
        if not self.external_postgres_url and (password := _line_of(self.login_file(login, "postgres"))):
            found |= {"postgres_user": login_name(login), "postgres_password": SecretStr(password)}
        if not self.external_redis_url and (password := _line_of(self.login_file(login, "redis"))):
            found |= {"redis_user": login_name(login), "redis_password": SecretStr(password)}
        return self.model_copy(update=found)

    @property
    def _scheme(self) -> str:
        return "https" if self.serve_tls_cert else "http"

    @property
    def _postgres_authority(self) -> str:
        credentials = _credentials(self.postgres_user, self.postgres_password)
        return f"{credentials}{_host(self.postgres_host)}:{self.postgres_port}/{quote(self.postgres_database, safe='')}"


@dataclass(frozen=True)
class RedisAddress:
    """The parts of a Redis URL; with an `s` behind the first `redis`, everything goes over TLS.

        redis://[[user]:password@]host[:6379][/db]                            one server
        redis+sentinel://[[user]:password@]host[:26379],host…/service[/db]    whichever server the Sentinels call the service's primary
        redis+cluster://[[user]:password@]host[:6379],host…                   a cluster; any of its nodes, the others are found

    Behind `?` stand options of redis-py's connections: `ssl_ca_certs=/path/ca.pem`, `ssl_certfile`, `ssl_keyfile`, `socket_timeout`, …;
    for Sentinels that want a password of their own, `sentinel_username` and `sentinel_password`.
    """

    kind: Literal["server", "sentinel", "cluster"]
    tls: bool
    nodes: tuple[tuple[str, int], ...]
    service: str
    """What the Sentinels watch; empty for the other kinds."""
    single_url: str
    """The URL of a single server with the same first node, database, credentials and options."""


def login_name(login: str) -> str:
    """Return what PostgreSQL and Redis call the login of a program or a role."""
    return LOGIN_PREFIX + login.replace("-", "_")


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """Return this process's settings, read once; `get_settings.cache_clear()` makes the next call read again.

    Raises:
        UserError: A `DETEKTOR_…` variable holds a value that cannot be meant.

    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0]) if first["loc"] else ""
        raise UserError(
            f"{ENV_PREFIX}{field.upper()} is not usable: {first['msg']} (it is {first['input']!r})."
            if field
            else f"The settings are not usable: {first['msg']}.",
            where=f"environment variable {ENV_PREFIX}{field.upper()}, or {_home_of({}) / STATE_FILE}",
            fix="Correct or unset it.",
        ) from None


def origins(settings: Settings) -> dict[str, dict[str, str]]:
    """Return each setting's value as text (secrets hidden) and where it comes from, by its environment variable."""
    sources = (
        (
            "environment",
            {name.removeprefix(ENV_PREFIX).lower(): value for name, value in os.environ.items() if name.startswith(ENV_PREFIX) and value},
        ),
        (STATE_FILE, _remembered(settings.state_file)),
        (SECRETS_FILE, _secrets(settings.secrets_file)),
    )
    by_url = _origins_by_url(settings)
    found: dict[str, dict[str, str]] = {}
    for name, field in Settings.model_fields.items():
        value = getattr(settings, name)
        origin = by_url.get(name) or next((title for title, given in sources if name in given), "default")
        if name in SECRETS_IN_FILES and origin != by_url.get(name) and os.environ.get(f"{ENV_PREFIX}{name.upper()}_FILE"):
            origin = f"{ENV_PREFIX}{name.upper()}_FILE"
        if name == "now" and value is not None and value == clock.kept(settings.home):  # which every command goes by (`clock.follow`)
            origin = clock.FILE
        shown = "" if value is None else "(hidden)" if not field.repr else str(value)
        found[f"{ENV_PREFIX}{name.upper()}"] = {"value": shown, "from": origin}
    return found | _of_libpqs_variables(settings)


def _origins_by_url(settings: Settings) -> dict[str, str]:
    """Return for the fields that the URL of a server of one's own fills where each value stands."""
    found: dict[str, str] = {}
    if url := settings.external_postgres_url:
        parts, query, title = urlsplit(url), _query_of(url), f"{ENV_PREFIX}EXTERNAL_POSTGRES_URL"
        service = _service(name) if (name := query.get("service") or os.environ.get("PGSERVICE")) else {}
        of_url = {"host": parts.hostname, "port": parts.port, "user": parts.username, "dbname": parts.path.lstrip("/")}
        for name, (variable, usual) in _LIBPQ.items():
            field = "postgres_database" if name == "dbname" else f"postgres_{name}"
            if of_url[name] or query.get(name):
                found[field] = title
            elif name in service:
                found[field] = "service of libpq"
            else:
                found[field] = f"environment ({variable})" if os.environ.get(variable) else f"default ({usual})"
        if parts.password:
            found["postgres_password"] = title
        elif not os.environ.get(f"{ENV_PREFIX}POSTGRES_PASSWORD") and "password" in service:
            found |= {"postgres_password": "service of libpq"}
    if url := settings.external_redis_url:
        title = f"{ENV_PREFIX}EXTERNAL_REDIS_URL"
        found |= dict.fromkeys(("redis_host", "redis_port", "redis_db"), title)
        if urlsplit(redis_address(url).single_url).password:
            found["redis_password"] = title
    return found


def _of_libpqs_variables(settings: Settings) -> dict[str, dict[str, str]]:
    """Return libpq's own variables that are set, and whether they mean anything to us."""
    found: dict[str, dict[str, str]] = {}
    for variable in sorted(name for name, value in os.environ.items() if name.startswith("PG") and name[2:].isalpha() and value):
        if variable in _OVERRULED or variable in sessions.QUIETED:
            effect = "without effect: each session has what we rely on"
        elif settings.external_postgres_url is None and variable == "PGSERVICE":
            effect = "without effect: PostgreSQL is the platform's own; libpq wants it defined all the same"
        elif settings.external_postgres_url is None and variable not in {"PGCONNECT_TIMEOUT", "PGAPPNAME"}:
            effect = "without effect: PostgreSQL is the platform's own"
        else:
            effect = "as libpq takes it"
        value = "(hidden)" if variable == "PGPASSWORD" else sessions.QUIETED.get(variable, os.environ[variable])
        found[variable] = {"value": value, "from": f"environment, {effect}"}
    return found


def _home_of(given: dict[str, Any]) -> Path:
    home = given.get("home") or os.environ.get(HOME_VARIABLE)
    return Path(home).expanduser() if home else default_home()


def _remembered(file: Path) -> dict[str, Any]:
    """Read the `settings` part of `stack.json`; a file that is absent or torn remembers nothing."""
    try:
        remembered = json.loads(file.read_text(encoding="utf-8"))["settings"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return dict(remembered) if isinstance(remembered, dict) else {}


def _secrets(file: Path) -> dict[str, Any]:
    """Read `secrets.env`: lines `DETEKTOR_NAME=value`, values never quoted."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    pairs = (line.strip().partition("=") for line in lines)
    return {name.removeprefix(ENV_PREFIX).lower(): value for name, _, value in pairs if name.startswith(ENV_PREFIX)}


def _line_of(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8").rstrip("\n") or None
    except FileNotFoundError:
        return None


def _secrets_in_files() -> dict[str, str]:
    return {name: secret for name in SECRETS_IN_FILES if (secret := _secret_in_file(f"{ENV_PREFIX}{name.upper()}"))}


def _secret_in_file(variable: str) -> str | None:
    """Return what the file holds that the variable with _FILE behind it names, without the end of its last line; None where there is none.

    Raises:
        UserError: It cannot be read or is empty, or the variable itself is set too.

    """
    pointer = f"{variable}_FILE"
    path = os.environ.get(pointer)
    if not path:
        return None
    if os.environ.get(variable):
        raise UserError(f"{variable} and {pointer} are both set.", where=f"environment variable {pointer}", fix="Unset one of them.")
    try:
        secret = Path(path).expanduser().read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UserError(f"{pointer} names a file that cannot be read: {why}.", where=path, fix="Give the path of a file with it.") from None
    if not secret:
        raise UserError(f"{pointer} names an empty file.", where=path, fix=f"Write the secret into it, or unset {pointer}.")
    return secret


def _reached(host: str) -> str:
    """Return where programs of this machine reach a server that listens at `host`, as a URL has it."""
    return _host({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host))  # noqa: S104 - every address has these


def _postgres_fields(url: str | None) -> dict[str, Any]:
    """Take the URL of a server of one's own apart. What it leaves out is what libpq takes it for: see `_of_libpq`."""
    if not url:
        return {}
    parts = _split(url, ("postgresql", "postgres"), "DETEKTOR_EXTERNAL_POSTGRES_URL", "postgresql://user:password@host:5432/database")
    query = _query_of(url)
    given = {
        "host": parts.hostname or query.get("host"),
        "port": parts.port or query.get("port"),
        "user": unquote(parts.username or "") or query.get("user"),
        "dbname": unquote(parts.path.lstrip("/")) or query.get("dbname"),
    }
    left = _of_libpq(query.get("service")) if not all(given.values()) else {}
    found = {name: value or left.get(name) for name, value in given.items()}
    return {
        "postgres_host": found["host"] or _LIBPQ["host"][1],
        "postgres_port": found["port"] or _LIBPQ["port"][1],
        "postgres_user": found["user"] or _LIBPQ["user"][1],
        "postgres_password": _password_of(parts, "DETEKTOR_POSTGRES_PASSWORD") or left.get("password"),
        "postgres_database": found["dbname"] or _LIBPQ["dbname"][1],
    }


def _of_libpq(service: str | None) -> dict[str, str]:
    """Return what libpq's service and then its variables (PGHOST, PGPORT, PGUSER, PGDATABASE) say, by libpq's names.

    Raises:
        UserError: A service is named that is not defined.

    """
    found = {name: value for name, (variable, _) in _LIBPQ.items() if (value := os.environ.get(variable))}
    service = service or os.environ.get("PGSERVICE")
    return found | _service(service) if service else found


def _service(name: str) -> dict[str, str]:
    named = os.environ.get("PGSERVICEFILE")
    files = [Path(named) if named else Path("~/.pg_service.conf").expanduser()]
    files += [Path(directory) / "pg_service.conf" for directory in (os.environ.get("PGSYSCONFDIR"), "/etc/postgresql-common") if directory]
    for file in files:
        config = ConfigParser(interpolation=None, strict=False, delimiters=("=",))
        try:
            config.read(file, encoding="utf-8")
        except ConfigError:
            continue
        if config.has_section(name):
            return dict(config[name])
    raise UserError(
        f"The PostgreSQL service {name!r} is not defined.",
        where="variable PGSERVICE, or service= in DETEKTOR_EXTERNAL_POSTGRES_URL",
        fix=f"Define it in {files[0]}, or take it away.",
    )


def _against_libpq(host: str) -> dict[str, str]:
    """Return what keeps libpq's variables from a server of ours on this machine: they are meant for another one."""
    if host != "127.0.0.1":
        return {}
    meant = {"PGHOSTADDR": ("hostaddr", host), "PGSSLMODE": ("sslmode", "disable"), "PGGSSENCMODE": ("gssencmode", "disable")}
    meant |= {"PGCHANNELBINDING": ("channel_binding", "disable"), "PGTARGETSESSIONATTRS": ("target_session_attrs", "any")}
    return dict(pair for variable, pair in meant.items() if os.environ.get(variable))


def _redis_fields(url: str | None) -> dict[str, Any]:
    if not url:
        return {}
    address = redis_address(url)
    parts = urlsplit(address.single_url)
    return {
        "redis_host": address.nodes[0][0],
        "redis_port": address.nodes[0][1],
        "redis_password": _password_of(parts, "DETEKTOR_REDIS_PASSWORD"),
        "redis_db": parts.path.lstrip("/") or 0,
    }


def redis_address(url: str) -> RedisAddress:
    """Take a Redis URL apart.

    Raises:
        UserError: It is of none of the kinds.

    """
    scheme, _, rest = url.partition("://")
    if scheme not in _REDIS_KINDS or not rest:
        raise _not_redis("is not an address of this kind of server")
    kind, tls = _REDIS_KINDS[scheme], scheme.startswith("rediss")
    parts = urlsplit(f"redis://{rest}")
    credentials, at, hosts = parts.netloc.rpartition("@")
    nodes = tuple(_node(host, 26379 if kind == "sentinel" else 6379) for host in hosts.split(","))
    if kind == "server" and len(nodes) > 1:
        raise _not_redis("names several hosts of a single server")
    service, _, database = parts.path.strip("/").partition("/") if kind == "sentinel" else ("", "", parts.path.strip("/"))
    if kind == "sentinel" and not service:
        raise _not_redis("does not say which service the Sentinels watch")
    if kind == "cluster" and database not in {"", "0"}:
        raise _not_redis("names a database, and a cluster has only database 0")
    authority = f"{credentials}{at}{_host(nodes[0][0])}:{nodes[0][1]}"
    single = urlunsplit(("rediss" if tls else "redis", authority, f"/{database}" if database else "", parts.query, ""))
    return RedisAddress(kind, tls, nodes, unquote(service), single)


def _node(host: str, default_port: int) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{host}")
        port = parts.port
    except ValueError:  # a port that is not a number, or a bracket that is not closed
        raise _not_redis("names a host or port that cannot be meant") from None
    return parts.hostname or "127.0.0.1", port or default_port


def _not_redis(what: str) -> UserError:
    return UserError(
        f"DETEKTOR_EXTERNAL_REDIS_URL {what}.",
        where="environment variable DETEKTOR_EXTERNAL_REDIS_URL",
        fix="Write it as redis://:password@host:6379/0, redis+sentinel://host:26379,host:26379/service/0 or "
        "redis+cluster://host:6379,host:6379; with rediss for TLS.",
    )


def _split(url: str, schemes: tuple[str, ...], variable: str, example: str) -> SplitResult:
    parts: SplitResult | None = None
    try:
        parts = urlsplit(url)
        _ = parts.port  # parsed on access: raises for a port that is not a number
    except ValueError:
        parts = None
    if parts is None or parts.scheme not in schemes:
        raise UserError(
            f"{variable} is not an address of this kind of server.",
            where=f"environment variable {variable}",
            fix=f"Write it as {example}",
        )
    return parts


def _password_of(parts: SplitResult, variable: str) -> str | None:
    """Take the URL's password, else the environment's; never the embedded server's out of `secrets.env`."""
    return unquote(parts.password) if parts.password else os.environ.get(variable) or _secret_in_file(variable)


def _with_password(url: str, password: SecretStr | None) -> str:
    """Put a password that stands apart into a Redis URL that has none."""
    scheme, _, rest = url.partition("://")
    end = min((at for each in "/?" if (at := rest.find(each)) >= 0), default=len(rest))
    user, _, hosts = rest[:end].rpartition("@")
    if password is None or ":" in user:
        return url
    return f"{scheme}://{user}:{quote(password.get_secret_value(), safe='')}@{hosts}{rest[end:]}"


def _query_of(url: str | None) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query)) if url else {}


def _credentials(user: str, password: SecretStr | None) -> str:
    secret = f":{quote(password.get_secret_value(), safe='')}" if password else ""
    name = quote(user, safe="")
    return f"{name}{secret}@" if name or secret else ""


def _host(host: str) -> str:
    return f"[{host}]" if ":" in host else quote(host, safe="")  # a Unix socket's directory has slashes
