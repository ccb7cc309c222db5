"""What agents used: tokens from the log's answers, and what they cost by dated prices.

Belongs here: sums over the log's `chat` events, and prices. Does not belong here: features over tokens, which are a view like any other
(`catalog`), or the report's page.
"""
