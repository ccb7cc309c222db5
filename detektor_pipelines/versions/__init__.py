"""Which definitions are in use where, and what becomes of them when the catalogue changes.

Belongs here: comparing versions and hashes across processes, stores and files. Does not belong here: the hash itself (`language.hashes`),
the row tables of a version (`stores`).
"""
