"""For load balancers and monitoring: whether the server lives, whether it can do its work, and its figures."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import anyio.to_thread
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from troth.accounts.roles import Permission, require
from troth.errors import TrothError

if TYPE_CHECKING:
    from starlette.requests import Request

    from troth.node.node import Node


def health_routes(node: Node, threads: anyio.CapacityLimiter) -> list[Route]:
    """Give the routes. `/livez` and `/readyz` say one word to everybody; `/metrics` only to who may read."""

    async def livez(request: Request) -> Response:
        del request
        return JSONResponse({"status": "alive"})

    async def readyz(request: Request) -> Response:
        del request
        ready = await anyio.to_thread.run_sync(functools.partial(is_ready, node), limiter=threads)
        return JSONResponse({"status": "ready" if ready else "not ready"}, status_code=200 if ready else 503)

    async def metrics(request: Request) -> Response:
        return await anyio.to_thread.run_sync(functools.partial(_metrics, node, request), limiter=threads)

    places = {"/livez": livez, "/readyz": readyz, "/metrics": metrics}
    return [Route(path, endpoint, methods=["GET"]) for path, endpoint in places.items()]


def is_ready(node: Node) -> bool:
    """Whether the database answers and the journal can be read."""
    try:
        node.store.last_change()
    except TrothError:
        return False
    return True


def _metrics(node: Node, request: Request) -> Response:
    from troth.server.app import identify
    from troth.server.metrics import CONTENT_TYPE, exposition

    require(identify(node, request).role, Permission.READ)
    return Response(exposition(node), media_type=CONTENT_TYPE)
