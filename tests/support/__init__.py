"""What several test files need: the oracle, logs and views to compute, servers to talk to.

Belongs here: makers and clients without assertions of their own. Does not belong here: fixtures, which stand in the `conftest.py` of the
tests that use them.
"""
