"""Endpoints are probed on a schedule, with limits; what changes becomes an event."""
