"""Failures as RFC 9457 documents: what is ours to tell, and nothing of the inside.

A failure of the node itself (its database, its configuration, a mistake) is answered with its code and the request's
number alone; the log has the rest under the same number.
"""

from __future__ import annotations

import json
import logging
import secrets
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.responses import Response

from troth.errors import TrothError
from troth.errors.base import PROBLEM_TYPE_PREFIX

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MEDIA_TYPE = "application/problem+json"
_OURS = (500, 503)
_PUBLIC = ("type", "title", "status", "code")
_TITLES = {404: "Not found", 405: "The method is not for this place"}
_log = logging.getLogger("troth.server")


class Upstream(Exception):
    """A host that the node itself needed is not trusted: the failure of another host, not of the caller.

    Args:
        error: The rejection, told in the words that it has everywhere.
    """

    def __init__(self, error: TrothError):
        super().__init__(str(error))
        self.error = error


class RequestId:
    """Gives each request a number of its own, in `request.state.request_id` and in the answer. None is taken over.

    Args:
        app: What is called.
    """

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        number = secrets.token_hex(16)
        scope["state"] = {**scope.get("state", {}), "request_id": number}

        async def numbered(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = [each for each in message.get("headers", ()) if each[0].lower() != b"x-request-id"]
                message["headers"] = [*kept, (b"x-request-id", number.encode())]
            await send(message)

        await self._app(scope, receive, numbered)


class Problems:
    """Turns failures that nobody caught into answers.

    Args:
        app: What is called.
    """

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        begun = finished = False

        async def watched(message: Message) -> None:
            nonlocal begun, finished
            begun = True
            finished = message["type"] == "http.response.body" and not message.get("more_body", False)
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            if begun:
                if finished:
                    return  # it was answered and logged already, and is raised for servers that log themselves
                raise
            await refuse(scope, receive, send, error)


async def refuse(scope: Scope, receive: Receive, send: Send, error: Exception) -> None:
    """Answer a request that has no answer yet with a failure."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": ""})
        return
    await response(error, request_id=request_id(scope))(scope, receive, send)


async def answer(request: Request, error: Exception) -> Response:
    """Answer a failure, as an exception handler of Starlette."""
    return response(error, request_id=request_id(request.scope))


# For `Starlette(exception_handlers=…)`: failures inside the application, those that nobody foresaw among them.
HANDLERS: dict[Any, Any] = {TrothError: answer, Upstream: answer, HTTPException: answer, Exception: answer}


def response(error: Exception, *, request_id: str) -> Response:
    """Make the answer for a failure, and log it if it is the node's own."""
    document = public(error)
    status = int(str(document["status"]))
    if status in _OURS:
        _log.error("request %s failed: %s", request_id, document.get("code"), exc_info=error)
    document["instance"] = f"urn:troth:request:{request_id}"
    headers = {"Cache-Control": "no-store"}
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="troth"'
    if "retry_after" in document:
        headers["Retry-After"] = str(document["retry_after"])
    if isinstance(error, HTTPException) and status == 405:
        headers |= {name: value for name, value in (error.headers or {}).items() if name.lower() == "allow"}
    text = json.dumps(document, ensure_ascii=True, default=str)
    return Response(text, status_code=status, headers=headers, media_type=MEDIA_TYPE)


def public(error: Exception) -> dict[str, object]:
    """Give what the caller may know of a failure."""
    if isinstance(error, HTTPException):
        title = _TITLES.get(error.status_code, "The request was refused")
        return {"type": "about:blank", "title": title, "status": error.status_code}
    if isinstance(error, Upstream):
        return {**public(error.error), "status": 502}
    if not isinstance(error, TrothError):
        return public(TrothError(""))
    document = error.problem()
    if error.status in _OURS:
        return {name: document[name] for name in _PUBLIC}
    # What was added for programs never takes the place of what the document itself says.
    return {**document, "type": PROBLEM_TYPE_PREFIX + error.slug, "status": error.status, "code": error.code}


def request_id(scope: Scope) -> str:
    """Give the number of a request."""
    return str(scope.get("state", {}).get("request_id", "none"))
