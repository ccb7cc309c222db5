"""Reads the rollouts of Codex CLI (`~/.codex/sessions/…/rollout-*.jsonl`), from 0.99 to 0.171.

A rollout is one thread, a line one record `{timestamp, type, payload}` without an id of its own. Files are read one after the other, in
this order: `collect` takes records to the state of a rollout (`state`), with `outputs` for what a tool answered, `patches` for edits and
`subagents` for threads that it started; `emit` makes events of the state.

Belongs here: what only Codex writes. Does not belong here: a review's verdict and findings (`ingest.reports`), the rules by which pushes
and test runs are recognised (`readers.derived`).

Event ids: `tool:<call_id>`, with `deploy:`, `test:` and `document:<call_id>` derived from it; `msg:<response_id>`, before 0.153
`msg:<thread>:<number>`; `invoke:<call_id>` of the call that started a subagent; `work:<thread>` of a subagent.
"""

from detektor_pipelines.ingest.readers.codex.read import read, read_many

__all__ = ["read", "read_many"]
