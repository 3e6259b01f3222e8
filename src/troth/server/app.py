"""The management server's application: operations behind their guards, and what tells others how the node does."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import anyio.to_thread
import msgspec
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from troth.accounts.roles import require
from troth.accounts.throttle import Throttle
from troth.errors import CertificateRejected, NotAuthenticated
from troth.server import headers, openapi
from troth.server.api import OPERATIONS
from troth.server.cookies import bearer, login_secret
from troth.server.health import health_routes
from troth.server.operations import Answer, Call, parse_body, parse_query
from troth.server.problems import HANDLERS, Upstream
from troth.server.security import guarded

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from starlette.requests import Request
    from starlette.types import ASGIApp

    from troth.accounts.protocols import Identity
    from troth.node.node import Node
    from troth.server.operations import Operation

    Endpoint = Callable[[Request], Awaitable[Response]]

# Handlers wait for the database and for other hosts; more of them at once would only wait for each other.
_THREADS = 16
# Who guesses passwords is held back for seconds, and holds up nobody but other guessers.
_PROOF_THREADS = 8
# What takes long has threads of its own: however many hosts do not answer, everybody else is answered.
_LONG_THREADS = 8
_BURST, _PER_S = 200, 50.0


def application(node: Node, *, names: Callable[[], Collection[str]]) -> ASGIApp:
    """Make the application of a node.

    Args:
        node: The node.
        names: Gives the names and addresses that it answers to.
    """
    threads, long_threads = anyio.CapacityLimiter(_THREADS), anyio.CapacityLimiter(_LONG_THREADS)
    proof_threads = anyio.CapacityLimiter(_PROOF_THREADS)
    described = openapi.document(OPERATIONS, name=node.config.name)

    async def describe(request: Request) -> Response:
        del request
        return JSONResponse(described)

    # One route a path, so that `Allow` is right; fixed words are tried before a variable in their place.
    paths: dict[str, dict[str, Endpoint]] = {}
    for each in sorted(OPERATIONS, key=lambda each: [part.startswith("{") for part in each.path.split("/")]):
        lane = proof_threads if each.proves else long_threads if each.long else threads
        made = _endpoint(each, node, lane)
        paths.setdefault(f"/api/v1{each.path}", {})[each.method] = made
    routes = [Route(path, _by_method(found), methods=list(found)) for path, found in paths.items()]
    routes += [Route("/api/openapi.json", describe, methods=["GET"]), *health_routes(node, threads)]
    inner = Starlette(routes=routes, exception_handlers=HANDLERS)
    throttle = Throttle(burst=_BURST, rate=_PER_S)
    larger = {f"/api/v1{each.path}": each.larger for each in OPERATIONS if each.larger}
    return guarded(inner, names=names, throttle=throttle, larger=larger)


def _by_method(found: dict[str, Endpoint]) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        return await found["GET" if request.method == "HEAD" else request.method](request)

    return endpoint


def _endpoint(operation: Operation, node: Node, threads: anyio.CapacityLimiter) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        body = await request.body()
        work = functools.partial(_answer, operation, node, request, body)
        return await anyio.to_thread.run_sync(work, limiter=threads)

    return endpoint


def _answer(operation: Operation, node: Node, request: Request, body: bytes) -> Response:
    """Identify, allow, read, do; in this order, so that nobody learns what would have been done."""
    who = identify(node, request) if operation.permission is not None else None
    if who is not None and operation.permission is not None:
        require(who.role, operation.permission)
    source = headers.client_address(request.scope)
    call = Call(
        node=node.acting(f"{who.name}", f"api@{source}") if who else node,
        who=who,
        path=request.path_params,
        query=parse_query(operation.query, request.query_params.multi_items()),
        body=parse_body(operation.body, request.headers.get("content-type", ""), body),
        if_match=headers.one(request.scope, "if-match") if operation.versioned else None,
        address=source,
        agent=request.headers.get("user-agent", "")[:200],
        login=login_secret(request.scope),
    )
    try:
        given = operation.handler(call)
    except CertificateRejected as error:
        if operation.long:
            raise Upstream(error) from error
        raise
    answer = given if isinstance(given, Answer) else Answer(result=given, status=operation.status)
    return _response(operation, answer)


def identify(node: Node, request: Request) -> Identity:
    """Find out who calls: by a token if there is one, else by the browser's log-in.

    Raises:
        NotAuthenticated: Neither tells.
    """
    token = bearer(request.scope)
    if token:
        return node.accounts.tokens.identify(token)
    secret = login_secret(request.scope)
    if secret:
        return node.accounts.sessions.identify(secret)
    raise NotAuthenticated(
        "You are not logged in.", next_command="POST /api/v1/login, or send an API token as a bearer token"
    )


def _response(operation: Operation, answer: Answer) -> Response:
    made_headers = {}
    if answer.cookie:
        made_headers["Set-Cookie"] = answer.cookie
    if answer.version:
        made_headers["ETag"] = f'"{answer.version}"'
    if answer.result is None:
        return Response(status_code=204 if answer.status == 200 else answer.status, headers=made_headers)
    media = answer.media or operation.media[0]
    whole = isinstance(answer.result, str | bytes)
    content = answer.result if whole else msgspec.json.encode(answer.result, enc_hook=_plain)
    return Response(content, status_code=answer.status, media_type=media, headers=made_headers)


def _plain(value: Any) -> Any:
    """Write what JSON has no word for."""
    return str(value)
