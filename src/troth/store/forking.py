"""What a fork must not carry over: SQLite's open files, and locks that another thread holds.

SQLite knows, for each process, which locks it has on which file. A forked child inherits that knowledge and not the
locks, so it would take for locked what is not (sqlite.org/howtocorrupt.html, section 2.6). So every connection is closed
before a fork; each side opens its own when it next needs one.

A connection that is in use at that moment is waited for. One that stays in use (the fork happens inside a transaction,
or beside a very long one) cannot be closed: then the child may not use that file, and says so.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from typing import Protocol

from troth.errors.base import StoreUnusable
from troth.store import index

PATIENCE_S = 5.0
Place = tuple[int, int]


class Holder(Protocol):
    """What one thread holds of one file. `uses` counts how deep the thread is inside it."""

    thread: int
    uses: int
    place: Place | None

    def let_go(self) -> None:
        """Close what is held; it is opened again at its next use."""

    def abandon(self) -> None:
        """Keep what is held open for ever: in a child, closing it would disturb the parent."""


class Renewable(Protocol):
    """What has locks, or state of a thread, that a child must not inherit."""

    def renew(self) -> None:
        """Begin anew, in the child."""


_gate = threading.Condition()
_forks = 0
_holders: weakref.WeakSet[Holder] = weakref.WeakSet()
_renewable: weakref.WeakSet[Renewable] = weakref.WeakSet()
_stuck: list[Holder] = []
_stranded: set[Place] = set()


def watch(holder: Holder) -> None:
    """Have a holder let go before each fork."""
    with _gate:
        _holders.add(holder)


def renew_in_children(each: Renewable) -> None:
    """Have something renewed in each child."""
    with _gate:
        _renewable.add(each)


def enter(holder: Holder) -> None:
    """Begin to use what is held; while another thread forks, wait."""
    if holder.uses:
        holder.uses += 1
        return
    with _gate:
        while _forks:
            _gate.wait()
        holder.uses = 1


def leave(holder: Holder) -> None:
    """End one use."""
    if holder.uses > 1:
        holder.uses -= 1
        return
    with _gate:
        holder.uses = 0
        _gate.notify_all()


def require_usable(place: Place) -> None:
    """Stop in a child that was forked while the file was in use.

    Raises:
        StoreUnusable: It was.
    """
    if place in _stranded:
        raise StoreUnusable(
            "This process was forked while its parent used the trust store, so it cannot use it safely.",
            why="SQLite's locks do not pass to a child, and the parent's could not be let go in the middle of a transaction",
            next_command="fork outside of transactions; or start workers by multiprocessing's 'spawn', or by a program",
        )


def _before() -> None:
    """Wait for those who use a store, close every connection, and let nobody in until the fork is over."""
    global _forks
    _gate.acquire()
    _forks += 1
    mine, end = threading.get_ident(), time.monotonic() + PATIENCE_S
    while any(each.uses and each.thread != mine for each in list(_holders)):
        left = end - time.monotonic()
        if left <= 0:
            break
        _gate.wait(left)
    # A strong reference: in the child, the variables of the other threads die before `_in_child` is called.
    _stuck[:] = [each for each in list(_holders) if each.uses or not _lets_go(each)]
    index.forget({each.place for each in _stuck})


def _lets_go(holder: Holder) -> bool:
    try:
        holder.let_go()
    except Exception:  # noqa: BLE001  # a hook of fork has nobody to tell; the child will not use this file
        return False
    return True


def _in_parent() -> None:
    global _forks
    _stuck.clear()
    _forks -= 1
    _gate.notify_all()
    _gate.release()


def _in_child() -> None:
    global _gate, _forks
    _gate, _forks = threading.Condition(), 0
    for each in _stuck:
        each.abandon()
        if each.place is not None:
            _stranded.add(each.place)
    _stuck.clear()
    _holders.clear()
    for one in list(_renewable):
        one.renew()


os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
