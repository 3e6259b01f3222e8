"""A host for the demonstration: a real TLS server on loopback, whose certificate can be replaced while it runs."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from troth.model.certificate import CertificateView

if TYPE_CHECKING:
    from pathlib import Path


class Host:
    """An HTTPS server that answers every request with its name.

    Args:
        name: The common name of its certificates.
        folder: Where its key and certificate lie.
    """

    def __init__(self, name: str, folder: Path):
        self.name = name
        self._folder = folder
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.view = self.new_certificate()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.requests = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def new_certificate(self) -> CertificateView:
        """Do what an administrator does: a new key, a new self-signed certificate, in force at once."""
        return self.present(_self_signed(self.name))

    def renew(self) -> CertificateView:
        """Renew as ACME clients and careful administrators do: a new certificate for the same key."""
        return self.present(_self_signed(self.name, self.material[1]))

    def present(self, material: tuple[bytes, bytes]) -> CertificateView:
        """Put a certificate and its key (PEM) in force."""
        pem, key = self.material = material
        certificate_file, key_file = self._folder / "host.pem", self._folder / "host.key"
        certificate_file.write_bytes(pem)
        key_file.touch(mode=0o600)
        key_file.write_bytes(key)
        fresh = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        fresh.load_cert_chain(certificate_file, key_file)
        self._context = fresh
        self.view = CertificateView.from_pem(pem.decode("ascii"))
        return self.view

    def close(self) -> None:
        """Stop serving."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(timeout=5)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError):
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        connection.settimeout(5)
        with self._context.wrap_socket(connection, server_side=True) as tls:
            if tls.recv(4096):
                self.requests += 1
                body = f"this is {self.name}\n".encode()
                tls.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


def _self_signed(name: str, old_key: bytes | None = None) -> tuple[bytes, bytes]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = serialization.load_pem_private_key(old_key, None) if old_key else ec.generate_private_key(ec.SECP256R1())
    assert isinstance(key, ec.EllipticCurvePrivateKey)  # noqa: S101  # we made it
    subject = x509.Name(
        [
            x509.NameAttribute(x509.NameOID.COUNTRY_NAME, "US"),
            x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Example Systems"),
            x509.NameAttribute(x509.NameOID.COMMON_NAME, name),
        ]
    )
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=365))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("host.example.com")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM), private
