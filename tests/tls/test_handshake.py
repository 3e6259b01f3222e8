"""What a peer can do in a handshake, and what it gets for it: an error in time, and nothing of ours."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.simulators.recorder import Recorder
from tests.tls.conftest import Serve
from troth.demo.host import Host
from troth.errors import NotAllowed, ProtocolViolation, TimedOut, Unreachable
from troth.model.endpoint import Endpoint
from troth.store.sqlite import SqliteStore
from troth.tls.check import check_target
from troth.tls.probe import Target, probe
from troth.tls.proxy import Proxy
from troth.trust.verdict import Verdict


def drip(connection: socket.socket) -> None:
    """Send a record one byte at a time, for ever."""
    stop = threading.Event()
    for byte in b"\x16\x03\x03\x40\x00" + b"\x02" * 4096:
        connection.sendall(bytes([byte]))
        if stop.wait(0.02):
            return


def endless_handshake(connection: socket.socket) -> None:
    """Send handshake records without end."""
    connection.recv(4096)
    while True:
        connection.sendall(b"\x16\x03\x03\x40\x00" + b"\x02\xff\xff\xff" + bytes(0x3FFC))


def close_at_once(connection: socket.socket) -> None:
    """Close after the ClientHello."""
    connection.recv(4096)


def plain_http(connection: socket.socket) -> None:
    """Speak HTTP where TLS is expected."""
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def fatal_alert(connection: socket.socket) -> None:
    """Answer with a fatal alert."""
    connection.recv(4096)
    connection.sendall(b"\x15\x03\x03\x00\x02\x02\x28")


def reset(connection: socket.socket) -> None:
    """Reset the connection."""
    connection.recv(4096)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def silence(connection: socket.socket) -> None:
    """Say nothing until the other side is gone."""
    while connection.recv(4096):
        pass


@pytest.mark.parametrize(
    ("behave", "error"),
    [
        (drip, (TimedOut, ProtocolViolation)),
        (silence, TimedOut),
        (endless_handshake, (ProtocolViolation, Unreachable)),
        (close_at_once, Unreachable),
        (plain_http, ProtocolViolation),
        (fatal_alert, ProtocolViolation),
        (reset, Unreachable),
    ],
)
def test_a_peer_that_misbehaves_costs_an_error_and_is_not_recorded(
    serve: Serve, store: SqliteStore, behave: Callable[[socket.socket], None], error: type[Exception]
) -> None:
    """Threats 17 and 19: silence, dripping, garbage and endless messages end in an error, and nothing is learned."""
    endpoint = serve(behave)
    with pytest.raises(error):
        check_target(store, Target(endpoint=endpoint, timeout_s=1.0))
    assert store.entry(endpoint) is None


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_changed_certificate_is_refused_before_the_client_finishes(
    store: SqliteStore, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    """Threat 8: the impostor never sees the end of the handshake, in TLS 1.2 as in 1.3."""
    server = Recorder(tmp_path, version=version)
    try:
        target = Target(endpoint=Endpoint("127.0.0.1", server.port))
        check_target(store, target)
        assert [visit.finished for visit in server.settled()] == [True]
        server.change()
        for _ in range(2):
            assert check_target(store, target).verdict is Verdict.CHANGED
        assert [visit.finished for visit in server.settled(1)] == [False, False]
    finally:
        server.close()


def test_old_tls_is_named_as_the_reason(serve: Serve, store: SqliteStore, host: Host) -> None:
    """Threat 12: a peer that speaks nothing newer than TLS 1.1 is refused, and the message says so."""

    def old(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"\x15\x03\x01\x00\x02\x02\x46")  # alert: protocol_version

    with pytest.raises(ProtocolViolation, match="TLS handshake") as caught:
        check_target(store, Target(endpoint=serve(old), timeout_s=5))
    assert "TLS 1.2" in caught.value.why


def test_parallel_first_use_learns_one_certificate(serve: Serve, store: SqliteStore, host: Host) -> None:
    """Threat 3: of many first uses that see different certificates one wins; whoever saw another is told "changed"."""
    materials = [host.material]
    for _ in range(3):
        host.new_certificate()
        materials.append(host.material)
    lock, count = threading.Lock(), [0]

    def alternate(connection: socket.socket) -> None:
        with lock:
            host.present(materials[count[0] % len(materials)])
            count[0] += 1
            context = host._context
        with context.wrap_socket(connection, server_side=True) as tls:
            tls.recv(1)

    endpoint = serve(alternate)
    verdicts: list[tuple[Verdict, str]] = []

    def once() -> None:
        decision = check_target(store, Target(endpoint=endpoint))
        verdicts.append((decision.verdict, str(decision.presented.leaf.fingerprint)))

    threads = [threading.Thread(target=once) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entry = store.entry(endpoint)
    assert entry is not None
    winner = str(entry.current[0].fingerprint)
    assert [fp for verdict, fp in verdicts if verdict is Verdict.FIRST_USE] == [winner]
    assert all((verdict is Verdict.CHANGED) == (fp != winner) for verdict, fp in verdicts)


def proxy_that(
    answer: bytes, *, then: Callable[[socket.socket, bytes], None] | None = None
) -> Callable[[socket.socket], None]:
    """Make a CONNECT proxy that gives one answer."""

    def behave(connection: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            request += connection.recv(4096)
        connection.sendall(answer)
        if then is not None:
            then(connection, request)
        else:
            silence(connection)

    return behave


def test_a_proxy_leads_to_the_target_and_the_pin_is_the_targets(
    serve: Serve, store: SqliteStore, host: Host, target: Target
) -> None:
    """Threat 16: through CONNECT, the entry is the target's; the proxy has none."""

    def relay(connection: socket.socket, request: bytes) -> None:
        assert request.startswith(f"CONNECT 127.0.0.1:{host.port} HTTP/1.1\r\n".encode())
        with socket.create_connection(("127.0.0.1", host.port)) as onward:

            def pump(source: socket.socket, sink: socket.socket) -> None:
                try:
                    while data := source.recv(4096):
                        sink.sendall(data)
                except OSError:
                    return

            back = threading.Thread(target=pump, args=(onward, connection), daemon=True)
            back.start()
            pump(connection, onward)

    proxy = serve(proxy_that(b"HTTP/1.1 200 OK\r\n\r\n", then=relay))
    decision = check_target(store, replace(target, proxy=Proxy(endpoint=proxy)))
    assert decision.verdict is Verdict.FIRST_USE
    assert [entry.endpoint for entry in store.entries()] == [target.endpoint]
    assert check_target(store, target).verdict is Verdict.MATCH


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", NotAllowed),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", ProtocolViolation),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 10_000, ProtocolViolation),
        (b"\x00\xff\r\n\r\n", ProtocolViolation),
        (b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", ProtocolViolation),
        (b"", TimedOut),
    ],
)
def test_a_proxy_that_refuses_lies_or_injects_is_an_error(
    serve: Serve, target: Target, answer: bytes, error: type[Exception]
) -> None:
    """Refusals, endless headers, bytes injected after the answer, and silence are errors, in time."""
    proxy = Proxy(endpoint=serve(proxy_that(answer)))
    with pytest.raises(error):
        probe(replace(target, proxy=proxy, timeout_s=2.0))


def test_a_proxys_password_is_never_shown() -> None:
    """No password in an argument, and none in a representation."""
    from troth.errors import BadInput

    with pytest.raises(BadInput) as caught:
        Proxy.parse("http://user:hunter2@proxy:3128")
    assert "hunter2" not in str(caught.value) + caught.value.next_command
    assert "hunter2" not in repr(Proxy.parse("http://user@proxy", password="hunter2"))


def test_nobody_listens() -> None:
    """A closed port is unreachable, with the system's reason."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(Unreachable, match="could not be reached") as caught:
        probe(Target(endpoint=Endpoint("127.0.0.1", port)))
    assert "refused" in caught.value.why


def test_an_unreadable_store_is_a_rejection(store: SqliteStore, target: Target) -> None:
    """Threat 17: when the record cannot be asked, nothing is trusted."""
    from troth.errors import StoreUnusable

    check_target(store, target)
    store.close()
    store.path.chmod(0o600)
    data = store.path.read_bytes()
    store.path.write_bytes(b"garbage" * 1000)
    for leftover in store.path.parent.glob("trust.db-*"):
        leftover.unlink()
    with pytest.raises(StoreUnusable):
        check_target(store, target)
    assert store.path.read_bytes() == b"garbage" * 1000
    store.path.write_bytes(data)
