"""The frozen values that everything else speaks in. Nothing here does I/O."""
