"""Claude Code transcripts, step by step: records → state (`collect`) → events (`emit`).

Belongs here: `notifications` reads the messages about background agents, `edits` what tools did to files, `runs` how each subagent ended.
The entry is `ingest.readers.transcripts`. Does not belong here: what other formats know too (`ingest.readers`).
"""
