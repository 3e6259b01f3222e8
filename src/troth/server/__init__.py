"""The management server: what guards it, and (above that) what it answers."""
