"""What a node is: its home, its configuration, and what runs in it."""
