"""Judging what is there: rows that are published, the log behind them, online values, how fresh all of them are.

Belongs here: what looks at the stores afterwards and changes nothing, each judgement a `Finding` in words a person can act on, and the
reads and overviews that people ask for. Does not belong here: what decides on publishing (`engine.gate`), how a finding is shown or
scheduled (`orchestration`).
"""
