"""Claude Code transcripts, step by step: records → state (`collect`) → events (`emit`).

`notifications` reads the messages about background agents, `edits` what tools did to files, `runs` how each subagent ended.
The entry is `detektor_pipelines.ingest.readers.transcripts`.
"""
