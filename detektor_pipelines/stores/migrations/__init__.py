"""The tables of schema `ml_learning`, as alembic revisions; `stores.schema.migrate` runs them.

Belongs here: `env.py` (how alembic is run) and `versions/`, raw SQL that never changes once it is released. Does not
belong here: row tables, which `stores.offline` makes as versions come. A new measure or category in
`language.events` is a new revision that adds its column; a test holds that the columns and the declarations are the same.
"""
