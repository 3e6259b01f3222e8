"""On the way to a verdict: addresses that drop packets, proxies, plain text before TLS, and what errors say (threats 14 to 18)."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import pickle
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

import troth
from tests.attacks.conftest import Command, Record
from tests.attacks.making import WAYS, by_check, fresh, key_pem, make
from tests.tls.authority import Authority, pem
from tests.tls.conftest import Serve
from tests.tls.conftest import serve as serve
from troth import manage
from troth.adapters import asyncio as streams
from troth.errors import BadInput, CertificateChanged, CertificateRejected, ProtocolViolation, TimedOut, Unreachable
from troth.model.certificate import CertificateView
from troth.model.endpoint import Endpoint
from troth.model.entry import PinKind
from troth.store import rows
from troth.store.sqlite import SqliteStore
from troth.tls.check import check_target
from troth.tls.connect import connect
from troth.tls.context import Context
from troth.tls.deadline import Deadline
from troth.tls.probe import Target
from troth.tls.proxy import Proxy

# Addresses


@pytest.fixture
def dropping() -> Iterator[Callable[[int], str]]:
    """Have an address of loopback drop what asks for a port: its queue is full, and nobody accepts."""
    held: list[socket.socket] = []

    def drop(port: int) -> str:
        held.append(socket.socket())
        held[0].bind(("127.0.0.2", port))
        held[0].listen(0)
        for _ in range(4):
            filler = socket.socket()
            held.append(filler)
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.2", port))
        return "127.0.0.2"

    yield drop
    for each in held:
        each.close()


def resolving(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Have every name mean these addresses, in this order."""

    def answer(_: str, port: int, **__: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", answer)


@pytest.mark.parametrize("first", ["drops", "refuses"])
def test_an_address_that_fails_leaves_the_next_one_its_time(
    first: str,
    dropping: Callable[[int], str],
    record: Record,
    store: SqliteStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a first address that drops packets or refuses, the second is tried within the same limit."""
    server = record(ask=False)
    bad = dropping(server.port) if first == "drops" else "127.0.0.3"
    resolving(monkeypatch, bad, "127.0.0.1")
    target = Target(endpoint=Endpoint("two.example", server.port), timeout_s=10)
    assert check_target(store, target).trusted


def test_addresses_that_all_fail_say_so(dropping: Callable[[int], str], monkeypatch: pytest.MonkeyPatch) -> None:
    """With nothing but silence, the limit ends the attempt; with nothing but refusals, it ends at once."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
        resolving(monkeypatch, "127.0.0.1", "127.0.0.1")
        with pytest.raises(Unreachable, match="could not be reached") as caught:
            connect(Endpoint("two.example", port), Deadline(60, "two.example"))
        assert not isinstance(caught.value, TimedOut)
        resolving(monkeypatch, dropping(port), "127.0.0.2")
        with pytest.raises(TimedOut):
            connect(Endpoint("two.example", port), Deadline(0.6, "two.example"))


def test_names_are_looked_up_within_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Name servers that do not answer hold an attempt no longer than its limit."""
    release = threading.Event()

    def silent(*_: object, **__: object) -> list[Any]:
        release.wait()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", silent)
    with pytest.raises(TimedOut, match=r"slow\.example:443 was not looked up") as caught:
        connect(Endpoint("slow.example", 443), Deadline(0.2, "slow.example:443"))
    release.set()
    assert caught.value.details["endpoint"] == "slow.example:443"


# What errors name


SCRIPTS = {
    "refuses": b"554 go away\r\n",
    "no offer": b"220 x\r\n250 x\r\n",
    "injects": b"220 x\r\n250 x\r\n250 y\r\n",
    "closes": b"",
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_an_error_before_tls_names_its_endpoint(script: bytes, serve: Serve, store: SqliteStore) -> None:
    """Threat 14: who checks many hosts learns which of them did not start TLS, in words and in the document."""

    def behave(connection: socket.socket) -> None:
        connection.sendall(script)

    place = serve(behave)
    where = f"127.0.0.1:{place.port}"
    with pytest.raises(Unreachable) as caught:
        check_target(store, Target(endpoint=Endpoint("127.0.0.1", place.port, "smtp")))
    assert where in str(caught.value)
    assert caught.value.problem()["endpoint"] == where
    assert "HOST:PORT" not in caught.value.next_command


def test_a_proxy_that_cannot_be_reached_is_not_taken_for_the_host(store: SqliteStore) -> None:
    """Threat 16: the error names the proxy and the host, and says which of them failed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        proxy = Endpoint("127.0.0.1", int(free.getsockname()[1]))
        with pytest.raises(Unreachable) as caught:
            check_target(store, Target(endpoint=Endpoint("host.example", 443), proxy=Proxy(endpoint=proxy)))
    assert str(caught.value).startswith(f"The proxy {proxy} on the way to host.example:443 could not be reached.")
    assert caught.value.details == {"endpoint": "host.example:443", "proxy": str(proxy)}


# What OpenSSL reads, and Troth does not


def unreadable(folder: Path) -> None:
    """Put a certificate in force that holds one extension twice."""
    key = ec.generate_private_key(ec.SECP256R1())
    twice = [x509.UnrecognizedExtension(x509.ObjectIdentifier(f"1.2.3.4.{each}"), b"\x04\x02ab") for each in (5, 6)]
    made, _ = make("host", key=key, extensions=twice)
    body = made.tbs_certificate_bytes.replace(bytes.fromhex("2a030406"), bytes.fromhex("2a030405"))
    signature = key.sign(body, ec.ECDSA(hashes.SHA256()))
    rest = bytes.fromhex("300a06082a8648ce3d040302") + b"\x03" + bytes([len(signature) + 1]) + b"\0" + signature
    data = b"\x30\x82" + len(body + rest).to_bytes(2, "big") + body + rest
    (folder / "host.key").write_bytes(key_pem(key))
    (folder / "host.pem").write_bytes(
        b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(data) + b"-----END CERTIFICATE-----\n"
    )


@pytest.mark.parametrize("known", [False, True], ids=["stranger", "known"])
def test_a_certificate_that_cannot_be_read_is_rejected(
    known: bool, record: Record, store: SqliteStore, troth: Command
) -> None:
    """Threat 18: at a stranger and at a known host, a certificate that cannot be read is a rejection: exit 3, zero bytes."""
    server = record(ask=False)
    where = f"127.0.0.1:{server.port}"
    if known:
        by_check(store, server.port)
    before = len(server.settled())
    unreadable(server.folder)
    told = troth("check", where, "--home", str(store.folder))
    assert told.code == 3, told.err
    for way in WAYS:
        with pytest.raises(ssl.SSLError):
            way(store, server.port)
    assert not any(visit.received for visit in server.settled(before))


def test_an_issuer_pin_without_its_certificate_rejects(record: Record, store: SqliteStore, troth: Command) -> None:
    """Threat 17: where the CA's certificate is not on record, nothing can be verified, so nothing is trusted; exit 3."""
    server, ca = record(ask=False), Authority("CA")
    leaf, key = ca.issue()
    server.present((pem(leaf), key_pem(key)))
    place = Endpoint("127.0.0.1", server.port)
    manage.pin(store, place, kind=PinKind.ISSUER, view=CertificateView.from_pem(pem(ca.certificate).decode()))
    with store.transaction() as connection:
        connection.execute("UPDATE pin SET certificate = NULL")
        entry = rows.select_entry(connection, place)
        assert entry is not None
        store.journal(connection, "import", str(place), {"after": rows.trust_state(entry)})
    assert troth("check", str(place), "--home", str(store.folder)).code == 3
    for way in WAYS:
        with pytest.raises(CertificateRejected):
            way(store, server.port)
    assert not any(visit.received for visit in server.settled())


# Libraries


def test_start_tls_gives_out_nothing_that_came_before_tls(store: SqliteStore, tmp_path: Path) -> None:
    """Threat 14 (CVE-2011-0411): plain text that came before TLS is never given out as if TLS had protected it."""
    chain, key = fresh()
    (tmp_path / "chain").write_bytes(chain)
    (tmp_path / "key").write_bytes(key)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "chain", tmp_path / "key")
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(100)
            connection.sendall(b"GO\r\nINJECTED: you are admin\r\n")
            with server.wrap_socket(connection, server_side=True) as tls:
                tls.sendall(b"protected\r\n")
                tls.recv(1)

    thread = threading.Thread(target=serve)
    thread.start()
    port = int(listener.getsockname()[1])

    async def go() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"STARTTLS\r\n")
        assert await reader.readline() == b"GO\r\n"
        with pytest.raises(ProtocolViolation, match=f"127.0.0.1:{port}"):
            await streams.start_tls(Context(store), reader, writer, "127.0.0.1", port)
        writer.transport.abort()

    asyncio.run(go())
    thread.join()
    listener.close()
    assert store.entry(Endpoint("127.0.0.1", port)) is None


def test_start_tls_after_plain_text_that_was_read_goes_on(record: Record, store: SqliteStore) -> None:
    """Threat 14: where nothing is left over, TLS starts."""
    server = record(protocol="echo", ask=False)

    async def go() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        await streams.start_tls(Context(store), reader, writer, "127.0.0.1", server.port)
        writer.write(b"hello")
        answer = await reader.readexactly(5)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return answer

    assert asyncio.run(go()) == b"hello"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_is_not_told_the_requests(scheme: str, store: SqliteStore) -> None:
    """Threat 16: forwarding would give the request to the proxy, and no certificate of the target would ever be seen."""
    pytest.importorskip("urllib3")
    from troth.adapters.urllib3 import ProxyManager

    with pytest.raises(BadInput, match="use_forwarding_for_https"):
        ProxyManager(f"{scheme}://127.0.0.1:1", Context(store), use_forwarding_for_https=True)


@pytest.mark.parametrize(
    "options",
    [
        {"domain": "sytem"},
        {"domain": ""},
        {"starttls": "smpt"},
        {"timeout_s": -1},
        {"timeout_s": 0},
        {"timeout_s": float("nan")},
        {"timeout_s": float("inf")},
    ],
    ids=str,
)
@pytest.mark.parametrize("place", ["text", "endpoint"])
def test_words_that_are_none_are_refused(
    place: str, options: dict[str, Any], record: Record, store: SqliteStore
) -> None:
    """Threat 15: a misspelt domain would escape its policy, so it is an error and not a new domain."""
    server = record(ask=False)
    where = f"127.0.0.1:{server.port}" if place == "text" else Endpoint("127.0.0.1", server.port)
    with pytest.raises(BadInput):
        troth.check(store, where, **options)
    assert not list(store.entries())
    assert not server.visits


@pytest.mark.parametrize(("protocol", "starttls"), [("smpt", "tls"), ("imap", "smtp")])
def test_an_endpoint_of_another_protocol_is_refused(protocol: str, starttls: str, store: SqliteStore) -> None:
    """Threat 15: what an `Endpoint` says and what `starttls` says must not differ."""
    with pytest.raises(BadInput):
        troth.check(store, Endpoint("127.0.0.1", 1, protocol), starttls=starttls)


def rejected(home: str, port: int) -> None:
    """Be rejected, in a worker process."""
    with troth.open_store(Path(home) / "trust.db") as store:
        troth.check(store, f"127.0.0.1:{port}")


def test_a_rejection_passes_between_processes_whole(record: Record, store: SqliteStore) -> None:
    """A worker's rejection reaches its parent as what it is, with its fields, its decision and its way out."""
    server = record(ask=False)
    by_check(store, server.port)
    server.change()
    with pytest.raises(CertificateChanged) as here:
        troth.check(store, f"127.0.0.1:{server.port}")
    again = pickle.loads(pickle.dumps(here.value))  # what the standard library does between processes
    assert type(again) is CertificateChanged
    assert (str(again), again.problem(), again.verify_message) == (
        str(here.value),
        here.value.problem(),
        here.value.verify_message,
    )
    assert again.decision == here.value.decision
    import multiprocessing

    with (
        ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool,
        pytest.raises(CertificateChanged) as there,
    ):
        pool.submit(rejected, str(store.folder), server.port).result(60)
    assert there.value.decision is not None
    assert there.value.decision.presented.leaf == server.view


def test_a_decision_is_shown_in_a_line(record: Record, store: SqliteStore) -> None:
    """What a debugger or a log shows of a decision is its verdict, not kilobytes of certificates."""
    server = record(ask=False)
    shown = repr(troth.check(store, f"127.0.0.1:{server.port}"))
    assert len(shown) < 300
    assert "first-use" in shown
    assert str(server.view.fingerprint) in shown
