"""The stream worker: from an event's commit to its features online, with the numbers that batch would give."""
