"""Events → deltas → rows → published partition. No Dagster here."""
