"""What a node does by itself: look at the hosts it knows, ask ISE, and tell people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Coroutine

    from troth.node.node import Node


def background(node: Node, stop: asyncio.Event) -> list[Coroutine[Any, Any, None]]:
    """Give what runs beside the server until `stop` is set."""
    del node, stop
    return []
