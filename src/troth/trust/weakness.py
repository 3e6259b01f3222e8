"""What is weak about a certificate."""
from __future__ import annotations
from typing import Any
def weaknesses(view: Any) -> tuple[Any, ...]:
    """Placeholder until the real one lands."""
    return ()
