"""TLS connections that are held against the record before a single byte is exchanged."""
