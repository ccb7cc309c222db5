"""Events that arrive while they happen: the HTTP endpoint and its OTLP, the hook's records and its spool, and the writer behind them.

Belongs here: whatever has to answer or to keep up. Does not belong here: what a record means (`ingest.readers`), how an event is stored
(`stores`). The hook itself, `detektor_pipelines.hook`, is outside: it starts in milliseconds and imports nothing of ours.
"""
