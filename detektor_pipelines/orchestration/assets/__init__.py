"""The assets: raw log, features of each view, online values; what materializing them does, and what Dagster's pages say of them.

Belongs here: definitions of assets, their metadata, links and lineage. Does not belong here: what is checked about them (`checks`), when
they run (`sensors`, `schedules`), how Dagster runs at all (`instance`, `storage`, `launcher`).
"""
