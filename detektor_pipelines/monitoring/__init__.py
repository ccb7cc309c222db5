"""What Prometheus sees of the platform: every metric as data, the program for what no server knows, scrape configuration and rules."""
