"""The application's process: the management server, and what it does by itself (watch, ISE, mail).

It is started by `troth serve`, says on a pipe when it is ready, and ends when its standard input does: so it never
outlives the process that started it, however that ended.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import uvicorn

from troth.errors import TrothError
from troth.node import logs
from troth.node.node import Node
from troth.node.run import listener
from troth.node.serving import Served

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from starlette.types import ASGIApp

_log = logging.getLogger("troth.application")
_REFRESH_S = 1.0
_GRACE_S = 10
_PATIENCE_S = 10.0
_SWEEP_S = 600.0


class _Settings(uvicorn.Config):
    """Uvicorn's settings with a TLS context of ours."""

    def __init__(self, app: ASGIApp, served: Served):
        super().__init__(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=True,
            proxy_headers=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=_GRACE_S,
            timeout_keep_alive=15,
            h11_max_incomplete_event_size=16384,
            limit_concurrency=256,
        )
        self._served = served

    def load(self) -> None:
        """Do what the base class does, with our context."""
        super().load()
        self.ssl = self._served.context


def main(argv: list[str]) -> int:
    """Run the application of the home in `$TROTH_HOME`; give the process's status."""
    parser = argparse.ArgumentParser(prog="troth.node.application")
    parser.add_argument("--ready", type=int, required=True, help="the pipe that is told when it is ready")
    args = parser.parse_args(argv)
    try:
        with Node(patience_s=_PATIENCE_S) as node:
            logs.set_up(node.config.logging)
            node.database.migrate()
            asyncio.run(_run(node, args.ready))
    except TrothError as error:
        _log.error("%s", error)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


async def _run(node: Node, ready: int) -> None:
    from troth.node.work import background
    from troth.server.app import application

    open_socket = listener(node.config.management, "The management server")
    served = Served(node.identity)
    server = uvicorn.Server(_Settings(application(node, names=lambda: _names(node, open_socket)), served))
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]  # the parent's stop counts
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(server.serve(sockets=[open_socket]))
        group.create_task(_end_with_parent(stop))
        group.create_task(_every(_REFRESH_S, served.refresh, stop))
        group.create_task(_every(_SWEEP_S, node.accounts.sessions.sweep, stop))
        for work in background(node, stop):
            group.create_task(work)
        group.create_task(_say_ready(server, ready, open_socket, stop))
        await stop.wait()
        server.should_exit = True
        await serving


async def _say_ready(server: uvicorn.Server, ready: int, open_socket: socket.socket, stop: asyncio.Event) -> None:
    while not server.started and not stop.is_set():  # noqa: ASYNC110  # uvicorn has no event for it
        await asyncio.sleep(0.01)
    address, port = open_socket.getsockname()[:2]
    os.write(ready, json.dumps({"address": address, "port": port}).encode() + b"\n")
    os.close(ready)
    _log.info("management server on port %s", port)


async def _end_with_parent(stop: asyncio.Event) -> None:
    """Wait until standard input ends: the parent closed it, or is no more."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()
    transport.close()
    stop.set()


async def _every(interval_s: float, work: Callable[[], Any], stop: asyncio.Event) -> None:
    """Do something in a thread, again and again; a failure is logged, and ends nothing."""
    while not stop.is_set():
        try:
            await asyncio.to_thread(work)
        except TrothError as error:
            _log.error("%s", error)
        except Exception:  # noqa: BLE001  # it is logged whole, and the other tasks go on
            _log.exception("a task of the background failed")
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), interval_s)


def _names(node: Node, open_socket: socket.socket) -> set[str]:
    """Give the names that the server answers to: those of the configuration, and the address that it listens on."""
    address = open_socket.getsockname()[0]
    wild = address in ("0.0.0.0", "::")
    return {*node.config.names, *((_own_addresses() | {"localhost"}) if wild else {address, "localhost"})}


def _own_addresses() -> set[str]:
    import socket as sockets

    found = {"127.0.0.1", "::1"}
    with suppress(OSError):
        found |= {str(each[4][0]).partition("%")[0] for each in sockets.getaddrinfo(sockets.gethostname(), None)}
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
