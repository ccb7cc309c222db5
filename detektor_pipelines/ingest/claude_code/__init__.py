"""Claude Code transcripts, step by step: records → state (`collect`) → events (`emit`).

`shapes` reads single values out of records, `notifications` the messages about background agents, `edits` and `shell` what tools did,
`failures` why one failed, `derived` what the main thread did in an agent's stead. The entry is `detektor_pipelines.ingest.transcripts`.
"""
