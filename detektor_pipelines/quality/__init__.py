"""Judging what is there: rows that are published, the log behind them, how fresh both are.

The gate (`engine.gate`) decides what is published; what is here looks at it afterwards, in the tables themselves, and changes nothing. Each
judgement is a `Finding`, in words a person can act on. Does not belong here: how a finding is shown or scheduled, which is Dagster's.
"""
