"""Troth keeps the trust between a management server, its twin and the hosts it works with.

Example:
    >>> import troth
    >>> store = troth.open_store()                          # doctest: +SKIP
    >>> context = troth.Context(store)                      # doctest: +SKIP
    >>> urllib.request.urlopen(url, context=context)        # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from troth import errors
    from troth._version import __version__
    from troth.api import acheck, check
    from troth.store import open_store
    from troth.tls.context import Context

__all__ = ["Context", "__version__", "acheck", "check", "errors", "open_store"]

_HOMES = {
    "Context": "troth.tls.context",
    "__version__": "troth._version",
    "acheck": "troth.api",
    "check": "troth.api",
    "open_store": "troth.store",
}


def __getattr__(name: str) -> object:
    """Import on first use: a program that lists the store has no need of TLS."""
    import importlib

    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name == "errors":
        return importlib.import_module("troth.errors")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
