"""The duct inside a socket that has a client certificate: it behaves as OpenSSL's own object does, which is tried beside it."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import os
import select
import socket
import ssl
import struct
import subprocess
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import servers
from tests.attacks.making import certified, fresh
from tests.tls.conftest import Serve
from troth import manage
from troth.demo.host import Host
from troth.errors import CertificateRejected
from troth.model.endpoint import Endpoint
from troth.store.sqlite import SqliteStore
from troth.tls.context import Context
from troth.tls.duct import Duct

Behave = Callable[[ssl.SSLSocket], None]
VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
TIMEOUTS = (None, 20.0, 0.0)
LIMIT_S = 20
each_version = pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
each_timeout = pytest.mark.parametrize("timeout", TIMEOUTS, ids=["blocking", "time-out", "non-blocking"])


class Client:
    """Makes connections of one kind."""

    def __init__(self, store: SqliteStore, kind: str):
        self.store, self.kind = store, kind
        self.context: ssl.SSLContext
        if kind == "ssl":
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self.context.check_hostname = False
            self.context.verify_mode = ssl.CERT_NONE
        else:
            self.context = certified(Context(store))

    def wrap(self, raw: socket.socket, **options: bool) -> ssl.SSLSocket:
        """Wrap a connected socket."""
        tls = self.context.wrap_socket(raw, server_hostname="127.0.0.1", **options)
        assert isinstance(tls._sslobj, Duct) is (self.kind == "duct")  # type: ignore[attr-defined]  # what is under test
        return tls

    @contextlib.contextmanager
    def connected(self, endpoint: Endpoint, timeout: float | None = LIMIT_S, **sizes: int) -> Iterator[ssl.SSLSocket]:
        """Connect and shake hands."""
        with socket.socket() as raw:
            for name, size in sizes.items():
                raw.setsockopt(socket.SOL_SOCKET, getattr(socket, name), size)
            raw.settimeout(LIMIT_S)
            raw.connect((endpoint.host, endpoint.port))
            raw.settimeout(timeout)
            with self.wrap(raw, do_handshake_on_connect=False) as tls:
                patiently(tls, tls.do_handshake)
                yield tls


@pytest.fixture(params=["ssl", "duct"])
def client(request: pytest.FixtureRequest, store: SqliteStore) -> Client:
    """A plain client of the standard library, then the one with the duct."""
    return Client(store, request.param)


@pytest.fixture
def tls_server(serve: Serve, tmp_path: Path) -> Callable[..., Endpoint]:
    """Starts a TLS server that does with each connection what a function says."""

    def start(behave: Behave, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3, **options: bool) -> Endpoint:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = context.maximum_version = version
        (tmp_path / "server.pem").write_bytes(b"".join(fresh()))
        context.load_cert_chain(tmp_path / "server.pem")

        def talk(connection: socket.socket) -> None:
            with context.wrap_socket(connection, server_side=True, **options) as tls:
                behave(tls)

        return serve(talk)

    return start


def patiently(tls: ssl.SSLSocket, action: Callable[[], object]) -> object:
    """Do something on a socket that may not block, waiting for what it says that it waits for."""
    while True:
        try:
            return action()
        except ssl.SSLWantReadError:
            assert select.select([tls], [], [], LIMIT_S)[0]
        except ssl.SSLWantWriteError:
            assert select.select([], [tls], [], LIMIT_S)[1]


def read_all(tls: ssl.SSLSocket, size: int, piece: int = 4096) -> bytes:
    """Read so many bytes."""
    data = b""
    while len(data) < size:
        more = patiently(tls, lambda: tls.recv(min(piece, size - len(data))))
        assert more
        data += more  # type: ignore[operator]  # bytes
    return data


def digesting(tls: ssl.SSLSocket) -> None:
    """Read a length and so many bytes, in small pieces; answer with their digest."""
    size = int.from_bytes(tls.recv(4))
    digest = hashlib.sha256()
    while size:
        piece = tls.recv(min(size, 700))
        if not piece:
            return
        digest.update(piece)
        size -= len(piece)
    tls.sendall(digest.digest())
    tls.recv(1)


def echo(tls: ssl.SSLSocket) -> None:
    """Give back what comes."""
    while piece := tls.recv(65536):
        tls.sendall(piece)


@each_version
@each_timeout
@pytest.mark.parametrize("size", [1, 16384, 16385, 65536, 65537, 3_000_000])
def test_a_write_of_any_size_arrives_whole(
    client: Client, tls_server: Callable[..., Endpoint], version: ssl.TLSVersion, timeout: float | None, size: int
) -> None:
    """To a peer that reads slowly over small buffers, a write of any size arrives whole and in order, in every mode."""
    data = os.urandom(size)
    with client.connected(tls_server(digesting, version), timeout, SO_SNDBUF=4096) as tls:
        tls_write(tls, size.to_bytes(4))
        tls_write(tls, data)
        assert read_all(tls, 32) == hashlib.sha256(data).digest()


def tls_write(tls: ssl.SSLSocket, data: bytes) -> None:
    """Write everything, as a program does that may not block."""
    sent = 0
    while sent < len(data):
        sent += patiently(tls, lambda: tls.send(memoryview(data)[sent:]))  # type: ignore[operator]  # a number


@each_version
@pytest.mark.parametrize("piece", [1, 13, 16384, 100_000])
def test_reads_of_any_size_give_every_byte(
    client: Client, tls_server: Callable[..., Endpoint], version: ssl.TLSVersion, piece: int
) -> None:
    """Reads of one byte, across records, and into buffers give what was sent."""
    data = os.urandom(40_000)
    with client.connected(tls_server(lambda tls: (tls.sendall(data), tls.recv(1)), version)) as tls:  # type: ignore[arg-type]
        assert read_all(tls, 20_000, piece) == data[:20_000]
        buffer = bytearray(20_000)
        with tls.makefile("rb") as file:
            assert file.readinto(buffer) == 20_000
        assert bytes(buffer) == data[20_000:]


def test_select_tells_the_truth(client: Client, tls_server: Callable[..., Endpoint]) -> None:
    """What was not asked for stays in the socket: with nothing pending, `select` says whether there is more to read."""
    said = threading.Event()

    def twice(tls: ssl.SSLSocket) -> None:
        for word in (b"first", b"second", b"third"):
            tls.sendall(word)
        said.set()
        tls.recv(1)

    with client.connected(tls_server(twice)) as tls:
        assert said.wait(LIMIT_S)
        assert tls.recv(1) == b"f"
        assert tls.pending() == 4
        assert tls.recv(100) == b"irst"
        for word in (b"second", b"third"):
            assert tls.pending() == 0
            assert select.select([tls], [], [], LIMIT_S)[0]
            assert tls.recv(100) == word
        assert tls.pending() == 0
        assert not select.select([tls], [], [], 0)[0]


@each_version
@each_timeout
def test_what_follows_the_end_of_tls_is_not_swallowed(
    client: Client, tls_server: Callable[..., Endpoint], version: ssl.TLSVersion, timeout: float | None
) -> None:
    """After `unwrap()` the plain bytes behind the goodbye are there, though they came with it (as in FTP's CCC)."""

    def goodbye(tls: ssl.SSLSocket) -> None:
        tls.sendall(b"last")
        plain = tls.unwrap()
        plain.sendall(b"plain words")
        plain.recv(1)

    with client.connected(tls_server(goodbye, version), timeout) as tls:
        assert read_all(tls, 4) == b"last"
        plain = patiently(tls, tls.unwrap)
        assert plain is tls
        data = b""
        while len(data) < 11:
            assert select.select([tls], [], [], LIMIT_S)[0]
            data += tls.recv(100)
        assert data == b"plain words"


@each_version
@pytest.mark.parametrize("word", ["handshake", "read", "write"])
def test_a_silent_peer_costs_a_time_out(
    client: Client, serve: Serve, tls_server: Callable[..., Endpoint], version: ssl.TLSVersion, word: str
) -> None:
    """A peer that falls silent costs the socket's time-out, in the words of the standard library."""
    over = threading.Event()
    try:
        if word == "handshake":
            endpoint = serve(lambda _: over.wait(LIMIT_S) and None)
            with (
                socket.create_connection((endpoint.host, endpoint.port), timeout=0.2) as raw,
                pytest.raises(TimeoutError, match="handshake operation timed out"),
            ):
                client.wrap(raw)
            return
        with client.connected(tls_server(lambda _: over.wait(LIMIT_S) and None, version), SO_SNDBUF=4096) as tls:
            tls.settimeout(0.2)
            with pytest.raises(TimeoutError, match=f"{word} operation timed out"):
                _ = tls.recv(1) if word == "read" else tls.sendall(bytes(20_000_000))
    finally:
        over.set()


@pytest.mark.parametrize("phase", ["handshake", "read"])
def test_a_dripping_peer_costs_one_time_out(
    client: Client, serve: Serve, tls_server: Callable[..., Endpoint], phase: str
) -> None:
    """The time-out counts for the call as a whole: a byte now and then does not renew it."""
    over = threading.Event()

    def drip(connection: socket.socket) -> None:
        raw = socket.socket(fileno=os.dup(connection.fileno()))
        with raw:
            for byte in b"\x16\x03\x03\x40\x00" + bytes(4096) if phase == "handshake" else b"\x17\x03\x03\x40\x00" * 99:
                raw.sendall(bytes([byte]))
                if over.wait(0.05):
                    return

    try:
        if phase == "handshake":
            endpoint = serve(drip)
            with (
                socket.create_connection((endpoint.host, endpoint.port), timeout=0.4) as raw,
                pytest.raises(TimeoutError),
            ):
                client.wrap(raw)
        else:
            with client.connected(tls_server(drip)) as tls:
                tls.settimeout(0.4)
                with pytest.raises(TimeoutError):
                    tls.recv(1)
    finally:
        over.set()


class Cut:
    """A relay that ends the connection after so many bytes of the server's, by closing or by a reset; -1 for never."""

    def __init__(self, serve: Serve, onward: Endpoint):
        self.after, self.reset, self.passed = -1, False, 0
        self._onward = onward
        self.endpoint = serve(self._behave)

    def _behave(self, connection: socket.socket) -> None:
        self.passed = 0
        with socket.create_connection((self._onward.host, self._onward.port), timeout=LIMIT_S) as onward:
            while True:
                ready = select.select([connection, onward], [], [], LIMIT_S)[0]
                if connection in ready:
                    data = connection.recv(65536)
                    if not data:
                        return
                    onward.sendall(data)
                if onward in ready:
                    data = onward.recv(65536)
                    if self.after >= 0:
                        data = data[: self.after - self.passed]
                    self.passed += len(data)
                    connection.sendall(data)
                    if not data or self.passed == self.after:
                        if self.reset:
                            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        return


@each_version
@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_a_peer_that_goes_away_is_an_error_wherever_it_does(
    serve: Serve, tls_server: Callable[..., Endpoint], store: SqliteStore, version: ssl.TLSVersion, reset: bool
) -> None:
    """A connection that ends anywhere in the handshake is the error that the standard library raises; it never hangs."""
    cut = Cut(serve, tls_server(lambda tls: (tls.sendall(b"hello"), tls.recv(1)), version))  # type: ignore[arg-type]
    clients = Client(store, "ssl"), Client(store, "duct")

    def outcome(client: Client) -> object:
        try:
            with (
                socket.create_connection((cut.endpoint.host, cut.endpoint.port), timeout=LIMIT_S) as raw,
                client.wrap(raw, suppress_ragged_eofs=False) as tls,
            ):
                return tls.recv(5), tls.recv(1)
        except OSError as error:
            return type(error)

    with clients[1].connected(cut.endpoint) as tls:
        assert tls.recv(5) == b"hello"
    total, cut.reset = cut.passed, reset
    for after in range(0, total, 41):
        cut.after = after
        plain, duct = (outcome(client) for client in clients)
        assert duct is not TimeoutError
        assert plain is not TimeoutError
        if reset:  # what came before it may be lost, and may not
            assert isinstance(duct, type)
        else:
            assert duct == plain, after


def test_bytes_that_come_one_by_one(serve: Serve, tls_server: Callable[..., Endpoint], client: Client) -> None:
    """A handshake and data of which each byte comes by itself."""
    onward = tls_server(echo)

    def split(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with socket.create_connection((onward.host, onward.port), timeout=LIMIT_S) as other:
            while True:
                ready = select.select([connection, other], [], [], LIMIT_S)[0]
                for source, sink in ((connection, other), (other, connection)):
                    if source in ready:
                        data = source.recv(65536)
                        if not data:
                            return
                        for byte in data:
                            sink.sendall(bytes([byte]))

    for timeout in TIMEOUTS:
        with client.connected(serve(split), timeout) as tls:
            tls_write(tls, b"a few words")
            assert read_all(tls, 11) == b"a few words"


@pytest.mark.parametrize(
    "garbage",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x15\x03\x03\x00\x02\x02\x28",
        b"\x16\x03\x03\xff\xff" + bytes(70_000),
        b"\x00",
    ]
    + [b"\x17\x03\x03\x00\x00", b"\x80\x2e\x01\x00\x02", b"\x16\x03\x03\x00\x00" * 1000],
    ids=["http", "alert", "too-long", "nul", "empty-data", "ssl2", "empty-handshakes"],
)
def test_garbage_is_an_error(client: Client, serve: Serve, garbage: bytes) -> None:
    """What is no TLS is an error at once, with what the standard library says of it."""

    def behave(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(garbage)

    endpoint = serve(behave)
    with (
        socket.create_connection((endpoint.host, endpoint.port), timeout=LIMIT_S) as raw,
        pytest.raises(OSError) as caught,
    ):
        client.wrap(raw)
    assert not isinstance(caught.value, TimeoutError)
    assert isinstance(caught.value, ssl.SSLError | ConnectionError)


@each_version
def test_one_thread_reads_while_another_writes(
    store: SqliteStore, tls_server: Callable[..., Endpoint], version: ssl.TLSVersion
) -> None:
    """Both directions at once, each larger than all buffers: nothing waits for the other, and nothing is mixed up.

    It is not tried with a plain socket: of Python 3.11, that one lets two threads into OpenSSL at once, and breaks now and
    then.
    """
    data = os.urandom(4_000_000)
    client = Client(store, "duct")
    with client.connected(tls_server(echo, version), SO_SNDBUF=16384, SO_RCVBUF=16384) as tls:
        writer = threading.Thread(target=tls.sendall, args=(data,))
        writer.start()
        assert read_all(tls, len(data)) == data
        writer.join(LIMIT_S)
        assert not writer.is_alive()


def test_writers_do_not_mix_their_writes(store: SqliteStore, tls_server: Callable[..., Endpoint]) -> None:
    """Threads that write at once: each write arrives in one piece."""
    line, count, writers = b"x" * 30_000, 20, 6
    total = len(line) * count * writers

    def collect(tls: ssl.SSLSocket) -> None:
        data = bytearray()
        while len(data) < total:
            data += tls.recv(65536)
        pieces = [bytes(data[at : at + len(line)]) for at in range(0, total, len(line))]
        tls.sendall(b"whole" if all(len(set(piece)) == 1 for piece in pieces) else b"mixed")
        tls.recv(1)

    with Client(store, "duct").connected(tls_server(collect), SO_SNDBUF=4096) as tls:

        def write(letter: bytes) -> None:
            for _ in range(count):
                assert tls.write(letter * len(line)) == len(line)

        threads = [threading.Thread(target=write, args=(bytes([97 + number]),)) for number in range(writers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(2 * LIMIT_S)
        assert read_all(tls, 5) == b"whole"


def test_two_readers_share_what_comes(store: SqliteStore, tls_server: Callable[..., Endpoint]) -> None:
    """Two threads that wait for a byte each get one each, though both came at once."""

    def two(tls: ssl.SSLSocket) -> None:
        while tls.recv(1):
            tls.sendall(b"ab")

    with Client(store, "duct").connected(tls_server(two)) as tls:
        for _ in range(50):
            got: list[bytes] = []
            readers = [threading.Thread(target=lambda: got.append(tls.recv(1))) for _ in range(2)]
            for reader in readers:
                reader.start()
            tls.sendall(b"?")
            for reader in readers:
                reader.join(2 * LIMIT_S)
            assert sorted(got) == [b"a", b"b"]


def test_a_host_may_ask_for_another_hello(client: Client, serve: Serve, tmp_path: Path) -> None:
    """A host of TLS 1.3 that wants another key share (RFC 8446 section 4.1.4) is given one."""
    (tmp_path / "server.pem").write_bytes(b"".join(fresh()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    context.set_ecdh_curve("secp521r1")
    asked: list[int] = []
    # A private hook, and the only sight of the handshake.
    context._msg_callback = lambda _, way, __, ___, kind, ____: asked.append(kind) if way == "read" else None  # type: ignore[attr-defined]

    def behave(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as tls:
            echo(tls)

    with client.connected(serve(behave)) as tls:
        tls.sendall(b"hello")
        assert tls.recv(5) == b"hello"
    assert asked.count(1) == 2, "two ClientHellos"


def test_threads_share_a_context_and_its_pins_change(store: SqliteStore, host: Host) -> None:
    """Connections of many threads, while the pin is withdrawn and another setting is made: each is whole or refused."""
    endpoint = Endpoint("127.0.0.1", host.port)
    context = certified(Context(store))
    found: list[str] = []
    start = threading.Barrier(9)

    def connect() -> None:
        start.wait()
        for _ in range(10):
            with socket.create_connection((endpoint.host, endpoint.port), timeout=LIMIT_S) as raw:
                try:
                    with context.wrap_socket(raw, server_hostname="127.0.0.1") as tls:
                        found.append(str(tls.version()))
                except CertificateRejected:
                    found.append("rejected")

    threads = [threading.Thread(target=connect) for _ in range(8)]
    for thread in threads:
        thread.start()
    start.wait()
    for _ in range(20):
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.maximum_version = ssl.TLSVersion.TLSv1_3
    while (entry := store.entry(endpoint)) is None and any(thread.is_alive() for thread in threads):
        pass
    assert entry is not None
    manage.revoke_entry(store, entry)
    for thread in threads:
        thread.join(2 * LIMIT_S)
    assert len(found) == 80
    assert set(found) <= {"TLSv1.2", "TLSv1.3", "rejected"}
    with (
        socket.create_connection((endpoint.host, endpoint.port), timeout=LIMIT_S) as raw,
        pytest.raises(CertificateRejected),
    ):
        context.wrap_socket(raw, server_hostname="127.0.0.1")


@each_version
def test_a_socket_tells_what_it_told_before(
    client: Client, tls_server: Callable[..., Endpoint], version: ssl.TLSVersion
) -> None:
    """What programs ask of a socket is answered as ever."""
    client.context.set_alpn_protocols(["h2", "http/1.1"])
    with client.connected(tls_server(echo, version)) as tls:
        assert tls.version() == ("TLSv1.2" if version is ssl.TLSVersion.TLSv1_2 else "TLSv1.3")
        cipher = tls.cipher()
        assert cipher is not None
        assert cipher[2] >= 128
        assert tls.selected_alpn_protocol() is None
        assert tls.compression() is None
        assert tls.getpeercert(binary_form=True)
        assert tls.session_reused is False
        assert tls.session is not None
        assert tls.server_hostname == "127.0.0.1"
        assert tls.get_channel_binding("tls-unique")
        assert tls.fileno() > 0
        with pytest.raises(NotImplementedError):
            tls.dup()


def test_a_file_is_sent(client: Client, tls_server: Callable[..., Endpoint], tmp_path: Path) -> None:
    """`sendfile` sends a file, from an offset."""
    place = tmp_path / "data"
    place.write_bytes(os.urandom(100_000))
    with client.connected(tls_server(digesting), SO_SNDBUF=4096) as tls, place.open("rb") as file:
        tls.sendall((90_000).to_bytes(4))
        assert tls.sendfile(file, offset=10_000) == 90_000
        assert read_all(tls, 32) == hashlib.sha256(place.read_bytes()[10_000:]).digest()


def test_a_write_that_would_block_goes_on_where_it_was(client: Client, tls_server: Callable[..., Endpoint]) -> None:
    """Where a write would block, the retry with the same data goes on; one with less is refused; nothing is sent twice."""
    go = threading.Event()

    def late(tls: ssl.SSLSocket) -> None:
        go.wait(LIMIT_S)
        digesting(tls)

    data = (3_000_000).to_bytes(4) + os.urandom(3_000_000)
    with client.connected(tls_server(late), 0.0, SO_SNDBUF=4096) as tls:
        with pytest.raises(ssl.SSLWantWriteError):
            tls_write_once = 0
            while True:  # until all buffers are full
                tls_write_once += tls.send(data)
        assert tls_write_once == 0
        if client.kind == "duct":
            with pytest.raises(ssl.SSLError, match="bad write retry"):
                tls.send(data[:4])
        go.set()
        assert patiently(tls, lambda: tls.send(data)) == len(data)
        assert read_all(tls, 32) == hashlib.sha256(data[4:]).digest()


def test_a_write_to_a_peer_that_is_gone_is_an_error(client: Client, tls_server: Callable[..., Endpoint]) -> None:
    """Writing to a connection that the peer has closed ends in an error."""
    with client.connected(tls_server(lambda _: None)) as tls, pytest.raises(OSError):
        for _ in range(100):
            tls.sendall(bytes(100_000))


def test_nothing_is_kept_alive(store: SqliteStore, tls_server: Callable[..., Endpoint]) -> None:
    """A socket that nobody holds any more goes away at once, and its connection with it."""
    gone = threading.Event()

    def wait(tls: ssl.SSLSocket) -> None:
        with contextlib.suppress(OSError):
            tls.recv(1)
        gone.set()

    client, endpoint = Client(store, "duct"), tls_server(wait)
    gc.disable()
    try:
        raw = socket.create_connection((endpoint.host, endpoint.port), timeout=LIMIT_S)
        tls = client.wrap(raw)
        watched = weakref.ref(tls), weakref.ref(tls._sslobj)  # type: ignore[attr-defined]  # what is under test
        tls.close()
        del tls
        assert [each() for each in watched] == [None, None]
    finally:
        gc.enable()
    assert gone.wait(LIMIT_S)


def test_a_socket_that_another_thread_closes_is_an_error(
    store: SqliteStore, tls_server: Callable[..., Endpoint]
) -> None:
    """A reader whose socket is shut down by another thread wakes up."""
    with Client(store, "duct").connected(tls_server(echo)) as tls:
        woken: list[object] = []

        def read() -> None:
            try:
                woken.append(tls.recv(1))
            except (OSError, ValueError) as error:
                woken.append(error)

        reader = threading.Thread(target=read)
        reader.start()
        socket.socket.shutdown(tls, socket.SHUT_RDWR)
        reader.join(LIMIT_S)
        assert woken


@contextlib.contextmanager
def talking_server(folder: Path, *options: str) -> Iterator[tuple[int, Callable[[bytes], None]]]:
    """Run `openssl s_server` with its commands; give its port, and a function that types a line."""
    (folder / "server.pem").write_bytes(b"".join(fresh()))
    port = servers.free_port()
    command = [
        servers.program("openssl"),
        "s_server",
        "-accept",
        f"127.0.0.1:{port}",
        "-msg",
        "-cert",
        str(folder / "server.pem"),
    ]
    log = (folder / "log").open("wb")
    with log, subprocess.Popen([*command, *options], stdin=subprocess.PIPE, stdout=log, stderr=log) as process:
        assert process.stdin is not None
        typed = process.stdin

        def write(line: bytes) -> None:
            typed.write(line)
            typed.flush()

        try:
            servers.wait_until(lambda: b"ACCEPT" in (folder / "log").read_bytes(), "s_server")
            yield port, write
        finally:
            process.terminate()


@pytest.mark.parametrize("command", [b"k\n", b"K\n"], ids=["told", "asked"])
def test_keys_are_renewed(client: Client, tmp_path: Path, command: bytes) -> None:
    """A host that renews its keys, and one that asks for ours to be renewed (RFC 8446 section 4.6.3), is answered."""
    with talking_server(tmp_path, "-tls1_3") as (port, write), client.connected(Endpoint("127.0.0.1", port)) as tls:
        tls.sendall(b"one\n")
        for number in range(3):
            servers.wait_until(lambda: b"one\n" in (tmp_path / "log").read_bytes(), "what was sent")
            write(command)
            done = b">>> TLS 1.3, Handshake [length 0005], KeyUpdate"
            servers.wait_until(lambda: (tmp_path / "log").read_bytes().count(done) > number, "the command")
            write(b"answer %d\n" % number)
            assert read_all(tls, 9) == b"answer %d\n" % number
            tls.sendall(b"two %d\n" % number)
            servers.wait_until(lambda: b"two %d\n" % number in (tmp_path / "log").read_bytes(), "what was sent")
            answered = (tmp_path / "log").read_bytes().count(b"<<< TLS 1.3, Handshake [length 0005], KeyUpdate")
            assert answered == (number + 1 if command == b"K\n" else 0)


@pytest.mark.parametrize("command", [b"r\n", b"R\n"], ids=["again", "with-a-certificate"])
def test_nothing_is_negotiated_again(client: Client, tmp_path: Path, command: bytes) -> None:
    """A HelloRequest of TLS 1.2 (RFC 5246 section 7.4.1.1) is declined: no certificate leaves, and the connection goes on or ends."""
    if client.kind == "ssl":
        client.context.options |= ssl.OP_NO_RENEGOTIATION
    with talking_server(tmp_path, "-tls1_2") as (port, write), client.connected(Endpoint("127.0.0.1", port)) as tls:
        tls.sendall(b"one\n")
        servers.wait_until(lambda: b"one\n" in (tmp_path / "log").read_bytes(), "what was sent")
        write(command)
        servers.wait_until(lambda: b"HelloRequest" in (tmp_path / "log").read_bytes(), "the command")
        write(b"answer\n")
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            if tls.recv(100) == b"answer\n":
                tls.sendall(b"two\n")
        assert b"depth=0" not in (tmp_path / "log").read_bytes()
