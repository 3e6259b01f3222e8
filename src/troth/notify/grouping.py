"""Many events, few messages: what one cause did to five hundred hosts is told once. Pure.

A group is closed when it has been quiet for a while, or when its first event has waited long enough. Every event is in
exactly one message or still waits; none is lost, and none is told twice.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from troth.notify.events import Event, Filed, Message

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LISTED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """How long a group is left open.

    Args:
        quiet: It is closed when nothing joined it for this long.
        longest: It is closed when its first event is this old, whatever still comes.
    """

    quiet: timedelta = timedelta(seconds=60)
    longest: timedelta = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The events of one message, and their numbers."""

    message: Message
    ids: tuple[int, ...]


def groups(waiting: Sequence[Filed], now: datetime, window: Window) -> tuple[list[Group], list[Filed]]:
    """Put events together; give the groups that are closed, and the events that still wait.

    Args:
        waiting: Events that are in no message yet, in any order, each once.
        now: The time, aware.
        window: How long groups are left open.
    """
    gathered: dict[tuple[str, str, str], list[Filed]] = {}
    for filed in sorted(waiting, key=lambda each: (each.event.at, each.id)):
        gathered.setdefault(filed.event.group_key, []).append(filed)
    closed: list[Group] = []
    left: list[Filed] = []
    for members in gathered.values():
        for run in _runs(members, window):
            if _closed(run, now, window):
                closed.append(_group(run, now))
            else:
                left += run
    return sorted(closed, key=lambda group: (group.message.first_at, group.ids)), left


def _runs(members: list[Filed], window: Window) -> list[list[Filed]]:
    """Part what lies further apart than the window: after a standstill, old events are not mixed with new ones."""
    runs: list[list[Filed]] = []
    for filed in members:
        run = runs[-1] if runs else None
        if (
            run is None
            or filed.event.at - run[-1].event.at > window.quiet
            or filed.event.at - run[0].event.at > window.longest
        ):
            runs.append([filed])
        else:
            run.append(filed)
    return runs


def _closed(run: list[Filed], now: datetime, window: Window) -> bool:
    return now - run[-1].event.at > window.quiet or now - run[0].event.at > window.longest


def _group(run: list[Filed], now: datetime) -> Group:
    events = [filed.event for filed in run]
    first = events[0]
    message = Message(
        key=key_of(run),
        kind=first.kind,
        severity=max((event.severity for event in events), key=lambda severity: severity.rank),
        cause=first.cause,
        events=tuple(events[:LISTED]),
        count=len(events),
        first_at=first.at,
        last_at=events[-1].at,
        not_through=first.not_through,
        made_at=now,
    )
    return Group(message=message, ids=tuple(filed.id for filed in run))


def key_of(run: Iterable[Filed]) -> str:
    """Give the key of a message: of its events alone, so that it stays the same however often it is sent."""
    digest = hashlib.sha256()
    for filed in run:
        event = filed.event
        text = f"{filed.id}\n{event.at.isoformat()}\n{event.kind}\n{event.subject}\n{event.what}\n"
        digest.update(f"{len(text)}:{text}".encode("utf-8", "backslashreplace"))
    return digest.hexdigest()[:32]


def single(event: Event, now: datetime) -> Message:
    """Make a message of one event that is not on record: a test."""
    return _group([Filed(id=0, event=event)], now).message
