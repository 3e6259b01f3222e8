"""Cisco ISE: its monitoring API read over a pinned channel, its servers kept, asked, and their state told."""
