"""What the API can be asked, as data: from one list come the routes, the checks before them, and the OpenAPI document.

An operation says who may call it, what it takes and what it gives. Its handler is a plain function that runs in a thread;
before it is called, the caller was identified, allowed, and everything that was sent is of the form that was promised.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from troth.errors import BadRequest, ChangedMeanwhile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from troth.accounts.protocols import Identity
    from troth.accounts.roles import Permission
    from troth.node.node import Node

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call, checked.

    Args:
        node: The node, acting as the caller.
        who: The caller; None only where nobody needs to be.
        path: What the path's variables were.
        query: The query, of the operation's type.
        body: The body, of the operation's type.
        if_match: The tag of what the caller has seen and means (`If-Match`); None if it does not matter.
        address: Where the call came from.
        agent: What the caller's program calls itself.
        login: The secret of the caller's log-in, where a browser calls.
    """

    node: Node
    who: Identity | None
    path: Mapping[str, str] = field(default_factory=dict)
    query: Any = None
    body: Any = None
    if_match: str | None = None
    address: str = ""
    agent: str = ""
    login: str = ""

    @property
    def caller(self) -> Identity:
        """The caller, where there must be one."""
        assert self.who is not None  # noqa: S101  # operations with a permission are never called without
        return self.who

    def require_version(self, version: str) -> None:
        """Go on only if what is there now is what the caller has seen; inside the transaction of the change.

        Raises:
            ChangedMeanwhile: It is not.
        """
        if self.if_match is not None and self.if_match != f'"{version}"':
            raise ChangedMeanwhile(
                "It was changed since you looked at it; nothing was done.",
                why="its version is no longer the one in If-Match",
                next_command="look again, and decide about what is there now",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a handler gives, where it is more than the result.

    Args:
        result: The result.
        status: The status.
        cookie: A `Set-Cookie` header.
        version: The version of what is given, for `If-Match`. It covers what is trusted, and no mere sightings.
        media: The media type, where the operation has several.
    """

    result: Any = None
    status: int = 200
    cookie: str = ""
    version: str = ""
    media: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation.

    Args:
        method: The HTTP method.
        path: The path below `/api/v1`, with `{variables}`.
        name: Its name in the OpenAPI document, and in clients that are made from it.
        about: One sentence.
        tag: The group that it belongs to.
        permission: What the caller must hold; None if nobody needs to be logged in.
        handler: What does it.
        result: What it gives; None for nothing.
        status: The status when it worked.
        query: What the query holds.
        body: What the body holds.
        errors: The statuses of failures that it may end with, besides 400, 401, 403, 422, 429 and 5xx.
        media: The media types of the result, where it is not JSON alone.
        long: It reaches out to other hosts, or reads everything. Such calls have threads of their own, so that they keep
            nobody else waiting; and a certificate that is rejected is the failure of another host, not of the caller.
        proves: It checks a password. Guessers are held back; in threads of their own, they hold up only each other.
        versioned: It takes `If-Match`, and gives `ETag` where it gives an entry.
        larger: How many bytes its body may have, if more than others.
    """

    method: Method
    path: str
    name: str
    about: str
    tag: str
    permission: Permission | None
    handler: Callable[[Call], Any]
    result: Any = None
    status: int = 200
    query: type[msgspec.Struct] | None = None
    body: type[msgspec.Struct] | None = None
    errors: tuple[int, ...] = ()
    media: tuple[str, ...] = ("application/json",)
    long: bool = False
    proves: bool = False
    versioned: bool = False
    larger: int = 0


class Nothing(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """An empty query."""


def parse_query(kind: type[msgspec.Struct] | None, given: list[tuple[str, str]]) -> Any:
    """Read a query.

    Raises:
        BadRequest: It holds what the operation does not take, or something twice.
    """
    names = [name for name, _ in given]
    if len(set(names)) != len(names):
        raise BadRequest("The query names something twice.")
    try:
        found = msgspec.convert(dict(given), kind or Nothing, strict=False)
    except msgspec.ValidationError as error:
        raise BadRequest("The query cannot be used.", why=str(error)) from None
    # What is not strict takes the word null for nothing at all, and a number for a time.
    for name, text in given:
        value = getattr(found, name)
        if value is None or (isinstance(value, datetime) and ":" not in text):
            raise BadRequest(
                f"The query's {name} cannot be used.", why="leave it out, or write it as the document says"
            )
    return found


def parse_body(kind: type[msgspec.Struct] | None, content_type: str, data: bytes) -> Any:
    """Read a body.

    Raises:
        BadRequest: It is not of the form that the operation takes.
    """
    if kind is None:
        if data:
            raise BadRequest("This operation takes no body.")
        return None
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise BadRequest("The body must be application/json.", why=f"it is {content_type[:60] or 'of no type'!a}")
    try:
        return msgspec.convert(_whole(msgspec.json.decode(data)), kind)
    except msgspec.DecodeError as error:
        # Its text names places and types, never values.
        raise BadRequest("The body cannot be used.", why=str(error)) from None
    except (UnicodeDecodeError, RecursionError):
        raise BadRequest("The body is not JSON in UTF-8.") from None


def _whole(value: Any) -> Any:
    """Give whole numbers as such: to JSON and its schemas, 90.0 is the same number as 90."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_whole(each) for each in value]
    if isinstance(value, dict):
        return {name: _whole(each) for name, each in value.items()}
    return value
