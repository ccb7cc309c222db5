"""A view's rows by Apache Spark: the same SQL text in its dialect, integer states back to this process, the same finaliser.

Events come from PostgreSQL under one snapshot: each executor reads its slice by JDBC, or finds it in Parquet files that this process has
written. Executors run Spark's own code alone; nothing of Python's is needed there. Only an environment that has pyspark imports it.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit

from detektor_pipelines.compile.plan import Plan, plan
from detektor_pipelines.compile.sql import SPARK, Form, Span, reach_back, states_relations
from detektor_pipelines.engine.calculation import Calculation, Happened, of_days
from detektor_pipelines.engine.chunks import chunks
from detektor_pipelines.engine.compute import States, event_schema, rows_of, states_of
from detektor_pipelines.errors import UserError
from detektor_pipelines.installation import in_clone
from detektor_pipelines.language.calendar import between, dated, end_us, owner, start_us
from detektor_pipelines.language.windows import DAY, floor_to
from detektor_pipelines.stores.raw_log.reader import (
    any_revised,
    begin_snapshot,
    events_by_day,
    integer_events_sql,
    read_events,
    refuse_what_is_not_whole,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date

    from adbc_driver_postgresql.dbapi import Connection

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings

CHUNK_EVENTS: Final = 20_000_000
"""Events of one chunk, about: they stay with the executors, but the chunk's rows come to this process."""
SLICE_EVENTS: Final = 500_000
"""Events that this process, or one connection of an executor, reads at once, about; a day is never cut."""

_JAVA: Final = 17
_KEPT: Final = frozenset({"prepared", "timed", "grouped", "running"})
"""Relations that several others read. Spark would write each out as often as it is read, plans and all: so they are computed once."""

_SESSION: Final = {
    "spark.sql.ansi.enabled": "true",  # a number that does not fit is an error
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.parser.escapedStringLiterals": "true",  # a backslash in a text is a backslash
    "spark.sql.variable.substitute": "false",  # and ${…} is ${…}
}
_TLS: Final = ("sslmode", "sslrootcert", "sslcert", "sslkey")


class SparkCalculator:
    """Spark, from a session of this process."""

    chunk_events: int = CHUNK_EVENTS

    def __init__(self, settings: Settings, session: Any) -> None:
        self._settings, self._session = settings, session

    def reads_again(self, view: FeatureView) -> int:
        """Return how far before its first day (µs) a chunk reads what the chunk before it has read: as far as it reaches back."""
        return reach_back(plan(view))

    def calculate(self, connection: Connection, view: FeatureView, days: Sequence[date], now: int) -> Calculation:
        """Return the rows of `days`."""
        start, end = start_us(days[0]) - reach_back(plan(view)), min(end_us(days[-1]), now)
        with self._events(connection, view, start, end) as (events, snapshot):
            rows, happened = calculated(self._session, view, events, start=start_us(days[0]), end=end_us(days[-1]), cutoff=now)
        return Calculation(of_days(rows, days), snapshot, happened)

    @contextmanager
    def _events(self, connection: Connection, view: FeatureView, start: int, end: int) -> Iterator[tuple[Any, str]]:
        """Give the events in (start, end] (µs) as a data frame in the layout of `event_schema`, and the snapshot."""
        if self._settings.spark_jdbc_jar:
            yield self._by_jdbc(connection, view, start, end)
            return
        with _directory(self._settings) as directory:
            snapshot = _exported(connection, view, start, end, directory)
            yield self._session.read.parquet(directory.as_uri()), snapshot

    def _by_jdbc(self, connection: Connection, view: FeatureView, start: int, end: int) -> tuple[Any, str]:
        refuse_what_is_not_whole(connection, start)
        connection.rollback()
        snapshot = begin_snapshot(connection)
        revised = any_revised(connection)
        slices = _slices(connection, view, start, end)
        connection.rollback()
        columns = ", ".join(event_schema(view).names)
        reader = self._session.read.format("jdbc").options(**jdbc_options(self._settings))
        frames = []
        for first, last in slices:
            text = integer_events_sql(view.agent, plan(view).columns, first, last, revised=revised, snapshot=snapshot)
            frames.append(reader.option("dbtable", f"(SELECT {columns} FROM ({text}) events) slice").load())
        whole = frames[0]
        for each in frames[1:]:
            whole = whole.unionAll(each)
        return whole.localCheckpoint(), snapshot  # else each form would read it again


def calculated(
    session: Any, view: FeatureView, events: Any, *, start: int, end: int, cutoff: int | None = None
) -> tuple[Any, dict[date, Happened]]:
    """Compute what `engine.compute.compute` does, of a data frame of events; return the rows, and of which events.

    Args:
        session: Spark's.
        view: The definition.
        events: As `event_schema`.
        start: Exclusive, a multiple of the grain, µs.
        end: Inclusive, µs.
        cutoff: The last instant that may have a row, µs.

    """
    compiled = plan(view)
    for name, value in _SESSION.items():
        session.conf.set(name, value)
    happened, late, revised = _overview(events, view.grain)
    _rank(session, events, happened, ordered=compiled.ordered)
    span = Span(start, floor_to(end if cutoff is None else min(end, cutoff), view.grain))
    served = _states(session, compiled, span, "served", late=late, revised=revised)
    now = _states(session, compiled, span, "known_now", late=late, revised=revised) if late or revised else None
    return rows_of(view, served, now), happened


def _overview(events: Any, grain: int) -> tuple[dict[date, Happened], bool, bool]:
    """Return the events of each day, whether any became known late, and whether a superseded revision was ever served."""
    found = events.selectExpr(
        f"(ts - 1) DIV {DAY} AS day",
        "ts",
        f"known > ts AND (known - 1) DIV {grain} > (ts - 1) DIV {grain} AS late",
        f"until > ts AND (until - 1) DIV {grain} > (ts - 1) DIV {grain} AS revised",
    )
    session = events.sparkSession
    found.createOrReplaceTempView("overview")
    days = session.sql(
        "SELECT day, COUNT(*) AS events, MIN(ts) AS first, MAX(ts) AS last, COALESCE(BOOL_OR(late), FALSE) AS late,"
        " COALESCE(BOOL_OR(revised), FALSE) AS revised FROM overview GROUP BY day"
    )
    rows = days.toArrow().to_pylist()
    session.catalog.dropTempView("overview")
    happened = {dated(row["day"]): Happened(row["events"], row["first"], row["last"]) for row in rows}
    return happened, any(row["late"] for row in rows), any(row["revised"] for row in rows)


def _rank(session: Any, events: Any, happened: dict[date, Happened], *, ordered: bool) -> None:
    """Name as `events` what the compiled SQL reads, with each event's rank by (ts, event_id) where a state asks for it.

    A rank over all events would bring all of them to one executor: so it is one within its day, behind those of the days before.
    """
    if not ordered:
        events.selectExpr("*", "CAST(0 AS BIGINT) AS seq").createOrReplaceTempView("events")
        return
    import pyarrow as pa

    before, numbers, total = [], [], 0
    for day in sorted(happened):
        numbers.append(start_us(day) // DAY)
        before.append(total)
        total += happened[day].events
    offsets = session.createDataFrame(pa.table({"day": pa.array(numbers, pa.int64()), "before": pa.array(before, pa.int64())}))
    dated_events = events.selectExpr("*", f"(ts - 1) DIV {DAY} AS day")
    rank = "before + row_number() OVER (PARTITION BY day ORDER BY ts, event_id) AS seq"
    dated_events.join(offsets.hint("broadcast"), "day").selectExpr(*events.columns, rank).createOrReplaceTempView("events")


def _states(session: Any, compiled: Plan, span: Span, form: Form, *, late: bool, revised: bool) -> States:
    relations, final = states_relations(compiled, span, form=form, late=late, revised=revised, dialect=SPARK)
    for name, text in relations.items():
        relation = session.sql(text)
        (relation.localCheckpoint() if name in _KEPT else relation).createOrReplaceTempView(name)
    try:
        return states_of(session.sql(final).toArrow())
    finally:
        for name in relations:
            session.catalog.dropTempView(name)


def _slices(connection: Connection, view: FeatureView, start: int, end: int) -> list[tuple[int, int]]:
    """Cut (start, end] (µs) into runs of whole days with about as many events each."""
    if end <= start:
        return [(start, start)]
    days = between(owner(start + 1), owner(end))
    runs = chunks(days, events_by_day(connection, view.agent, start, end), reach=0, limit=SLICE_EVENTS)
    return [(max(start, start_us(run[0])), min(end, end_us(run[-1]))) for run in runs]


def _exported(connection: Connection, view: FeatureView, start: int, end: int, directory: Path) -> str:
    """Write the events in (start, end] (µs) of one snapshot as Parquet files; return the snapshot.

    All files have one schema: a reader may take the first file's types for all, and cut what does not fit (findings/parquet-first-type.sh).
    """
    import pyarrow.parquet as pq

    snapshot = begin_snapshot(connection)
    for number, (first, last) in enumerate(_slices(connection, view, start, end)):
        events = read_events(connection, view.agent, plan(view).columns, first, last)
        pq.write_table(events.cast(event_schema(view)), directory / f"{number:05}.parquet", compression="zstd")
    connection.rollback()
    return snapshot


@contextmanager
def _directory(settings: Settings) -> Iterator[Path]:
    """Give an empty directory that is gone afterwards; what a killed process of this machine left behind is gone before."""
    root = (settings.spark_directory or settings.home / "spark").absolute()
    mine = f"{socket.gethostname()}-{os.getpid()}"
    try:
        root.mkdir(parents=True, exist_ok=True)
        for left in root.glob(f"{socket.gethostname()}-*"):
            if not Path(f"/proc/{left.name.rpartition('-')[2]}").exists():
                shutil.rmtree(left, ignore_errors=True)
        directory = root / mine
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(mode=0o700)
    except OSError as error:
        raise UserError(
            f"Events cannot be handed over to Spark: {error.strerror}.",
            where=str(root),
            fix="Set DETEKTOR_SPARK_DIRECTORY to a directory that can be written here and read by all executors.",
        ) from None
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def jdbc_options(settings: Settings) -> dict[str, str]:
    """Return how Spark's JDBC source reaches the log."""
    given = dict(parse_qsl(urlsplit(settings.postgres_dsn).query))
    options: dict[str, str] = {name: given[name] for name in _TLS if name in given}
    if settings.postgres_password:
        options["password"] = settings.postgres_password.get_secret_value()
    host = f"[{settings.postgres_host}]" if ":" in settings.postgres_host else settings.postgres_host
    url = f"jdbc:postgresql://{host}:{settings.postgres_port}/{settings.postgres_database}"
    return {"url": url, "driver": "org.postgresql.Driver", "user": settings.postgres_user, "fetchsize": "10000"} | options


@contextmanager
def spark_session(settings: Settings, **conf: str) -> Iterator[Any]:
    """Open Spark's session of this process, and stop it.

    Args:
        settings: Where Spark runs, and which JDBC driver it loads.
        conf: Of Spark, dots as two underscores; goes before what its own files and `spark-submit` say.

    Raises:
        UserError: There is no pyspark here, no Java, or one that is too old.

    """
    SparkSession = _pyspark()  # noqa: N806  a class
    _refuse_old_java()
    jar = settings.spark_jdbc_jar
    if jar and not jar.is_file():
        raise UserError(
            "There is no JDBC driver.",
            where=f"DETEKTOR_SPARK_JDBC_JAR={jar}",
            fix="Debian's is /usr/share/java/postgresql.jar (libpostgresql-jdbc-java); without it events are handed over as files.",
        )
    given = {"spark.app.name": "detektor", "spark.ui.showConsoleProgress": "false", "spark.log.level": "ERROR"}
    given |= {"spark.driver.maxResultSize": "0"}  # rows of a chunk come here, as they do from DuckDB
    if "PYSPARK_GATEWAY_PORT" not in os.environ:  # spark-submit has started the driver, and knows where
        given["spark.master"] = settings.spark_master
        if settings.spark_master.startswith("local"):
            given |= {"spark.ui.enabled": "false", "spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1"}
    if jar:
        given["spark.jars"] = str(jar.absolute())
    builder = SparkSession.builder
    for name, value in (given | {name.replace("__", "."): value for name, value in conf.items()}).items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    try:
        yield session
    finally:
        session.stop()


def _pyspark() -> Any:
    try:
        from pyspark.sql import SparkSession
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"pyspark", "py4j"}:
            raise
        raise UserError("Spark is not installed in this environment.", where=sys.executable, fix=how_to_install()) from None
    return SparkSession


def how_to_install() -> str:
    """Say how Spark's environment is made."""
    if in_clone():
        return "Run `make spark`; it makes .spark, an environment of its own."
    return "pip install 'detektor-features[platform,spark]' in an environment, and name its interpreter in DETEKTOR_SPARK_PYTHON."


def _refuse_old_java() -> None:
    home = os.environ.get("JAVA_HOME")
    program = str(Path(home, "bin/java")) if home else "java"
    fix = f"Install a full Java {_JAVA} or later (Debian: openjdk-17-jre-headless) and set JAVA_HOME where it is not the one on PATH."
    text = ""
    with contextlib.suppress(OSError):
        text = subprocess.run([program, "-version"], capture_output=True, text=True, check=False, timeout=60).stderr
    found = re.search(r'version "(?:1\.)?(\d+)', text)
    if found is None:
        raise UserError("Spark needs Java, and there is none.", where=program, fix=fix)
    if int(found[1]) < _JAVA:
        raise UserError(f"Spark needs Java {_JAVA} or later, and this is {found[1]}.", where=program, fix=fix)
