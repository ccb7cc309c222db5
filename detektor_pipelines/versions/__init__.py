"""Which definitions are in use where, what a change of them does, and how another one comes into force.

    lock, changes         every version that was released; what differs between two, and the bump that this needs
    plan, processes       what stores and running processes have, compared with what is on disk
    choice, rollback      an earlier version in force instead of the file's, and forward again
    retire                the end of a version

Belongs here: comparing versions and hashes across processes, stores and files, and what is done about it. Does not belong here: the hash
itself (`language.hashes`), the row tables of a version (`stores`), the computation (`engine`).
"""
