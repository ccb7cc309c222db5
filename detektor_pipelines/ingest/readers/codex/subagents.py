"""Threads that a rollout started, as its own records tell of them: spawned by a call, awaited by another, ended with a text.

Up to 0.15x events (`collab_agent_spawn_end`, `collab_waiting_end`), from 0.153 on items (`CollabAgentToolCall`, `SubAgentActivity`), and in
all versions what the tools answer the model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from detektor_pipelines.ingest.readers.codex.outputs import object_of
from detektor_pipelines.ingest.readers.codex.state import Child
from detektor_pipelines.ingest.readers.shapes import joined_text, record_of, text_of

if TYPE_CHECKING:
    from detektor_pipelines.ingest.readers.codex.state import Rollout
    from detektor_pipelines.ingest.readers.shapes import Record

SPAWN: Final = "spawn_agent"
_WAITS: Final = frozenset({"wait_agent", "wait", "close_agent"})
_ENDED: Final[dict[str, Literal["completed", "failed", "cancelled"]]] = {
    "completed": "completed",
    "errored": "failed",
    "interrupted": "cancelled",
    "shutdown": "cancelled",
}


def called(rollout: Rollout, call_id: str, name: str | None, arguments: Record, at: int) -> None:
    """Take a tool call: of those that start a subagent, what it is called and told."""
    if name != SPAWN:
        return
    child = rollout.children.setdefault(call_id, Child(call_id, at))
    child.name = child.name or text_of(arguments.get("agent_type")) or _last_part(arguments.get("task_name"))
    child.prompt = child.prompt or text_of(arguments.get("message")) or joined_text(arguments.get("items")) or None


def answered(rollout: Rollout, call_id: str, name: str | None, output: Any, at: int) -> None:
    """Take a tool's answer: the thread that was started, or how threads ended."""
    if name == SPAWN and call_id in rollout.children:
        said = object_of(output)
        _start(rollout.children[call_id], text_of(said.get("agent_id")), _last_part(said.get("task_name")), at)
    elif name in _WAITS:
        _statuses(rollout, object_of(output).get("status"), at)


def spawned(rollout: Rollout, event: Record, at: int) -> None:
    """Take a `collab_agent_spawn_end`."""
    call_id = text_of(event.get("call_id"))
    if call_id and text_of(event.get("new_thread_id")):
        child = rollout.children.setdefault(call_id, Child(call_id, at))
        _start(child, text_of(event.get("new_thread_id")), text_of(event.get("new_agent_role")), at)
        child.prompt = child.prompt or text_of(event.get("prompt"))
        child.model = child.model or text_of(event.get("model"))


def awaited(rollout: Rollout, event: Record, at: int) -> None:
    """Take a `collab_waiting_end` or `collab_close_end`."""
    for agent in event.get("agent_statuses") or ():
        said = record_of(agent)
        child = _of_thread(rollout, text_of(said.get("thread_id")))
        if child:
            child.name = child.name or text_of(said.get("agent_role"))
            _end(child, said.get("status"), at)
    _statuses(rollout, event.get("statuses"), at)
    child = _of_thread(rollout, text_of(event.get("receiver_thread_id")))
    if child:
        _end(child, event.get("status"), at)


def tool_item(rollout: Rollout, item: Record, at: int) -> None:
    """Take a completed `CollabAgentToolCall`."""
    call_id, tool = text_of(item.get("id")), str(item.get("tool"))
    threads = [text_of(thread) for thread in item.get("receiver_thread_ids") or ()]
    if call_id and tool in {"spawnAgent", "spawn_agent"} and threads and threads[0]:
        agents = [record_of(agent) for agent in item.get("receiver_agents") or ()]
        role = next((text_of(agent.get("agent_role")) for agent in agents if agent.get("thread_id") == threads[0]), None)
        child = rollout.children.setdefault(call_id, Child(call_id, at))
        _start(child, threads[0], role, at)
        child.prompt = child.prompt or text_of(item.get("prompt"))
        child.model = child.model or text_of(item.get("model"))
    _statuses(rollout, item.get("agents_states"), at)


def activity(rollout: Rollout, item: Record, at: int) -> None:
    """Take a `SubAgentActivity`: of a thread that nobody else named, it names the last call that started one."""
    thread, kind = text_of(item.get("agent_thread_id")), item.get("kind")
    if thread is None:
        return
    child = _of_thread(rollout, thread)
    if child is None and kind == "started":
        own = rollout.children.get(str(item.get("id")))
        waiting = [each for each in rollout.children.values() if each.thread is None]
        child = own if own and own.thread is None else next(iter(reversed(waiting)), None)
        if child is None:
            child = rollout.children[thread] = Child(thread, at)
    if child is None:
        return
    _start(child, thread, _last_part(item.get("agent_path")), at)
    if kind in _ENDED:
        _end(child, kind, at)


def _start(child: Child, thread: str | None, name: str | None, at: int) -> None:
    child.thread = child.thread or thread
    child.name = child.name or name
    if child.thread and child.started_at is None:
        child.started_at = at


def _end(child: Child, status: Any, at: int) -> None:
    """Note how a subagent ended: a word, or the word and what it said last."""
    word, said = next(iter(status.items()), (None, None)) if isinstance(status, dict) else (status, None)
    ended = _ENDED.get(str(word))
    if ended is None:
        return
    # Several records tell of one end; the first one has its instant.
    if child.ended_at is None or child.status != ended or (text_of(said) or child.text) != child.text:
        child.ended_at = at if child.status is None or child.text is not None else child.ended_at
    child.status, child.text = ended, text_of(said) or child.text


def _statuses(rollout: Rollout, statuses: Any, at: int) -> None:
    for thread, status in record_of(statuses).items():
        child = _of_thread(rollout, thread)
        if child:
            _end(child, status, at)


def _of_thread(rollout: Rollout, thread: str | None) -> Child | None:
    return next((child for child in rollout.children.values() if thread and child.thread == thread), None)


def _last_part(path: Any) -> str | None:
    named = text_of(path)
    return (named.rstrip("/").rpartition("/")[2] or None) if named else None
