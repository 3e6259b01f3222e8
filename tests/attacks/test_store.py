"""Attacks on the record, and every failure on the way to a verdict: nothing is sent, and nothing is learned (threats 17, 25 to 29)."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import sqlite3
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.test_clients import reasons
from tests.attacks.conftest import Command, Record
from tests.attacks.making import SECRET, SENDING, WAYS, by_check, by_socket, certified, way_name
from tests.stores import on_both_engines
from troth import manage
from troth.errors import CertificateRejected, StoreUnusable, StoreVanished, TrothError
from troth.model.endpoint import Endpoint
from troth.store import open_store
from troth.store.base import Store
from troth.store.sqlite import SqliteStore
from troth.tls.context import Context
from troth.tls.guard import GuardedSocket

each_way = pytest.mark.parametrize("way", WAYS, ids=way_name)
each_sending_way = pytest.mark.parametrize("way", SENDING, ids=way_name)
Way = Callable[..., None]
FAILURES = (
    MemoryError("no memory"),
    OSError(5, "Input/output error"),
    KeyboardInterrupt(),
    RecursionError("too deep"),
    sqlite3.OperationalError("database is locked"),
    StoreUnusable("The trust store cannot be used."),
    AssertionError("a bug"),
    SystemExit(1),
    TimeoutError("too late"),
)
each_failure = pytest.mark.parametrize("failure", FAILURES, ids=lambda each: type(each).__name__)


def here(port: int) -> Endpoint:
    """Give the endpoint of a port."""
    return Endpoint("127.0.0.1", port)


def failing(failure: BaseException) -> Callable[..., Any]:
    """Make a function that fails."""

    def fail(*_: object, **__: object) -> Any:
        raise failure

    return fail


# Threat 17


@on_both_engines
@each_failure
@pytest.mark.parametrize("known", [False, True], ids=["stranger", "known"])
@each_sending_way
def test_threat_17_a_failure_in_the_judge_is_a_rejection(
    way: Way, known: bool, failure: BaseException, record: Record, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threat 17 (CVE-2025-26465): whatever goes wrong while a certificate is judged, the host gets zero bytes and is not learned."""
    server = record(ask=False)
    if known:
        by_check(store, server.port)
    before = len(server.settled())
    with monkeypatch.context() as patch:
        patch.setattr(type(store), "judge", failing(failure))
        with pytest.raises(BaseException):  # noqa: B017  # exactly: that it does not pass
            way(store, server.port)
    assert not any(visit.received for visit in server.settled(before))
    assert (store.entry(here(server.port)) is not None) is known


@on_both_engines
@each_failure
@pytest.mark.parametrize("at", ["judge", "version", "last_change", "policy", "certificate"])
def test_threat_17_a_dead_connection_stays_dead(
    at: str, failure: BaseException, record: Record, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threat 17: after a failure, the same connection carries nothing, however often it is tried, though all is well again."""
    server = record(ask=False)
    by_check(store, server.port)
    before = len(server.settled())
    raw = socket.create_connection(("127.0.0.1", server.port), timeout=5)
    with contextlib.ExitStack() as stack:
        stack.callback(raw.close)
        try:
            tls = stack.enter_context(Context(store, here(server.port)).wrap_socket(raw, do_handshake_on_connect=False))
        except TrothError:
            pytest.fail("the store works until here")
        with monkeypatch.context() as patch:
            patch.setattr(type(store), at, failing(failure))
            try:
                tls.sendall(SECRET)
            except BaseException:  # noqa: BLE001  # a KeyboardInterrupt is meant
                pass
            else:
                assert at in ("last_change", "policy", "certificate"), "the judge does not ask this"
                return
        for use in (lambda: tls.sendall(SECRET), lambda: tls.send(SECRET), lambda: tls.recv(1), tls.do_handshake):
            with pytest.raises((OSError, ValueError)):
                use()
    assert not any(visit.received for visit in server.settled(before))


@on_both_engines
@pytest.mark.parametrize("failure", FAILURES[:6], ids=lambda each: type(each).__name__)
def test_threat_17_a_failure_between_two_writes_stops_the_second(
    failure: BaseException, record: Record, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threat 17: when the record cannot be asked any more, an open connection sends nothing more; neither does a retry."""
    server = record(protocol="echo", ask=False)
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=5) as raw,
        Context(store).wrap_socket(raw, server_hostname="127.0.0.1") as tls,
    ):
        tls.sendall(b"first")
        assert tls.recv(5) == b"first"
        with monkeypatch.context() as patch:
            patch.setattr(type(store), "version", failing(failure))
            for use in (lambda: tls.sendall(SECRET), lambda: tls.send(SECRET), lambda: tls.write(SECRET)):
                with pytest.raises(BaseException):  # noqa: B017  # exactly: that it does not pass
                    use()
        if isinstance(failure, Exception):
            with pytest.raises((OSError, ValueError)):
                tls.sendall(SECRET)
    assert server.settled()[0].received == b"first"


@on_both_engines
def test_threat_17_asyncio_hangs_on_no_failure(record: Record, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threat 17: over asyncio, a failure between two writes ends the connection; the reader is woken, nothing is sent."""
    server = record(protocol="echo", ask=False)

    async def go() -> None:
        bound = Context(store).bound_to("127.0.0.1", server.port)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=bound)
        writer.write(b"first")
        assert await reader.readexactly(5) == b"first"
        monkeypatch.setattr(type(store), "version", failing(OSError(5, "Input/output error")))
        writer.write(SECRET)
        with pytest.raises(OSError):
            await asyncio.wait_for(reader.readexactly(1), 10)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    asyncio.run(go())
    assert server.settled()[0].received == b"first"


class Sink:
    """A peer that takes every raw byte, and speaks no TLS."""

    def __init__(self) -> None:
        self.received = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            connection, _ = self._listener.accept()
            with connection:
                connection.settimeout(10)
                while piece := connection.recv(4096):
                    self.received += piece

    def close(self) -> None:
        """Stop."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(15)


def _file(tls: ssl.SSLSocket) -> None:
    with tls.makefile("wb", buffering=0) as file:
        file.write(SECRET)


def _sendfile(tls: ssl.SSLSocket, place: Path) -> None:
    with place.open("rb") as file:
        tls.sendfile(file)


def _shut(how: int) -> Callable[[ssl.SSLSocket, Path], None]:
    def use(tls: ssl.SSLSocket, _: Path) -> None:
        tls.shutdown(how)
        tls.send(SECRET)

    return use


ROADS: dict[str, Callable[[ssl.SSLSocket, Path], Any]] = {
    "send": lambda tls, _: tls.send(SECRET),
    "sendall": lambda tls, _: tls.sendall(SECRET),
    "write": lambda tls, _: tls.write(SECRET),
    "makefile": lambda tls, _: _file(tls),
    "sendfile": _sendfile,
    "sendto": lambda tls, _: tls.sendto(SECRET, tls.getpeername()),
    "sendmsg": lambda tls, _: tls.sendmsg([SECRET]),
    "unwrap-send": lambda tls, _: tls.unwrap().send(SECRET),
    "shutdown-read-send": _shut(socket.SHUT_RD),
    "shutdown-write-send": _shut(socket.SHUT_WR),
    "handshake-later": lambda tls, _: (tls.do_handshake(), tls.send(SECRET)),
    "read-first": lambda tls, _: (tls.read(1), tls.send(SECRET)),
    "recv-first": lambda tls, _: (tls.recv(1), tls.send(SECRET)),
    "recv-into-first": lambda tls, _: (tls.recv_into(bytearray(1)), tls.send(SECRET)),
}


@on_both_engines
@pytest.mark.parametrize("road", ROADS.values(), ids=ROADS)
@pytest.mark.parametrize("sink", [False, True], ids=["impostor", "no-tls"])
@pytest.mark.parametrize("client", [False, True], ids=["plain", "certified"])
def test_threat_11_no_road_leads_past_the_verdict(
    road: Callable[..., Any], sink: bool, client: bool, record: Record, store: Store, tmp_path: Path
) -> None:
    """Threat 11: with the handshake left for later, no method of a socket brings a byte to an impostor, encrypted or plain."""
    place = tmp_path / "secret"
    place.write_bytes(SECRET)
    server = record(ask=False)
    plain = Sink()
    by_check(store, server.port)
    before = len(server.settled())
    server.change()
    port = plain.port if sink else server.port
    with contextlib.closing(socket.create_connection(("127.0.0.1", port), timeout=1)) as raw:
        context = Context(store, here(server.port), proxied=sink)
        tls = (certified(context) if client else context).wrap_socket(raw, do_handshake_on_connect=False)
        with tls:
            for _ in range(3):
                with pytest.raises((OSError, ValueError, NotImplementedError)):
                    road(tls, place)
    plain.close()
    assert b"secret" not in plain.received
    assert not any(visit.received for visit in server.settled(before))


@on_both_engines
def test_threat_11_a_socket_that_connects_later_is_guarded(record: Record, store: Store) -> None:
    """Threat 11: a socket that is wrapped before it is connected refuses to write, and is judged when it connects."""
    server = record(ask=False)
    by_check(store, server.port)
    before = len(server.settled())
    server.change()
    context = Context(store, here(server.port))
    with context.wrap_socket(socket.socket(), server_hostname="127.0.0.1") as tls:
        assert isinstance(tls, GuardedSocket)
        for use in (lambda: tls.send(SECRET), lambda: tls.sendall(SECRET)):
            with pytest.raises(OSError):
                use()
        tls.settimeout(10)
        with pytest.raises(CertificateRejected):
            tls.connect(("127.0.0.1", server.port))
        with pytest.raises((OSError, ValueError)):
            tls.send(SECRET)
    assert not any(visit.received for visit in server.settled(before))


# Threat 25


def deleted(path: Path) -> None:
    """The store is gone, with all that SQLite keeps beside it."""
    for each in path.parent.glob("trust.db*"):
        each.unlink()


def folder_gone(path: Path) -> None:
    """The whole folder is gone."""
    shutil.rmtree(path.parent)


def replaced_by_empty(path: Path) -> None:
    """Another, fresh store stands in its place."""
    fresh = path.parent / "fresh"
    with open_store(fresh / "trust.db"):
        pass
    deleted(path)
    (fresh / "trust.db").rename(path)


def replaced_by_file(path: Path) -> None:
    """An empty file stands in its place."""
    deleted(path)
    path.touch(mode=0o600)


def replaced_by_link(path: Path) -> None:
    """A link to another store stands in its place."""
    with open_store(path.parent / "other" / "trust.db"):
        pass
    deleted(path)
    path.symlink_to(path.parent / "other" / "trust.db")


HARMS = (deleted, folder_gone, replaced_by_empty, replaced_by_file, replaced_by_link)


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
@each_way
def test_threat_25_a_store_that_is_taken_from_a_running_program_stops_it(
    way: Way, harm: Callable[[Path], None], record: Record, store: SqliteStore
) -> None:
    """Threats 17 and 25: with the store taken away under a running program, known hosts and strangers get zero bytes."""
    server, stranger = record(ask=False), record(ask=False)
    context = Context(store)
    way(store, server.port, context)
    known = len(server.settled())
    harm(store.path)
    for port in (server.port, stranger.port, server.port):
        with pytest.raises(Exception) as caught:
            way(store, port, context)
        assert any(isinstance(each, StoreUnusable) for each in reasons(caught.value)), repr(caught.value)
    assert not any(visit.received for visit in server.settled(known) + stranger.settled())


def test_threat_25_asyncio_leaves_no_connection_open(record: Record, store: SqliteStore) -> None:
    """Threat 25: with the store gone, a connection over asyncio is closed, as a blocking one is; a retrying program leaks none."""
    server = record(protocol="echo", ask=False)
    bound = Context(store).bound_to("127.0.0.1", server.port)
    deleted(store.path)
    made: list[socket.socket] = []

    async def go() -> None:
        loop = asyncio.get_running_loop()
        real = loop.sock_connect

        async def connect(sock: socket.socket, address: Any) -> None:
            made.append(sock)
            await real(sock, address)

        loop.sock_connect = connect  # type: ignore[method-assign]  # to see what asyncio makes
        with pytest.raises(Exception):  # noqa: B017  # that it does not pass
            await asyncio.open_connection("127.0.0.1", server.port, ssl=bound)

    asyncio.run(go())
    still_open = [sock for sock in made if sock.fileno() != -1]
    for sock in still_open:
        sock.close()
    assert made
    assert not still_open


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
def test_threat_25_an_open_connection_stops_with_its_store(
    harm: Callable[[Path], None], record: Record, store: SqliteStore
) -> None:
    """Threats 17 and 25: with the store gone, an open connection is dead at its next send, and at every send and recv after."""
    server = record(protocol="echo", ask=False)
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=5) as raw,
        Context(store).wrap_socket(raw, server_hostname="127.0.0.1") as tls,
    ):
        tls.sendall(b"first")
        assert tls.recv(5) == b"first"
        harm(store.path)
        with pytest.raises(CertificateRejected) as caught:
            tls.sendall(SECRET)
        assert any(isinstance(each, StoreVanished) for each in reasons(caught.value))
        for use in (lambda: tls.send(SECRET), lambda: tls.recv(1), lambda: tls.write(SECRET), lambda: tls.read(1)):
            with pytest.raises((OSError, ValueError)):
                use()
    assert server.settled()[0].received == b"first"


def test_threat_25_an_older_copy_stops_every_way(record: Record, tmp_path: Path) -> None:
    """Threat 25: a store that was rolled back to before a revocation is refused at opening; nobody is asked, nothing sent."""
    server = record(ask=False)
    path = tmp_path / "rolled" / "trust.db"
    with open_store(path) as store:
        by_socket(store, server.port)
    copy = path.read_bytes()
    with open_store(path) as store:
        entry = store.entry(here(server.port))
        assert entry is not None
        manage.revoke_entry(store, entry)
    path.write_bytes(copy)
    known = len(server.settled())
    with pytest.raises(StoreUnusable):
        open_store(path)
    assert len(server.visits) == known


def test_threat_25_the_command_learns_nothing_from_a_lost_store(record: Record, troth: Command) -> None:
    """Threat 25: with the store lost, each command that would trust exits 7, again and again, and contacts nobody."""
    server = record(ask=False)
    where = f"127.0.0.1:{server.port}"
    assert troth("check", where).code == 0
    deleted(troth.home / "trust.db")
    known = len(server.settled())
    for words in (("check", where), ("list",), ("show", where), ("check", where)):
        assert troth(*words).code == 7
    assert len(server.visits) == known


# Threat 9, at the store: a token that is never stale


def test_threat_9_a_store_that_was_closed_and_used_again_sees_changes(record: Record, store: SqliteStore) -> None:
    """Threat 9: a program that closes its thread's connection and goes on still sees what another process withdraws."""
    server = record(protocol="echo", ask=False)
    context = Context(store)
    for _ in range(2):
        by_socket(store, server.port, context)
    store.close()
    with open_store(store.path) as other:
        other.version()
    by_socket(store, server.port, context)
    with open_store(store.path) as other:
        entry = other.entry(here(server.port))
        assert entry is not None
        manage.delete(other, entry, None)
    known = len(server.settled())
    with pytest.raises(CertificateRejected):
        by_socket(store, server.port, context)
    assert not any(visit.received for visit in server.settled(known))
