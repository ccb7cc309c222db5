"""What readers of features call: single values, overviews, and later the servers."""
