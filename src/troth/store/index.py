"""The header of SQLite's WAL index, mapped: it tells of every commit of every process, without a system call.

A handle on the index must not be closed while a connection of this process uses the file: POSIX drops all of a process's
locks on a file with the first handle that is closed, and SQLite's own are among them (sqlite.org/howtocorrupt.html,
section 2.2). So each index is mapped once, and let go when SQLite has removed it, or when every connection is closed.
"""

from __future__ import annotations

import itertools
import mmap
import os
import threading
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from troth.store.forking import Place

HEADER = 96


class Index(NamedTuple):
    """An index as this process has mapped it; no two of them have one serial.

    The header of an index that was just made is always the same one. The serial tells them apart.
    """

    serial: bytes
    store: Place
    place: Place
    handle: int
    memory: mmap.mmap

    def token(self) -> bytes:
        """Give what differs after every commit.

        Raises:
            ValueError: It was let go.
        """
        return self.serial + self.memory[:HEADER]


_mapped: dict[Place, Index] = {}
_lock = threading.Lock()
_serials = itertools.count()


def place_of(found: os.stat_result) -> Place:
    """Name a file, whatever it is called."""
    return found.st_dev, found.st_ino


def mapped(path: str, store: Place) -> Index:
    """Map an index, once for the process; the caller has a connection open that uses it.

    Args:
        path: The index.
        store: The database that it belongs to.

    Raises:
        OSError: It is not there.
    """
    with _lock:
        if place_of(os.stat(path)) not in _mapped:
            for gone in [each for each, held in _mapped.items() if not os.fstat(held.handle).st_nlink]:
                # SQLite removed it, so nobody has a lock on it. Threads that have it mapped keep it mapped.
                os.close(_mapped.pop(gone).handle)
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            place = place_of(os.fstat(handle))
            memory = mmap.mmap(handle, 4096, prot=mmap.PROT_READ)
            _mapped[place] = Index(next(_serials).to_bytes(8), store, place, handle, memory)
            return _mapped[place]
        return _mapped[place_of(os.stat(path))]


def forget(used: AbstractSet[Place | None]) -> None:
    """Let go of every index but those of databases that are in use; their connections are all closed.

    Only a fork calls this, with every other thread waiting outside, so nobody else is in `mapped`.
    """
    global _lock
    _lock = threading.Lock()
    for place, held in list(_mapped.items()):
        if held.store not in used:
            del _mapped[place]
            held.memory.close()
            os.close(held.handle)
