"""The Health Monitor: what the other node of a pair talks to, and nobody else.

Mutual TLS with the certificates on record as the only ones that get in, compared exactly: who presents another, or none,
ends inside the handshake and learns nothing, also no version. It runs where the application does not.
"""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable, Collection

    from troth.node.serving import Served

MAX_HEAD = 8192
LIMIT_S = 10.0
MAX_CONNECTIONS = 32
_log = logging.getLogger("troth.node.monitor")
Report = dict[str, object]


class HealthMonitor:
    """Serves the peers.

    Args:
        served: The TLS context, which admits the peers alone.
        peers: Gives the certificates (DER) of the peers, as they are now.
        liveness: Gives the state of the node's parts.
    """

    def __init__(self, served: Served, peers: Callable[[], Collection[bytes]], liveness: Callable[[], Report]):
        self._served, self._peers = served, peers
        self._routes: dict[str, Callable[[], Report]] = {"/v1/liveness": liveness}
        self._open = 0
        self._server: asyncio.Server | None = None

    async def start(self, listener: socket.socket) -> None:
        """Begin to accept connections."""
        self._server = await asyncio.start_server(
            self._serve, sock=listener, ssl=self._served.context, ssl_handshake_timeout=LIMIT_S, limit=MAX_HEAD
        )

    async def close(self) -> None:
        """Accept no more."""
        if self._server is not None:
            self._server.close()

    def refresh(self) -> None:
        """Take over a certificate or a peer that changed."""
        self._served.refresh(self._peers())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._open >= MAX_CONNECTIONS:
            writer.transport.abort()
            return
        self._open += 1
        try:
            async with asyncio.timeout(LIMIT_S):
                if not self._admits(writer):
                    return
                writer.write(self._answer(await reader.readuntil(b"\r\n\r\n")))
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            writer.transport.abort()
        finally:
            self._open -= 1
            writer.close()
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(1):
                    await writer.wait_closed()

    def _admits(self, writer: asyncio.StreamWriter) -> bool:
        """Compare exactly: an anchor that is a CA would let in what it signed."""
        connection: ssl.SSLObject | None = writer.get_extra_info("ssl_object")
        presented = connection.getpeercert(binary_form=True) if connection is not None else None
        if presented is not None and presented in self._peers():
            return True
        _log.warning("a connection without the certificate of a peer was ended")
        return False

    def _answer(self, head: bytes) -> bytes:
        words = head.split(b"\r\n", 1)[0].decode("ascii", "replace").split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            return _reply("400 Bad Request", {"detail": "not a request"})
        route = self._routes.get(words[1])
        if route is None:
            return _reply("404 Not Found", {"detail": "no such path"})
        if words[0] not in ("GET", "HEAD"):
            return _reply("405 Method Not Allowed", {"detail": "only GET"})
        return _reply("200 OK", route())


def _reply(status: str, document: Report) -> bytes:
    body = json.dumps(document).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"Cache-Control: no-store\r\nConnection: close\r\n\r\n" + body
