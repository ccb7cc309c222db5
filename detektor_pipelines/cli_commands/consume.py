"""`detektor consume`: take events from a Kafka topic."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  typer reads annotations at run time
from typing import TYPE_CHECKING, Annotated

import typer

from detektor_pipelines.errors import UserError

if TYPE_CHECKING:
    import threading

    from detektor_pipelines.ingest.live.kafka import KafkaSource
    from detektor_pipelines.ingest.live.writer import LiveWriter

_AGAIN_S = 1.0


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("consume")(consume)


def consume(
    *,
    topic: Annotated[str, typer.Option(help="Kafka topic whose records are events of our own JSON format.")],
    brokers: Annotated[str, typer.Option(help="Some of Kafka's addresses, host:port, separated by commas.")] = "127.0.0.1:9092",
    group: Annotated[str, typer.Option(help="Consumer group: those of one share the topic's partitions.")] = "detektor",
    options: Annotated[
        Path | None,
        typer.Option(help="File of further options of librdkafka, key=value a line: TLS, passwords.", dir_okay=False, exists=True),
    ] = None,
    mix: Annotated[bool, typer.Option("--mix", help="Allow simulated events beside real ones.")] = False,
) -> None:
    """Take events from a Kafka topic until Ctrl-C, each once; needs the extra `kafka`.

    Offsets are committed after the events are stored, and an event that comes again is found known. Start it as often as the topic has
    partitions.

    Example: [bold]detektor consume --topic agent-events --brokers kafka-1:9092,kafka-2:9092[/]
    """
    import signal
    import threading

    from detektor_pipelines import log_lines
    from detektor_pipelines.cli_commands.clock import let_it_run
    from detektor_pipelines.ingest.live.kafka import KafkaSource
    from detektor_pipelines.ingest.live.writer import LiveWriter
    from detektor_pipelines.settings import get_settings
    from detektor_pipelines.stores.schema import migrate

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    settings = get_settings()
    let_it_run(settings)
    log_lines.set_up("consume", settings.log_level)
    given = {"bootstrap.servers": brokers, "group.id": group} | (_read_options(options) if options else {})
    with KafkaSource(settings, topic, given) as source, LiveWriter(settings, mix=mix) as writer:
        migrate(settings)
        _run(source, writer, stop)


def _run(source: KafkaSource, writer: LiveWriter, stop: threading.Event) -> None:
    """Store batch after batch; says once that PostgreSQL is away, and tries again until it is back."""
    import logging

    from detektor_pipelines.ingest.live.kafka import KafkaRefusesError

    log, complaint = logging.getLogger(__name__), ""
    while not stop.is_set():
        try:
            counts = source.step(writer)
        except KafkaRefusesError:
            raise
        except UserError as error:
            if str(error) != complaint:
                complaint = str(error)
                log.warning("The records wait until they can be stored. %s", error)
            stop.wait(_AGAIN_S)
            continue
        complaint = ""
        if counts["rejected"]:
            log.warning("%d of %d records were rejected; ml_learning.rejected_events says why", counts["rejected"], sum(counts.values()))


def _read_options(file: Path) -> dict[str, str]:
    """Read librdkafka's options.

    Raises:
        UserError: A line is none.

    """
    found = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        name, equals, value = line.partition("=")
        if line.strip() and not line.startswith("#"):
            if not equals or not name.strip():
                raise UserError("The line is no option of Kafka's client.", where=f"{file}:{number}", fix="Write key=value.")
            found[name.strip()] = value.strip()
    return found
