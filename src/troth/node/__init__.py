"""A node: its home folder and configuration, its parts and who keeps them running."""
