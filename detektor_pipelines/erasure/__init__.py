"""Forgetting: what somebody asked to be erased, and what is older than it is to be kept.

Belongs here: which places hold what (`events`, `mentions`, `files`, `online`), the order in which it goes (`erase`), and `retention`.
Does not belong here: refusing what was erased when it is read again (`stores.raw_log.erased`).
"""
