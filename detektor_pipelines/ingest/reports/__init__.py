"""What an agent wrote for people, read for what it states: the verdict of a review, its list of issues.

Belongs here: the layouts of such texts. Does not belong here: the records around them (`ingest.readers`).
"""
