"""One node a home: a lock that the kernel lets go of when its holder ends, however it ends."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from troth.errors import NodeRunning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from troth.node.home import Home


@contextmanager
def exclusive(home: Home) -> Iterator[None]:
    """Hold the home's lock.

    Raises:
        NodeRunning: Another process holds it.
    """
    home.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(home.state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise NodeRunning(
                f"A node runs in {home.path} already (process {holder}).", next_command="troth status, or: troth stop"
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)
