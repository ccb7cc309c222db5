"""`detektor acceptance`: the twenty rows of what the platform has to do, T1 to T20, each checked on the stack that runs.

Belongs here: the checks, what each found and what to do. Does not belong here: what they check; a row calls what people call.

A row looks at what is there and leaves nothing behind: the events that it emits are retracted, servers of its own are throw-away ones. What
cannot be looked at here (a program is not installed, a history too short) is `not checked`, which is not `passed`.
"""
