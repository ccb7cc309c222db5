"""The main session as an agent of its own, and what it uses. Off unless it is switched on.

Belongs here: the agent `main` and its one view. Does not belong here: sums over all agents, and cost (`usage`).
"""
