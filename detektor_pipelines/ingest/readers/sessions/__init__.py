"""Readers of formats whose records make up sessions: each fills `session.Session`, and the events come of it by the rules of all readers.

Belongs here: a module for each such format, registered in `readers.formats`; what a session comes to (`session`). Does not belong here:
the formats that are older than that, or too large for one module (`claude_code`, `codex`, `jsonl`); what several readers know about
commands, names and projects (`readers`).
"""
