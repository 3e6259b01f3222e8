"""A lying TLS server: shows what it has no key for, changes its mind, breaks the order of the messages, and never ends.

`Fickle` is a real TLS server that chooses its certificate by connection, server name or application protocol. `Liar` is no
TLS library at all: its records are made by hand (RFC 5246, RFC 8446), so it can say what no library would. Both write
down what they got.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.simulators.recorder import Recorder, Visit

Material = tuple[bytes, bytes]
SERVER_HELLO, CERTIFICATE, KEY_EXCHANGE, HELLO_DONE = 2, 11, 12, 14
ENCRYPTED_EXTENSIONS, CERTIFICATE_VERIFY, FINISHED = 8, 15, 20
CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION = 20, 21, 22, 23
SERVER_NAME, ALPN, KEY_SHARE, SUPPORTED_VERSIONS, SERVER_CERTIFICATE_TYPE = 0, 16, 51, 43, 20
ECDHE_ECDSA, ECDHE_RSA, STATIC_RSA, AES_128_GCM = 0xC02B, 0xC02F, 0x009C, 0x1301
DOWNGRADED = b"DOWNGRD\x01"
_X25519 = b"\x00\x1d"


@dataclass(frozen=True)
class Hello:
    """A ClientHello, read (RFC 8446 section 4.1.2).

    Args:
        message: The handshake message as it came, with its head.
        version: The legacy version.
        random: The client's random.
        session: The session id.
        ciphers: The ciphers, in order.
        extensions: Types and contents, in order.
    """

    message: bytes
    version: int
    random: bytes
    session: bytes
    ciphers: tuple[int, ...]
    extensions: tuple[tuple[int, bytes], ...]

    def extension(self, kind: int) -> bytes:
        """Give an extension's content; empty if it is not there."""
        return dict(self.extensions).get(kind, b"")

    @property
    def name(self) -> str:
        """The server name that was asked for."""
        return self.extension(SERVER_NAME)[5:].decode("ascii", "replace")

    @property
    def protocols(self) -> tuple[str, ...]:
        """The application protocols that are offered."""
        data, found = self.extension(ALPN)[2:], []
        while data:
            found.append(data[1 : 1 + data[0]].decode())
            data = data[1 + data[0] :]
        return tuple(found)

    @property
    def share(self) -> bytes:
        """The client's X25519 key."""
        data = self.extension(KEY_SHARE)[2:]
        while data:
            size = int.from_bytes(data[2:4], "big")
            if data[:2] == _X25519:
                return data[4 : 4 + size]
            data = data[4 + size :]
        raise ValueError("the client offers no X25519")

    @property
    def structure(self) -> object:
        """All of it but what is random by its nature: the random, the session id and the keys; GREASE becomes one value."""
        shares = []
        data = self.extension(KEY_SHARE)[2:]
        while data:
            size = int.from_bytes(data[2:4], "big")
            shares.append((data[:2], size))
            data = data[4 + size :]
        contents = [(_grease(kind), shares if kind == KEY_SHARE else data) for kind, data in self.extensions]
        ciphers = [_grease(cipher) for cipher in self.ciphers]
        return len(self.message), self.version, len(self.random), len(self.session), ciphers, contents


def _grease(value: int) -> int:
    """Give one value for all of RFC 8701's."""
    return 0x0A0A if value & 0x0F0F == 0x0A0A and value >> 8 == value & 0xFF else value


def read_hello(message: bytes) -> Hello:
    """Read a ClientHello from its handshake message."""
    at = 4
    version, random = int.from_bytes(message[at : at + 2], "big"), message[at + 2 : at + 34]
    at += 34
    session = message[at + 1 : at + 1 + message[at]]
    at += 1 + len(session)
    size = int.from_bytes(message[at : at + 2], "big")
    ciphers = [int.from_bytes(message[i : i + 2], "big") for i in range(at + 2, at + 2 + size, 2)]
    at += 2 + size
    at += 1 + message[at]
    extensions, at = [], at + 2
    while at < len(message):
        size = int.from_bytes(message[at + 2 : at + 4], "big")
        extensions.append((int.from_bytes(message[at : at + 2], "big"), message[at + 4 : at + 4 + size]))
        at += 4 + size
    return Hello(message, version, random, session, tuple(ciphers), tuple(extensions))


Choose = Callable[[int, Hello], Material]


class Fickle(Recorder):
    """A recorder that chooses its certificate for each connection.

    Args:
        folder: Where keys and certificates lie.
        choose: Gives the certificate (with its chain) and its key, for the number of the connection and its hello.
        version: The TLS version; None for any.
        protocol: What is spoken inside.
        ask: Whether it asks for a client certificate.
    """

    def __init__(
        self,
        folder: Path,
        choose: Choose,
        *,
        protocol: str = "https",
        version: ssl.TLSVersion | None = None,
        ask: bool = True,
        alpn: Sequence[str] = (),
    ):
        self._choose, self._alpn = choose, list(alpn)
        self._mine = threading.local()
        super().__init__(folder, protocol=protocol, version=version, ask=ask)

    def _visit(self, connection: socket.socket, visit: Visit) -> None:
        connection.settimeout(20)
        try:
            head = connection.recv(5, socket.MSG_PEEK | socket.MSG_WAITALL)
            whole = connection.recv(5 + int.from_bytes(head[3:5], "big"), socket.MSG_PEEK | socket.MSG_WAITALL)
            material = self._choose(self.visits.index(visit), read_hello(whole[5:]))
        except (OSError, IndexError) as error:
            visit.error = repr(error)
            connection.close()
            visit.over.set()
            return
        place = self.folder / f"visit-{id(visit)}"
        place.mkdir(exist_ok=True)
        (place / "host.pem").write_bytes(material[0])
        (place / "host.key").write_bytes(material[1])
        self._mine.place = place
        super()._visit(connection, visit)

    def _fresh_context(self) -> ssl.SSLContext:
        context = super()._fresh_context()
        context.load_cert_chain(self._mine.place / "host.pem", self._mine.place / "host.key")
        if self._alpn:
            context.set_alpn_protocols(self._alpn)
        return context


@dataclass
class Caught:
    """What a client sent to the liar.

    Args:
        hello: Its hello.
        after: The kinds of what came after it: content types, decrypted where the liar has the keys.
        messages: The handshake messages that came after the hello, where they can be read.
        over: Set when the connection has ended.
    """

    hello: Hello | None = None
    after: list[int] = field(default_factory=list)
    messages: list[int] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)


Lie = Callable[["Talk"], None]


class Liar:
    """A server that does with each connection what its lie says, then reads until the client goes away."""

    def __init__(self, lie: Lie):
        self.lie = lie
        self.caught: list[Caught] = []
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def settled(self, since: int = 0) -> list[Caught]:
        """Wait until all connections so far are over; give those since a number."""
        for each in list(self.caught):
            assert each.over.wait(30), "a connection does not end"
        return self.caught[since:]

    def close(self) -> None:
        """Stop, and end what is open."""
        for each in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            caught = Caught()
            self.caught.append(caught)
            self._open.append(connection)
            threading.Thread(target=self._talk, args=(connection, caught), daemon=True).start()

    def _talk(self, connection: socket.socket, caught: Caught) -> None:
        connection.settimeout(20)
        try:
            with connection, contextlib.suppress(OSError, ValueError):
                talk = Talk(connection, caught)
                self.lie(talk)
                talk.listen()
        finally:
            caught.over.set()


class Talk:
    """One connection of the liar, at the level of records."""

    def __init__(self, connection: socket.socket, caught: Caught):
        self.connection, self.caught = connection, caught
        self.random = os.urandom(32)
        self._transcript = b""
        self._write: _Keys | None = None
        self._read: _Keys | None = None
        kind, body = self._record()
        if kind != HANDSHAKE:
            raise ValueError("no ClientHello")
        self.hello = caught.hello = read_hello(body)
        self._transcript = body

    def send(self, kind: int, body: bytes) -> None:
        """Send a record (in several, if it is long)."""
        for at in range(0, max(len(body), 1), 16000):
            piece = body[at : at + 16000]
            if self._write is not None:
                piece, shown = self._write.seal(kind, piece), APPLICATION
            else:
                shown = kind
            self.connection.sendall(bytes([shown]) + b"\x03\x03" + len(piece).to_bytes(2, "big") + piece)

    def say(self, *messages: bytes) -> None:
        """Send handshake messages, in one record where they fit."""
        self._transcript += b"".join(messages)
        self.send(HANDSHAKE, b"".join(messages))

    def listen(self) -> None:
        """Read until the client goes away or sends its data, and write down what came."""
        while True:
            kind, body = self._record()
            if kind == APPLICATION and self._read is not None:
                with contextlib.suppress(InvalidTag):
                    kind, body = self._read.open(body)
            self.caught.after.append(kind)
            if kind == APPLICATION:
                return
            if kind == HANDSHAKE and body:
                self.caught.messages.append(body[0])

    def hello12(self, cipher: int, *extensions: tuple[int, bytes], random: bytes | None = None) -> bytes:
        """Make a ServerHello of TLS 1.2."""
        if random is not None:
            self.random = random
        body = b"\x03\x03" + self.random + b"\x00" + cipher.to_bytes(2, "big") + b"\x00"
        listed = b"".join(kind.to_bytes(2, "big") + vector(2, data) for kind, data in ((0xFF01, b"\x00"), *extensions))
        return message(SERVER_HELLO, body + vector(2, listed))

    def key_exchange(self, signer: object) -> bytes:
        """Make a signed ServerKeyExchange (RFC 8422 section 5.4); without a signer, the signature is garbage."""
        params = b"\x03" + _X25519 + vector(1, _public(x25519.X25519PrivateKey.generate()))
        scheme, signature = sign(signer, self.hello.random + self.random + params, rsa_pss=False)
        return message(KEY_EXCHANGE, params + scheme + vector(2, signature))

    def begin13(self, *extensions: tuple[int, bytes]) -> None:
        """Send a ServerHello of TLS 1.3 and the EncryptedExtensions; from then on all is encrypted."""
        own = x25519.X25519PrivateKey.generate()
        shared = own.exchange(x25519.X25519PublicKey.from_public_bytes(self.hello.share))
        chosen = (SUPPORTED_VERSIONS, b"\x03\x04"), (KEY_SHARE, _X25519 + vector(2, _public(own)))
        listed = b"".join(kind.to_bytes(2, "big") + vector(2, data) for kind, data in chosen)
        body = b"\x03\x03" + self.random + vector(1, self.hello.session) + AES_128_GCM.to_bytes(2, "big") + b"\x00"
        self.say(message(SERVER_HELLO, body + vector(2, listed)))
        empty = hashlib.sha256(b"").digest()
        early = _extract(bytes(32), bytes(32))
        secret = _extract(_expand(early, "derived", empty, 32), shared)
        digest = hashlib.sha256(self._transcript).digest()
        self._own_secret = _expand(secret, "s hs traffic", digest, 32)
        self._write, self._read = _Keys(self._own_secret), _Keys(_expand(secret, "c hs traffic", digest, 32))
        listed = b"".join(kind.to_bytes(2, "big") + vector(2, data) for kind, data in extensions)
        self.say(message(ENCRYPTED_EXTENSIONS, vector(2, listed)))

    def verify13(self, signer: object) -> bytes:
        """Make a CertificateVerify over what was said so far (RFC 8446 section 4.4.3)."""
        digest = hashlib.sha256(self._transcript).digest()
        text = b" " * 64 + b"TLS 1.3, server CertificateVerify\x00" + digest
        scheme, signature = sign(signer, text, rsa_pss=True)
        return message(CERTIFICATE_VERIFY, scheme + vector(2, signature))

    def finish13(self) -> bytes:
        """Make the Finished message."""
        key = _expand(self._own_secret, "finished", b"", 32)
        digest = hashlib.sha256(self._transcript).digest()
        return message(FINISHED, hmac.digest(key, digest, "sha256"))

    def _record(self) -> tuple[int, bytes]:
        head = self._exactly(5)
        return head[0], self._exactly(int.from_bytes(head[3:5], "big"))

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self.connection.recv(size - len(data))
            if not piece:
                raise OSError("the client went away")
            data += piece
        return data


class _Keys:
    """The keys of one direction (RFC 8446 section 5.2)."""

    def __init__(self, secret: bytes):
        self._key, self._iv = _expand(secret, "key", b"", 16), _expand(secret, "iv", b"", 12)
        self._count = 0

    def seal(self, kind: int, body: bytes) -> bytes:
        head = b"\x17\x03\x03" + (len(body) + 17).to_bytes(2, "big")
        return AESGCM(self._key).encrypt(self._nonce(), body + bytes([kind]), head)

    def open(self, body: bytes) -> tuple[int, bytes]:
        head = b"\x17\x03\x03" + len(body).to_bytes(2, "big")
        text = AESGCM(self._key).decrypt(self._nonce(), body, head).rstrip(b"\x00")
        return text[-1], text[:-1]

    def _nonce(self) -> bytes:
        self._count += 1
        return (int.from_bytes(self._iv, "big") ^ (self._count - 1)).to_bytes(12, "big")


def vector(width: int, data: bytes) -> bytes:
    """Make a vector: its length in so many bytes, then it."""
    return len(data).to_bytes(width, "big") + data


def message(kind: int, body: bytes) -> bytes:
    """Make a handshake message."""
    return bytes([kind]) + vector(3, body)


def chain12(*certificates: bytes) -> bytes:
    """Make a Certificate message of TLS 1.2."""
    return message(CERTIFICATE, vector(3, b"".join(vector(3, each) for each in certificates)))


def chain13(*certificates: bytes) -> bytes:
    """Make a Certificate message of TLS 1.3."""
    return message(CERTIFICATE, b"\x00" + vector(3, b"".join(vector(3, each) + b"\x00\x00" for each in certificates)))


def sign(signer: object, text: bytes, *, rsa_pss: bool) -> tuple[bytes, bytes]:
    """Sign, and give the scheme with it; without a signer, give garbage that calls itself ECDSA."""
    if isinstance(signer, rsa.RSAPrivateKey):
        if rsa_pss:
            pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
            return b"\x08\x04", signer.sign(text, pss, hashes.SHA256())
        return b"\x04\x01", signer.sign(text, padding.PKCS1v15(), hashes.SHA256())
    key = signer if isinstance(signer, ec.EllipticCurvePrivateKey) else ec.generate_private_key(ec.SECP256R1())
    return b"\x04\x03", key.sign(text, ec.ECDSA(hashes.SHA256()))


def relay12(certificate: bytes, *, signer: object = None, cipher: int = ECDHE_ECDSA) -> Lie:
    """Show a certificate in TLS 1.2, with a ServerKeyExchange that somebody else signed."""

    def lie(talk: Talk) -> None:
        talk.say(talk.hello12(cipher), chain12(certificate), talk.key_exchange(signer), message(HELLO_DONE, b""))

    return lie


def relay_static_rsa(certificate: bytes) -> Lie:
    """Show a certificate in TLS 1.2 with RSA key exchange, where nothing is signed, then make the end up."""

    def lie(talk: Talk) -> None:
        talk.say(talk.hello12(STATIC_RSA), chain12(certificate), message(HELLO_DONE, b""))
        for _ in range(3):  # ClientKeyExchange, ChangeCipherSpec, Finished
            talk.caught.after.append(talk._record()[0])
        talk.send(CHANGE_CIPHER_SPEC, b"\x01")
        talk.send(HANDSHAKE, os.urandom(40))

    return lie


def relay13(*certificates: bytes, signer: object = None) -> Lie:
    """Show certificates in TLS 1.3 and complete the handshake; honest if the signer has the leaf's key."""

    def lie(talk: Talk) -> None:
        talk.begin13()
        talk.say(chain13(*certificates))
        talk.say(talk.verify13(signer))
        talk.say(talk.finish13())

    return lie


def _public(key: x25519.X25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def _extract(salt: bytes, secret: bytes) -> bytes:
    return hmac.digest(salt, secret, "sha256")


def _expand(secret: bytes, label: str, context: bytes, size: int) -> bytes:
    """HKDF-Expand-Label, for at most one block (RFC 8446 section 7.1)."""
    info = size.to_bytes(2, "big") + vector(1, b"tls13 " + label.encode()) + vector(1, context)
    return hmac.digest(secret, info + b"\x01", "sha256")[:size]
