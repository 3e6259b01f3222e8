"""The plain connection under TLS: addresses, time limit, proxy."""

from __future__ import annotations

import errno
import os
import select
import socket
import time
from contextlib import contextmanager
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Self

from troth.errors import TimedOut, Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from troth.model.endpoint import Endpoint
    from troth.tls.deadline import Deadline

    # Given an address and a port, raises if nothing may be said to it.
    Permit = Callable[[str, int], None]

# How long an address is alone on the way before the next one is tried beside it (RFC 8305 section 5).
STAGGER_S = 0.25
_Address = tuple[int, int, int, str, tuple[object, ...]]


def connect(endpoint: Endpoint, deadline: Deadline, permit: Permit | None = None) -> socket.socket:
    """Connect to the first of the host's addresses that answers; one that stays silent does not use up the others' time.

    Args:
        endpoint: Where.
        deadline: The limit of the whole attempt.
        permit: Asked about each address that is about to be connected to: the name may lead elsewhere than it did.

    Raises:
        Unreachable: None does.
        TimedOut: The limit ran out first.
        NotAllowed: `permit` refused an address.
    """
    with _Race(endpoint.port, deadline, permit) as race:
        found = race.run(_addresses(endpoint, deadline))
        if found is not None:
            found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return found
        failure = race.failure
    raise Unreachable(
        f"{endpoint} could not be reached.",
        why=(failure.strerror or str(failure)) if failure else "it has no address",
        next_command=f"troth check {endpoint} --timeout 30, after a look at the network and the port",
        details={"endpoint": str(endpoint)},
    )


def reach(
    endpoint: Endpoint, proxy: Endpoint | None, deadline: Deadline, permit: Permit | None = None
) -> socket.socket:
    """Connect to an endpoint, or to the proxy on the way to it; that resolves names by itself, so `permit` sees the name.

    Raises:
        Unreachable: It cannot be reached; the error says which of the two.
        TimedOut: The limit ran out first.
        NotAllowed: `permit` refused the address.
    """
    if proxy is None:
        return connect(endpoint, deadline, permit)
    if permit is not None:
        permit(endpoint.host, endpoint.port)
    try:
        return connect(proxy, deadline)
    except Unreachable as error:
        raise type(error)(
            f"The proxy {proxy} on the way to {endpoint} could not be reached.",
            why=error.why if not isinstance(error, TimedOut) else f"it did not answer within {deadline.seconds:g} s",
            next_command=f"look at the proxy, or leave --proxy out: troth check {endpoint}",
            details={"endpoint": str(endpoint), "proxy": str(proxy)},
        ) from None


@contextmanager
def naming(where: str) -> Iterator[None]:
    """Have every failure to get through say where that was, in its text and for programs."""
    try:
        yield
    except Unreachable as error:
        error.details.setdefault("endpoint", where)
        error.next_command = error.next_command.replace("HOST:PORT", where)
        if where not in error.what:
            error.what = f"{where}: {error.what[:1].lower()}{error.what[1:]}"
            error.args = (error.what,)
        raise


class _Race:
    """Several addresses on the way at once, each with a head start before the next; what lost is closed."""

    def __init__(self, port: int, deadline: Deadline, permit: Permit | None):
        self._port, self._deadline, self._permit = port, deadline, permit
        self._running: dict[int, socket.socket] = {}
        self._poll = select.poll()
        self._next = 0.0
        self.failure: OSError | None = None

    def run(self, addresses: list[_Address]) -> socket.socket | None:
        """Give the first connection; None if every address failed."""
        waiting = list(addresses)
        while waiting or self._running:
            moment, left = time.monotonic(), self._deadline()
            if waiting and moment >= self._next:
                self._next = moment + STAGGER_S
                won = self._start(*waiting.pop(0))
            else:
                won = self._wait(min(left, self._next - moment) if waiting else left)
            if won is not None:
                won.settimeout(self._deadline())
                return won
        return None

    def _start(
        self, family: int, kind: int, protocol: int, _: str, address: tuple[object, ...]
    ) -> socket.socket | None:
        if self._permit is not None:
            self._permit(str(address[0]), self._port)
        candidate = socket.socket(family, kind, protocol)
        self._running[candidate.fileno()] = candidate
        candidate.setblocking(False)  # noqa: FBT003  # the standard library's signature
        code = candidate.connect_ex(address)
        if code == 0:
            return self._running.pop(candidate.fileno())
        if code == errno.EINPROGRESS:
            self._poll.register(candidate, select.POLLOUT)
        else:
            self._lost(candidate.fileno(), code)
        return None

    def _wait(self, seconds: float) -> socket.socket | None:
        for number, _ in self._poll.poll(int(seconds * 1000) + 1):
            self._poll.unregister(number)
            code = self._running[number].getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code == 0:
                return self._running.pop(number)
            self._lost(number, code)
        return None

    def _lost(self, number: int, code: int) -> None:
        self.failure, self._next = OSError(code, os.strerror(code)), 0.0
        self._running.pop(number).close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        for each in self._running.values():
            each.close()


def _addresses(endpoint: Endpoint, deadline: Deadline) -> list[_Address]:
    """Give the addresses, the families in turns (RFC 8305 section 4)."""
    try:
        found = _looked_up(endpoint, deadline)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise Unreachable(
            f"The name {endpoint.host} of {endpoint} has no address.",
            why=reason,
            next_command=f"getent hosts {endpoint.host}",
            details={"endpoint": str(endpoint)},
        ) from None
    first = [each for each in found if each[0] == found[0][0]]
    others = [each for each in found if each[0] != found[0][0]]
    return [each for each in chain.from_iterable(zip_longest(first, others)) if each is not None]


def _looked_up(endpoint: Endpoint, deadline: Deadline) -> list[_Address]:
    """Look a name up, in a thread: the system's resolver knows no limit of ours."""
    if ":" in endpoint.host or endpoint.host.rpartition(".")[2].isdigit():
        return _ask_system(endpoint)
    import queue
    import threading

    answers: queue.SimpleQueue[list[_Address] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(_ask_system(endpoint))
        except Exception as error:  # noqa: BLE001  # raised by the one who waits
            answers.put(error)

    threading.Thread(target=ask, daemon=True, name=f"look-up of {endpoint.host}").start()
    try:
        found = answers.get(timeout=deadline())
    except queue.Empty:
        raise TimedOut(
            f"The name {endpoint.host} of {endpoint} was not looked up within {deadline.seconds:g} s.",
            why="the system's name servers do not answer",
            next_command=f"getent hosts {endpoint.host}",
            details={"endpoint": str(endpoint)},
        ) from None
    if isinstance(found, Exception):
        raise found
    return found


def _ask_system(endpoint: Endpoint) -> list[_Address]:
    return socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)  # type: ignore[return-value]  # its shape depends on the family
