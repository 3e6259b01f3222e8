"""What a server refuses, as the error that the same command on the node would end with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from troth.errors.base import PROBLEM_TYPE_PREFIX, TrothError

if TYPE_CHECKING:
    from collections.abc import Iterator

_OWN = ("type", "title", "status", "detail", "code", "exit_code", "why", "next_command")
_EXITS = range(1, 8)


class ServerError(TrothError):
    """A failure that the server tells; its code, exit code and words are the server's."""


def failure(status: int, data: bytes, server: str) -> ServerError | None:
    """Read a problem document (RFC 9457); None if it is none of a node's."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not isinstance(found.get("code"), str):
        return None
    return told({**found, "status": status}, server)


def told(document: dict[str, Any], server: str) -> ServerError:
    """Make the error of a problem document.

    Args:
        document: The document.
        server: Who says so.
    """
    words = {name: _text(document.get(name)) for name in _OWN}
    known = next((each for each in _known(TrothError) if each.code == words["code"]), TrothError)
    said, status = document.get("exit_code"), document.get("status")
    kind = type(
        "ServerError",
        (ServerError,),
        {
            "code": words["code"] or known.code,
            "slug": words["type"].removeprefix(PROBLEM_TYPE_PREFIX) or known.slug,
            "title": words["title"] or known.title,
            "exit_code": said if isinstance(said, int) and said in _EXITS else known.exit_code,
            "status": status if isinstance(status, int) else known.status,
        },
    )
    made: ServerError = kind(
        words["detail"] or f"{server} could not do it: {words['title'] or 'it does not say why'}.",
        why=words["why"] or ("" if words["detail"] else _where_to_look(document)),
        next_command=words["next_command"],
        details={name: value for name, value in document.items() if name not in _OWN},
    )
    return made


def _known(kind: type[TrothError]) -> Iterator[type[TrothError]]:
    for each in kind.__subclasses__():
        if not issubclass(each, ServerError):
            yield each
            yield from _known(each)


def _text(value: object) -> str:
    return value[:4000] if isinstance(value, str) else ""


def _where_to_look(document: dict[str, Any]) -> str:
    number = _text(document.get("instance"))
    return f"its log has the rest, under {number}" if number else ""
