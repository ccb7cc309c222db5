"""What Prometheus sees of the platform: every metric as data, the exporter, scrape configuration, rules and runbooks.

Belongs here: names, rules and pages as data (`metrics`, `rules`, `runbooks`), what is rendered from them (`prometheus`, `pages`), and the
program for what no server knows (`exporter`). What a server says of itself is counted in that server; whether data is right is judged in
`quality`.
"""
