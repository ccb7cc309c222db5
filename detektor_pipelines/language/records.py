"""One record of the raw log, and one of what could not be read, as ingest hands them to the store."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]


@dataclass(slots=True)
class AgentEvent:
    """One thing an agent did. Instants are int µs UTC. Nobody changes one; frozen, it would take seven times as long to make.

    `known_at` is when the platform learnt of it: None for a live source (the store stamps its ingestion time), equal to
    `occurred_at` for history read from files. `revision` is raised when a better reader repairs the same event. `extra` holds
    measures and categories that a catalogue of one's own declares.
    """

    event_id: str
    agent_type: str
    raw_name: str
    operation: str
    occurred_at: int
    source: str
    project: str | None = None
    session_id: str | None = None
    task_id: str | None = None
    known_at: int | None = None
    measures: Mapping[str, int] = field(default_factory=dict)
    categories: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, Json] = field(default_factory=dict)
    extra: Mapping[str, int | str] = field(default_factory=dict)
    derived: bool = False
    simulated: bool = False
    revision: int = 1
    reader_revision: int = 1


@dataclass(frozen=True, slots=True)
class Rejection:
    """Input that became no event: where it stood, why, and its beginning (masked)."""

    source: str
    line: int | None
    reason: str
    excerpt: str = ""
    event_id: str | None = None
