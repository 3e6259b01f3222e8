"""The commands: one file each. Only the one that is called is imported."""
