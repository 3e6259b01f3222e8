"""The node itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from troth.accounts.roles import Permission
from troth.node import control
from troth.server.operations import Operation

if TYPE_CHECKING:
    from troth.server.operations import Call


class PartView(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the node, which is a process."""

    name: str
    state: str
    pid: int | None
    since: str
    restarts: int
    last_end: str | None
    facts: dict[str, Any] | None = None


class StatusView(msgspec.Struct, frozen=True, kw_only=True):
    """How the node and its parts do: the document of `troth status --json`."""

    schema: str
    name: str
    home: str
    version: str
    since: str
    role: str
    state: str
    health: dict[str, Any]
    certificate: dict[str, Any]
    parts: list[PartView]


def status(call: Call) -> dict[str, Any]:
    """Ask the process that runs the node."""
    return control.ask(call.node.home, "status")


OPERATIONS = [
    Operation(
        method="GET",
        path="/status",
        name="status",
        about="Show how the node and its parts do.",
        tag="node",
        permission=Permission.READ,
        handler=status,
        result=StatusView,
        long=True,
    ),
]
