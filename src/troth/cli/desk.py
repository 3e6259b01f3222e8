"""The way from the commands about events and messages to the node's database: one function, `opened`."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from troth.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterator

    from troth.notify.board import Board
    from troth.notify.outbox import Outbox
    from troth.notify.settings import Channels

_LENGTH = re.compile(r"([1-9][0-9]{0,5})(m|h|d|w)")
_UNITS = {
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What the commands work with.

    Args:
        board: Events and silences.
        channels: The channels.
        outbox: What waits to be delivered.
        who: Who runs the command.
    """

    board: Board
    channels: Channels
    outbox: Outbox
    who: str


@contextmanager
def opened() -> Iterator[Desk]:
    """Open the node's database, its vault and its trust store.

    Raises:
        ConfigUnusable: There is no node here.
    """
    from troth.node.node import Node

    with Node() as node:
        yield desk(node.database, node.vault, node.store)


def desk(database: Any, vault: Any, store: Any) -> Desk:
    """Make a desk of a database, a sealer and a trust store."""
    from troth.notify.board import Board
    from troth.notify.outbox import Outbox
    from troth.notify.settings import Channels

    channels = Channels(database, store, vault, clock=now)
    return Desk(
        board=Board(database, clock=now),
        channels=channels,
        outbox=Outbox(database, channels, clock=now),
        who=store.actor,
    )


def now() -> datetime:
    """Give the time, aware, in UTC."""
    return datetime.now(UTC)


def length(text: str) -> timedelta:
    """Read a length of time: `30m`, `8h`, `7d`, `2w`.

    Raises:
        BadInput: It is none.
    """
    found = _LENGTH.fullmatch(text)
    if found is None:
        raise BadInput(f"{text[:40]!r} is no length of time.", why="write it as 30m, 8h, 7d or 2w")
    return int(found[1]) * _UNITS[found[2]]


def moment(text: str) -> datetime:
    """Read a time with its offset from UTC (RFC 3339).

    Raises:
        BadInput: It is none, or its offset is not known.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise BadInput(f"{text[:40]!r} is no time.", why="write it as 2030-01-31T18:00:00Z")
    return found.astimezone(UTC)
