"""What Prometheus sees of the platform: every metric as data, the exporter, scrape configuration, rules and runbooks.

Belongs here: names, rules and pages as data (`metrics`, `rules`, `runbooks`), what is rendered from them (`prometheus`, `pages`), and the
program for what no server knows (`exporter`). Does not belong here: what a server says of itself, which it counts, and whether data is
right, which `quality` judges.
"""
