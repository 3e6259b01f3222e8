"""What systemd is told: that the node is ready, that it lives, that it stops (sd_notify(3))."""

from __future__ import annotations

import os
import socket
from contextlib import suppress


def notify(*lines: str) -> None:
    """Tell systemd, if it asked to be told; it is never a failure if it cannot be."""
    place = os.environ.get("NOTIFY_SOCKET", "")
    if not place.startswith(("/", "@")):
        return
    address = "\0" + place[1:] if place[0] == "@" else place
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.sendto("\n".join(lines).encode(), address)


def watchdog_interval_s() -> float | None:
    """Give how often systemd wants a sign of life: half of its limit; None if it wants none."""
    limit = os.environ.get("WATCHDOG_USEC", "")
    owner = os.environ.get("WATCHDOG_PID", "")
    if not limit.isdigit() or int(limit) == 0 or (owner and owner != str(os.getpid())):
        return None
    return int(limit) / 2_000_000
