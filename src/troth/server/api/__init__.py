"""The operations of the API, by group: each module gives a list of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from troth.server.api import changes, checks, entries, events, ise, keys, login, node, own, policies, records, users

if TYPE_CHECKING:
    from troth.server.operations import Operation

_GROUPS = (login, own, users, entries, checks, changes, policies, records, ise, events, keys, node)
OPERATIONS: list[Operation] = [each for group in _GROUPS for each in group.OPERATIONS]
