"""`detektor exporter`: what no server of the platform can say of itself, for Prometheus.

A few questions, each asked at its own pace by one thread and answered by one statement where one will do; a scrape reads what they found
last. So a scrape costs nothing, however many ask, and the questions cost the same with one Prometheus and with five.

Belongs here: questions to PostgreSQL, Redis and the servers, a module for each store or subject. Does not belong here: whatever writes, and
judgement, which is for the rules.
"""
