"""The online values: what stands in Redis for each agent and view, who may write over whom, and up to when it is complete.

Belongs here: the packed format and its keys, the guard within Redis (`guard.lua`), the lives of an installation (`life`), versions and
housekeeping. Does not belong here: when something is written (`engine.online`, `stream`), what a request gets (`serving`).
"""
