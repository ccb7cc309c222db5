"""Events from a Kafka topic into the raw log: each once, whatever crashes in between.

A record is what `POST /v1/events` takes many of: a JSON object of our own format (`readers.jsonl`). It passes the same checks and masks and
is stored by the same writer. Offsets are committed when the events are; after a crash between the two the records come again, and their
events are found known: `event_id` says which they are or, where a record has none, a hash of what it says.

Belongs here: how records are taken and offsets kept. What one becomes is said by `readers.jsonl`, how it is stored by `live.writer`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self

from detektor_pipelines.errors import UserError
from detektor_pipelines.ingest.readers import jsonl
from detektor_pipelines.ingest.readers.interface import ReadContext
from detektor_pipelines.ingest.readers.names import agent_names
from detektor_pipelines.language.records import AgentEvent
from detektor_pipelines.stores.raw_log.live import STATUSES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from detektor_pipelines.ingest.live.writer import LiveWriter
    from detektor_pipelines.language.records import Rejection
    from detektor_pipelines.settings import Settings
    from detektor_pipelines.stores.raw_log.live import Status

SOURCE: Final = "kafka"
BATCH: Final = 1_000
"""Records that one commit stores."""

WAIT_S: Final = 0.2
"""How long a batch waits to become full."""

_OURS: Final = {"enable.auto.commit": False, "enable.auto.offset.store": False}
"""Nobody but us says what is done."""

_REFUSALS: Final = (
    "UNKNOWN_TOPIC_OR_PART",
    "TOPIC_AUTHORIZATION_FAILED",
    "GROUP_AUTHORIZATION_FAILED",
    "_AUTHENTICATION",
    "_UNKNOWN_TOPIC",
    "_UNKNOWN_PARTITION",
)
"""What does not pass by itself; librdkafka goes on trying after every other error."""


class KafkaRefusesError(UserError):
    """What does not pass by itself: no such topic, no right to it."""


class KafkaSource:
    """A member of a consumer group, which stores what its partitions hold; a context manager, not for several threads at once.

    Args:
        settings: Which table of agent names.
        topic: What to read.
        options: Of librdkafka, such as `bootstrap.servers` and `group.id`.

    Raises:
        UserError: The extra `kafka` is not installed, or librdkafka does not take an option.

    """

    def __init__(self, settings: Settings, topic: str, options: Mapping[str, Any]) -> None:
        try:
            import confluent_kafka
        except ImportError:
            raise UserError("Kafka's client is not installed.", fix="pip install 'detektor-features[platform,kafka]'") from None
        try:
            self._consumer = confluent_kafka.Consumer({"auto.offset.reset": "earliest", **options, **_OURS})
        except (confluent_kafka.KafkaException, ValueError, TypeError) as error:
            raise UserError(f"Kafka's client does not take these options: {_said(error)}.", fix="Their names are librdkafka's.") from None
        self._consumer.subscribe([topic])
        self._topic = topic
        self._context = ReadContext(names=agent_names(settings.home), live=True)
        self._taken: list[Any] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the group; what is not committed is read by whoever gets its partitions."""
        self._consumer.close()

    def step(self, writer: LiveWriter) -> dict[Status, int]:
        """Store one batch and commit its offsets; returns what became of its records, zeros where none came within WAIT_S.

        Raises:
            KafkaRefusesError: With its reason.
            UserError: PostgreSQL does not answer; the next step tries the same records again.

        """
        self._taken = self._taken or self._take()
        counts = dict.fromkeys(STATUSES, 0)
        records = [record for message in self._taken for record in self._read(message)]
        for outcome in writer.write(records) if records else ():
            counts[outcome.status] += 1
        if self._taken:
            self._commit(self._taken)
            self._taken = []
        return counts

    def _take(self) -> list[Any]:
        messages = []
        for message in self._consumer.consume(BATCH, WAIT_S):
            error = message.error()
            if error is None:
                messages.append(message)
            elif error.fatal() or error.name() in _REFUSALS:
                raise self._refused(error)
        return messages

    def _read(self, message: Any) -> Iterator[AgentEvent | Rejection]:
        """Read a record; a tombstone is none. A rejection is kept under the record's place, so once however often it comes."""
        value = message.value()
        if value and value.strip():
            place = f"{SOURCE}:{message.topic()}:{message.partition()}"
            for each in jsonl.read([(message.offset(), value)], source=SOURCE, context=self._context):
                yield each if isinstance(each, AgentEvent) else _at(each, place)

    def _commit(self, messages: Sequence[Any]) -> None:
        """Commit the place after the last record of each partition.

        Where that fails because a partition went to another member, or no broker answers, the records come again: nothing is lost by it.
        """
        import confluent_kafka

        ends = {message.partition(): message.offset() + 1 for message in messages}
        places = [confluent_kafka.TopicPartition(self._topic, *end) for end in ends.items()]
        try:
            self._consumer.commit(offsets=places, asynchronous=False)
        except confluent_kafka.KafkaException as error:
            if error.args[0].fatal() or error.args[0].name() in _REFUSALS:
                raise self._refused(error.args[0]) from None

    def _refused(self, error: Any) -> KafkaRefusesError:
        return KafkaRefusesError(
            f"Kafka refuses: {error.str()}.",
            where=f"topic {self._topic}",
            fix="Check that there is such a topic, and what this user may do.",
        )


def _at(rejection: Rejection, place: str) -> Rejection:
    from dataclasses import replace

    return replace(rejection, source=place)


def _said(error: Exception) -> str:
    return str(error.args[0].str() if hasattr(error.args[0], "str") else error)
