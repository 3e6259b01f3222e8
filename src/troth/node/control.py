"""How `troth status` and `troth stop` talk to a running node: one JSON line each way, over a socket that its owner alone reaches."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
from typing import TYPE_CHECKING, Any

from troth.errors import ConfigUnusable, NodeNotRunning

if TYPE_CHECKING:
    from collections.abc import Callable

    from troth.node.home import Home

_MAX_LINE = 1 << 20
_LIMIT_S = 10.0
_MAX_PATH = 107
Answer = dict[str, Any]


async def serve(home: Home, handlers: dict[str, Callable[[], Answer]]) -> asyncio.Server:
    """Listen for questions, with the home's lock held."""
    require_short(home)
    home.control.unlink(missing_ok=True)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_LIMIT_S):
                asked = json.loads(await reader.readline())
                handler = handlers.get(str(asked.get("ask"))) if _is_owner(writer) and isinstance(asked, dict) else None
                answer = handler() if handler else {"error": "not understood"}
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except (TimeoutError, OSError, ValueError):
            pass
        finally:
            writer.close()

    before = os.umask(0o177)
    try:
        return await asyncio.start_unix_server(handle, home.control, limit=_MAX_LINE)
    finally:
        os.umask(before)


def require_short(home: Home) -> None:
    """Refuse a home whose path is too long for a socket in it.

    Raises:
        ConfigUnusable: It is.
    """
    if len(os.fsencode(home.control)) > _MAX_PATH:
        raise ConfigUnusable(
            f"The path of the node's home is too long: {home.path}",
            why=f"the name of a UNIX socket has at most {_MAX_PATH} bytes",
            next_command="choose a home with a shorter path",
        )


def ask(home: Home, question: str) -> Answer:
    """Ask the node that runs in a home.

    Raises:
        NodeNotRunning: None does, or it does not answer.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_LIMIT_S)
            connection.connect(str(home.control))
            connection.sendall(json.dumps({"ask": question}).encode() + b"\n")
            with connection.makefile("rb") as answers:
                line = answers.readline(_MAX_LINE)
        answer = json.loads(line)
    except (FileNotFoundError, ConnectionRefusedError):
        raise NodeNotRunning(f"No node runs in {home.path}.", next_command=f"troth serve --home {home.path}") from None
    except (OSError, ValueError) as error:
        raise NodeNotRunning(
            f"The node in {home.path} does not answer.", why=str(error), next_command="see its log"
        ) from None
    if not isinstance(answer, dict):
        raise NodeNotRunning(f"The node in {home.path} gives no usable answer.")
    return answer


def _is_owner(writer: asyncio.StreamWriter) -> bool:
    """Whether the other end is root or the node's own user: the socket's mode says so too, and this does not hang on it."""
    peer: socket.socket = writer.get_extra_info("socket")
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return struct.unpack("3i", credentials)[1] in (0, os.geteuid())
