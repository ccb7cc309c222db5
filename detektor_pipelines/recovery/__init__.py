"""Backups of everything that cannot be computed again, and the way back from one.

    create    one snapshot of the database: pg_dump beside the log's pieces; then MLflow's artifacts, files of the home; the manifest last
    verify    the hashes of all files, then a restore into a throw-away cluster whose tables have to have the manifest's hashes
    restore   into a database beside the one in use, which takes its place when it is whole; then the online values are written again
    drill     a restore into throw-away servers, up to the first values online and their parity with the log
    prune     old backups, and files that no backup names

Belongs here: where backups are (`target`), what one holds (`manifest`, `contents`), how the log is cut into pieces that later backups keep
(`log_chunks`). Does not belong here: what the numbers mean, and which programs run.
"""
