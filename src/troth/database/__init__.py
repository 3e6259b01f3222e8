"""PostgreSQL, private to the node: its programs, its cluster, connections to it, and the versions of its tables."""
