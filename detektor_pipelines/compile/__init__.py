"""From a definition to what runs: SQL, finaliser, Pandera schema, Feast view, docs. Pure functions, no I/O."""
