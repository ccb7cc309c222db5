"""The embedded servers: starts, watches and ends processes by their command line, and imports none of what it runs."""
