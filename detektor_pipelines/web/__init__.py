"""What every HTTP server of ours needs, whatever it answers: where it listens, who may ask, how a problem is told, how it is replaced.

Belongs here: sockets, TLS, access control, OIDC, bounds on a connection, problem details (RFC 9457), the handover from a process to the one
after it. Does not belong here: what is asked for (`serving`, `ingest.live`).
"""
