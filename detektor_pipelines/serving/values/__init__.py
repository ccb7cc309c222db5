"""Where the feature server has an answer's values from: Redis, a moment's cache, or what was kept when Redis is away.

Belongs here: the sources and the choice between them. Does not belong here: requests and answers (`serving.online_request`), what a value
in Redis is (`stores`).
"""
