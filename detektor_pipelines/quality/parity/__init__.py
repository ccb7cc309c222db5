"""Is what a reader gets now what it should be? Online values judged by the log, agent by agent.

Belongs here: `check`, which is what `detektor parity` runs, and its steps: which agents (`keys`), what each should have (`recomputation`,
`truth`), what became of it (`judgement`), why and what repairs it (`mismatches`). Does not belong here: how a value is written
(`engine.online`, `stream`).
"""
