"""Attacks by names and addresses: many spellings of one host, many hosts behind one name (threats 30 and 31)."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.attacks.conftest import Command, Record
from tests.attacks.making import by_check
from tests.attacks.test_libraries import FOLLOWING, name_of, nothing
from troth import manage
from troth.errors import CertificateRejected
from troth.model.endpoint import Endpoint
from troth.model.entry import PinKind
from troth.store.sqlite import SqliteStore
from troth.tls.check import check_target
from troth.tls.context import Context
from troth.tls.probe import Target
from troth.trust.rejection import require_trusted
from troth.trust.verdict import Verdict

SPELLINGS = ("LOCALHOST", "localhost.", "LocalHost.")
ADDRESSES = ("127.1", "0x7f.1", "0x7f000001", "2130706433", "0177.0.0.1", "127.0.0.01", "[::ffff:127.0.0.1]")


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_threat_30_another_spelling_is_no_stranger(spelling: str, record: Record, troth: Command) -> None:
    """Threat 30: a host in capitals or with a trailing dot is the host on record: its impostor is no first use."""
    server = record(ask=False)
    assert troth("check", f"localhost:{server.port}").code == 0
    server.change()
    done = troth("check", f"{spelling}:{server.port}", "--json")
    assert done.code == 3
    assert done.document["results"][0]["endpoint"] == f"localhost:{server.port}"
    assert len(troth("list", "--json").document["entries"]) == 1


@pytest.mark.parametrize("spelling", ADDRESSES)
def test_threat_30_another_spelling_of_an_address_is_refused_or_the_same(
    spelling: str, record: Record, troth: Command
) -> None:
    """Threat 30: an address in another notation is the address on record, or no address; never a stranger."""
    server = record(ask=False)
    assert troth("check", f"127.0.0.1:{server.port}").code == 0
    server.change()
    assert troth("check", f"{spelling}:{server.port}").code in (2, 3)
    entries = troth("list", "--json").document["entries"]
    assert [entry["endpoint"] for entry in entries] == [f"127.0.0.1:{server.port}"]


@pytest.mark.parametrize("spelling", [*SPELLINGS, "127.1", "0x7f000001"])
@pytest.mark.parametrize("use", FOLLOWING, ids=name_of)
def test_threat_30_a_url_in_another_spelling_is_no_stranger(
    use: Callable[..., None], spelling: str, record: Record, store: SqliteStore
) -> None:
    """Threat 30: a URL in another spelling is held against the host on record, or refused, in every library: zero bytes."""
    server = record(ask=False)
    for host in ("localhost", "127.0.0.1"):
        check_target(store, Target(endpoint=Endpoint(host, server.port)))
    known = len(server.settled())
    server.change()
    with pytest.raises(Exception):  # noqa: B017  # each library has its own
        use(Context(store), f"https://{spelling}:{server.port}/the-secret", nothing, "")
    assert {entry.endpoint.host for entry in store.entries()} == {"localhost", "127.0.0.1"}
    assert not any(visit.received for visit in server.settled(known))


def test_threat_30_a_longer_name_is_another_host(record: Record, store: SqliteStore) -> None:
    """Threat 30: a pin of a host says nothing about names that begin or end like it."""
    server = record(ask=False)
    by_check(store, server.port)
    for host in ("127.0.0.1.example.com", "a127.0.0.1"):
        with contextlib.suppress(Exception):
            assert store.entry(Endpoint(host, server.port)) is None
    assert store.find("127.0.0.1", server.port + 1 if server.port < 65535 else 1) == ()


# Threat 31


@contextlib.contextmanager
def also_at(address: str, port: int, goal: int) -> Iterator[None]:
    """Let another address of this machine lead to a port on loopback, at the same number as another server."""
    listener = socket.create_server((address, port))
    held: list[socket.socket] = []

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            onward = socket.create_connection(("127.0.0.1", goal), timeout=20)
            held.extend((connection, onward))
            for pair in ((connection, onward), (onward, connection)):
                threading.Thread(target=pump, args=pair, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield
    finally:
        for each in (listener, *held):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets the addresses that the cluster's name has."""
    real = socket.getaddrinfo

    def set_to(*addresses: str) -> None:
        def look_up(host: Any, port: Any, *args: Any, **options: Any) -> list[Any]:
            if host not in ("cluster.example.com", b"cluster.example.com"):
                return real(host, port, *args, **options)
            return [each for address in addresses for each in real(address, port, type=socket.SOCK_STREAM)]

        monkeypatch.setattr(socket, "getaddrinfo", look_up)

    return set_to


def test_threat_31_the_members_of_a_name_are_one_identity(
    record: Record, store: SqliteStore, resolve: Callable[..., None]
) -> None:
    """Threat 31: behind one name, a second member is a change until it is pinned beside the first; a third one stays a change."""
    one, two = record(ask=False), record(ask=False)
    place = Endpoint("cluster.example.com", one.port)
    target = Target(endpoint=place)
    with also_at("127.0.0.2", one.port, two.port):
        resolve("127.0.0.1", "127.0.0.2")
        assert check_target(store, target).verdict is Verdict.FIRST_USE
        resolve("127.0.0.2", "127.0.0.1")
        decision = check_target(store, target)
        assert (decision.verdict, decision.presented.address) == (Verdict.CHANGED, "127.0.0.2")
        manage.pin(store, place, kind=PinKind.CERTIFICATE, view=two.view)
        for order in (("127.0.0.1", "127.0.0.2"), ("127.0.0.2", "127.0.0.1")):
            resolve(*order)
            assert check_target(store, target).verdict is Verdict.MATCH
        two.change()
        assert check_target(store, target).verdict is Verdict.CHANGED
    assert [entry.endpoint for entry in store.entries()] == [place]


@pytest.mark.parametrize("use", FOLLOWING, ids=name_of)
def test_threat_31_clients_hold_each_address_against_the_one_identity(
    use: Callable[..., None], record: Record, store: SqliteStore, resolve: Callable[..., None]
) -> None:
    """Threat 31: an impostor at a second address of a known name gets zero bytes; it is no host of its own."""
    one, two = record(ask=False), record(ask=False)
    place = Endpoint("cluster.example.com", one.port)
    with also_at("127.0.0.2", one.port, two.port):
        resolve("127.0.0.1", "127.0.0.2")
        require_trusted(check_target(store, Target(endpoint=place)))
        resolve("127.0.0.2")
        with pytest.raises(Exception):  # noqa: B017  # each library has its own
            use(Context(store), f"https://cluster.example.com:{one.port}/the-secret", nothing, "")
        assert two.settled()
        assert not any(visit.received for visit in two.settled())
    assert [entry.endpoint for entry in store.entries()] == [place]


def test_threat_31_a_dead_address_leads_to_the_next_and_to_no_other_pin(
    record: Record, store: SqliteStore, resolve: Callable[..., None]
) -> None:
    """Threat 31: when the first address does not answer, the next one is held against the same pin."""
    one, two = record(ask=False), record(ask=False)
    place = Endpoint("cluster.example.com", one.port)
    resolve("127.0.0.1")
    require_trusted(check_target(store, Target(endpoint=place)))
    resolve("127.0.0.3", "127.0.0.1")  # nobody listens at the first
    require_trusted(check_target(store, Target(endpoint=place)))
    with also_at("127.0.0.2", one.port, two.port):
        resolve("127.0.0.3", "127.0.0.2")
        with pytest.raises(CertificateRejected):
            require_trusted(check_target(store, Target(endpoint=place)))
