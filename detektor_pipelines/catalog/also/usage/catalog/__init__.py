"""View files of this catalogue.

Belongs here: one view a file. Does not belong here: anything else.
"""
