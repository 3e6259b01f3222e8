"""Certificates as attacks need them: with any key, dates, names, extensions and issuer; and ways to look at a host."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import socket
import ssl
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from troth.model.certificate import CertificateView
from troth.model.endpoint import Endpoint
from troth.store.sqlite import SqliteStore
from troth.tls.check import check_target
from troth.tls.context import Context
from troth.tls.probe import Target
from troth.trust.rejection import require_trusted

Material = tuple[bytes, bytes]
SECRET = b"GET /the-secret HTTP/1.1\r\n\r\n"


def key_pem(key: Any) -> bytes:
    """Give a private key as PEM."""
    private = serialization.PrivateFormat.PKCS8
    return bytes(key.private_bytes(serialization.Encoding.PEM, private, serialization.NoEncryption()))


def name(common: str) -> x509.Name:
    """Make a name."""
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common)])


def make(
    common: str = "host",
    *,
    key: Any = None,
    days: tuple[int, int] = (-1, 30),
    ca: bool | None = None,
    san: Sequence[x509.GeneralName] = (),
    extensions: Sequence[x509.ExtensionType] = (),
    issuer: tuple[str, Any] | None = None,
    subject: x509.Name | None = None,
) -> tuple[x509.Certificate, Any]:
    """Make a certificate; self-signed, unless an issuer's name and key are given."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject or name(common))
        .issuer_name(name(issuer[0]) if issuer else subject or name(common))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
    )
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    if san:
        builder = builder.add_extension(x509.SubjectAlternativeName(san), critical=False)
    for each in extensions:
        builder = builder.add_extension(each, critical=False)
    return builder.sign(issuer[1] if issuer else key, hashes.SHA256()), key


def material(certificate: x509.Certificate, key: Any, *more: x509.Certificate) -> Material:
    """Give a chain and its key as a server loads them."""
    chain = b"".join(each.public_bytes(serialization.Encoding.PEM) for each in (certificate, *more))
    return chain, key_pem(key)


def fresh(common: str = "host", **options: Any) -> Material:
    """Make a certificate as a server loads it."""
    return material(*make(common, **options))


def der(certificate: x509.Certificate) -> bytes:
    """Give a certificate as DER."""
    return certificate.public_bytes(serialization.Encoding.DER)


def view(pem: bytes) -> CertificateView:
    """Read the first certificate of a text."""
    return CertificateView.from_pem(pem.decode())


@cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    """Make an RSA key, once."""
    return rsa.generate_private_key(65537, bits)


# The ways to look at a host: each sends SECRET if it is let, and raises if the host is not trusted.


def by_check(store: SqliteStore, port: int, context: Context | None = None) -> None:
    """The command's way; it sends nothing."""
    require_trusted(check_target(store, Target(endpoint=Endpoint("127.0.0.1", port), timeout_s=15)))


def by_socket(store: SqliteStore, port: int, context: Context | None = None) -> None:
    """A blocking socket."""
    context = context or Context(store)
    with (
        socket.create_connection(("127.0.0.1", port), timeout=15) as raw,
        context.wrap_socket(raw, server_hostname="127.0.0.1") as tls,
    ):
        tls.sendall(SECRET)
        tls.recv(100)


def by_late_socket(store: SqliteStore, port: int, context: Context | None = None) -> None:
    """A blocking socket that shakes hands with its first write."""
    context = context or Context(store)
    with (
        socket.create_connection(("127.0.0.1", port), timeout=15) as raw,
        context.wrap_socket(raw, server_hostname="127.0.0.1", do_handshake_on_connect=False) as tls,
    ):
        tls.sendall(SECRET)
        tls.recv(100)


def by_asyncio(store: SqliteStore, port: int, context: Context | None = None) -> None:
    """Asyncio's streams."""
    bound = (context or Context(store)).bound_to("127.0.0.1", port)

    async def go() -> None:
        raw = socket.create_connection(("127.0.0.1", port), timeout=15)
        raw.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=raw, ssl=bound, server_hostname="127.0.0.1")
        try:
            writer.write(SECRET)
            await writer.drain()
            await reader.read(100)
        finally:
            writer.close()
            with contextlib.suppress(OSError, ssl.SSLError):
                await writer.wait_closed()

    asyncio.run(asyncio.wait_for(go(), 20))


def by_certified_socket(store: SqliteStore, port: int, context: Context | None = None) -> None:
    """A blocking socket, with a client certificate at hand."""
    by_socket(store, port, certified(context or Context(store)))


def by_certified_late_socket(store: SqliteStore, port: int, context: Context | None = None) -> None:
    """The same, which shakes hands with its first write."""
    by_late_socket(store, port, certified(context or Context(store)))


def by_certified_asyncio(store: SqliteStore, port: int, context: Context | None = None) -> None:
    """Asyncio's streams, with a client certificate at hand."""
    by_asyncio(store, port, certified(context or Context(store)))


def certified(context: Context) -> Context:
    """Load a client certificate into a context that has none."""
    if context.client is None:
        context.load_cert_chain(_client())
    return context


@cache
def _client() -> Path:
    """Make a client certificate and its key, once, in a file: contexts read it whenever they make another."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    file = Path(folder.name) / "client.pem"
    file.write_bytes(b"".join(fresh("client")))
    return file


CERTIFIED: tuple[Callable[..., None], ...] = (by_certified_socket, by_certified_late_socket, by_certified_asyncio)
WAYS: tuple[Callable[..., None], ...] = (by_check, by_socket, by_late_socket, by_asyncio, *CERTIFIED)
SENDING = WAYS[1:]


def way_name(way: Callable[..., None]) -> str:
    """What the tests call a way."""
    return way.__name__.removeprefix("by_").replace("_", "-")
