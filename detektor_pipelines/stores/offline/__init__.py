"""The offline rows: published values of every version, which days are published from what, and what made them stale since.

Belongs here: row tables, partition states, staleness, gaps in what is published, reading rows as they were served at an instant. Does not
belong here: computing a row (`engine`), what Feast makes of the rows (`stores.feast`).
"""
