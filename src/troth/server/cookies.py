"""The one cookie: what a browser holds of a log-in.

Its name begins with `__Host-`, so a browser takes it only from this very host, over TLS, for all paths: neither a
neighbour in the domain nor somebody on plain HTTP can plant another one. Scripts cannot read it, and it goes along with
no request that another site makes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from troth.server import headers

if TYPE_CHECKING:
    from starlette.types import Scope

LOGIN = "__Host-troth"
_ATTRIBUTES = "Path=/; Secure; HttpOnly; SameSite=Strict"
_VALUE = re.compile(r"[A-Za-z0-9_-]{1,64}")


def login_cookie(secret: str) -> str:
    """Give the value of `Set-Cookie` that hands a log-in to the browser; it forgets it when it is closed.

    Raises:
        ValueError: It is no secret that we made.
    """
    if not _VALUE.fullmatch(secret):
        raise ValueError("this is no secret of a log-in")
    return f"{LOGIN}={secret}; {_ATTRIBUTES}"


def ended_cookie() -> str:
    """Give the value of `Set-Cookie` that takes the log-in from the browser."""
    return f"{LOGIN}=; Max-Age=0; {_ATTRIBUTES}"


def login_secret(scope: Scope) -> str:
    """Give what the browser holds; empty if it holds nothing, or more than one thing under this name."""
    found = _values(scope)
    return found[0] if len(found) == 1 and _VALUE.fullmatch(found[0]) else ""


def sends_cookie(scope: Scope) -> bool:
    """Tell whether our cookie comes along, whatever it holds."""
    return bool(_values(scope))


def bearer(scope: Scope) -> str:
    """Give the token of the request's `Authorization`; empty if there is none.

    Raises:
        BadRequest: There is more than one `Authorization`.
    """
    kind, _, token = (headers.one(scope, "authorization") or "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


def _values(scope: Scope) -> list[str]:
    pairs = (pair.strip().partition("=") for header in headers.every(scope, "cookie") for pair in header.split(";"))
    return [value for name, _, value in pairs if name == LOGIN]
