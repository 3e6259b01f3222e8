"""The operations of the API, by group: each module gives a list of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from troth.server.api import login, users

if TYPE_CHECKING:
    from troth.server.operations import Operation

OPERATIONS: list[Operation] = [*login.OPERATIONS, *users.OPERATIONS]
